package identity_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/internal/identity"
)

// promote hands the swarm key from one store to another, and spreads the news.
func promote(t *testing.T, from, to *identity.Store, others ...*identity.Store) {
	t.Helper()
	offer, err := to.OfferKey()
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := from.SealKey(to.NodeID(), offer)
	if err != nil {
		t.Fatal(err)
	}
	if err := to.TakeKey(sealed); err != nil {
		t.Fatal(err)
	}
	spread(t, to, append(others, from)...)
}

func standing(t *testing.T, s, of *identity.Store) identity.Standing {
	t.Helper()
	for _, st := range s.Standings() {
		if st.Fingerprint == of.Fingerprint() {
			return st
		}
	}
	t.Fatalf("%s is not in the roster of %s", of.Name(), s.Name())
	return identity.Standing{}
}

func TestPromotedNodeSignsWithoutTheFounder(t *testing.T) {
	t.Parallel()
	h := newHost(t, "host")
	dir := t.TempDir()
	a, b := open(t, dir, "a", h.clock), h.joined(t, "b")
	join(t, a, h.invite(t))
	spread(t, h.Store, a, b)
	if err := a.MaySign(); !errors.Is(err, identity.ErrNotHolder) || !strings.Contains(err.Error(), "host ("+string(h.NodeID())+")") {
		t.Errorf("a before it was promoted: %v, want ErrNotHolder that names the host", err)
	}
	since := standing(t, h.Store, a).Since
	h.clock.Add(time.Hour)
	promote(t, h.Store, a, b)
	for _, s := range []*identity.Store{h.Store, a, b, open(t, dir, "a", h.clock)} {
		if got := standing(t, s, a); !got.Holder || got.By != h.Fingerprint() || !got.Since.Equal(since) {
			t.Errorf("%s says of a: %+v, want a holder, let in by the host at %v", s.Name(), got, since)
		}
	}
	if standing(t, h.Store, b).Holder {
		t.Error("b holds the key as well")
	}

	// The founder is not asked any more.
	addr := serve(t, a)
	token, _, err := a.Invite([]string{addr})
	if err != nil {
		t.Fatal(err)
	}
	c := open(t, t.TempDir(), "c", h.clock)
	join(t, c, token)
	if err := a.Revoke(b.NodeID()); err != nil {
		t.Fatal(err)
	}
	spread(t, a, h.Store, c)
	for _, s := range []*identity.Store{h.Store, a, c} {
		if got, want := names(s), []string{"a", "c", "host"}; !slices.Equal(got, want) {
			t.Errorf("%s has members %v, want %v", s.Name(), got, want)
		}
		if got := standing(t, s, b); got.State != identity.StateRevoked || got.EndedBy != a.Fingerprint() || !got.Ended.Equal(h.clock.Now()) {
			t.Errorf("%s says of b: %+v, want it revoked by a now", s.Name(), got)
		}
	}
}

// Whoever leaves and comes back is let in as anybody is, without the key.
func TestHolderThatLeftAndCameBackIsNoHolder(t *testing.T) {
	t.Parallel()
	h := newHost(t, "host")
	a := h.joined(t, "a")
	promote(t, h.Store, a)
	farewell, err := a.Farewell()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Import(farewell); err != nil {
		t.Fatal(err)
	}
	if got := standing(t, h.Store, a); got.State != identity.StateLeft || !got.Holder {
		t.Errorf("%+v, want it left, with the key", got)
	}
	if err := a.Leave(); err != nil {
		t.Fatal(err)
	}
	join(t, a, h.invite(t))
	for _, s := range []*identity.Store{h.Store, a} {
		if got := standing(t, s, a); got.State != identity.StateMember || got.Holder {
			t.Errorf("%s says of a: %+v, want a member without the key", s.Name(), got)
		}
	}
	if err := a.MaySign(); !errors.Is(err, identity.ErrNotHolder) {
		t.Errorf("%v, want ErrNotHolder", err)
	}
}

// change alters one field of a message.
func change(t *testing.T, message []byte, field string, to any) []byte {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(message, &m); err != nil {
		t.Fatal(err)
	}
	if _, ok := m[field]; !ok {
		t.Fatalf("%s has no %s", message, field)
	}
	m[field] = to
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The key is sealed only to what the named member itself has offered.
func TestKeyIsNotSealedToAnother(t *testing.T) {
	t.Parallel()
	h, stranger := newHost(t, "host"), newHost(t, "stranger")
	a, b := h.joined(t, "a"), h.joined(t, "b")
	offerOf := func(s *identity.Store) []byte {
		t.Helper()
		o, err := s.OfferKey()
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	var own struct{ Public, Node []byte }
	good := offerOf(a)
	if err := json.Unmarshal(offerOf(b), &own); err != nil {
		t.Fatal(err)
	}
	for what, tt := range map[string]struct {
		offer []byte
		kind  error
	}{
		"another member's":               {offerOf(b), identity.ErrForeign},
		"another's key, a's signature":   {change(t, good, "public", own.Public), identity.ErrForeign},
		"a's name under another's offer": {change(t, offerOf(b), "node", json.RawMessage(`"`+jsonField(t, good, "node")+`"`)), identity.ErrForeign},
		"a stranger's":                   {offerOf(stranger.Store), identity.ErrForeign},
		"no signature":                   {change(t, good, "sig", ""), identity.ErrForeign},
		"another swarm's":                {change(t, good, "swarm", stranger.Swarm().ID), identity.ErrForeign},
		"a newer form":                   {change(t, good, "v", 2), identity.ErrProtocol},
		"nothing":                        {nil, identity.ErrProtocol},
		"too long":                       {[]byte(strings.Repeat(" ", 1<<20)), identity.ErrProtocol},
	} {
		if sealed, err := h.SealKey(a.NodeID(), tt.offer); !errors.Is(err, tt.kind) || sealed != nil {
			t.Errorf("%s: %d bytes, error %v; want %v", what, len(sealed), err, tt.kind)
		}
	}
	if _, err := h.SealKey(stranger.NodeID(), offerOf(stranger.Store)); !errors.Is(err, identity.ErrBadInput) {
		t.Errorf("to a stranger: %v, want ErrBadInput", err)
	}
	if _, err := b.SealKey(a.NodeID(), good); !errors.Is(err, identity.ErrNotHolder) {
		t.Errorf("by a node without the key: %v, want ErrNotHolder", err)
	}
	if _, err := h.SealKey(a.NodeID(), good); err != nil {
		t.Errorf("as it is meant: %v", err)
	}
}

func jsonField(t *testing.T, message []byte, field string) string {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(message, &m); err != nil {
		t.Fatal(err)
	}
	s, _ := m[field].(string)
	return s
}

// A sealed key opens once, in time, for whom it is meant, and unchanged.
func TestSealedKeyOpensOnceForItsReceiver(t *testing.T) {
	t.Parallel()
	h, other := newHost(t, "host"), newHost(t, "other")
	a, b := h.joined(t, "a"), h.joined(t, "b")
	spread(t, h.Store, a, b)
	seal := func() []byte {
		t.Helper()
		offer, err := a.OfferKey()
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := h.SealKey(a.NodeID(), offer)
		if err != nil {
			t.Fatal(err)
		}
		return sealed
	}
	phrase, err := h.RecoveryPhrase()
	if err != nil {
		t.Fatal(err)
	}
	if s := string(seal()); strings.Contains(s, phrase) || strings.Contains(s, identity.SeedText(h.Store)) {
		t.Fatal("the key is readable on its way")
	}
	late := seal()
	h.clock.Add(2 * time.Minute)
	for what, tt := range map[string]struct {
		message []byte
		kind    error
	}{
		"late":             {late, identity.ErrProtocol},
		"changed":          {change(t, seal(), "sealed", "AAAA"), identity.ErrForeign},
		"by another":       {change(t, seal(), "by", b.Fingerprint()), identity.ErrForeign},
		"of another swarm": {change(t, seal(), "swarm", other.Swarm().ID), identity.ErrForeign},
		"never asked for":  {change(t, seal(), "public", "AAAA"), identity.ErrProtocol},
	} {
		if err := a.TakeKey(tt.message); !errors.Is(err, tt.kind) {
			t.Errorf("%s: %v, want %v", what, err, tt.kind)
		}
	}
	sealed := seal()
	if err := b.TakeKey(sealed); !errors.Is(err, identity.ErrProtocol) || b.Swarm().Founder {
		t.Errorf("another member took the key: %v", err)
	}
	if a.Swarm().Founder {
		t.Fatal("a holds the key already")
	}
	if err := a.TakeKey(sealed); err != nil || !a.Swarm().Founder {
		t.Errorf("the receiver: %v", err)
	}
	if err := a.TakeKey(sealed); !errors.Is(err, identity.ErrProtocol) {
		t.Errorf("a second time: %v, want ErrProtocol", err)
	}
}

// A node that was put out, and hears of it, knows by whom and has nobody left; neither what it
// held nor a phrase or a token of that swarm is of use to it.
func TestRevokedNodeKnowsAndIsAlone(t *testing.T) {
	t.Parallel()
	h := newHost(t, "host")
	a, b := h.joined(t, "a"), h.joined(t, "b")
	promote(t, h.Store, a, b)
	offered, err := a.OfferKey()
	if err != nil {
		t.Fatal(err)
	}
	news, err := h.Revocation(a.NodeID())
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Members()) != 3 {
		t.Fatal("Revocation changed something by itself")
	}
	for _, s := range []*identity.Store{a, b, h.Store} {
		if changed, err := s.Import(news); !changed || err != nil {
			t.Fatalf("%s: changed %v, %v", s.Name(), changed, err)
		}
	}
	if got := a.Self(); got.State != identity.StateRevoked || got.EndedBy != h.Fingerprint() || !a.Swarm().Revoked {
		t.Errorf("a of itself: %+v, want it revoked by the host", got)
	}
	if len(a.Members()) != 1 || len(a.Pinned()) != 1 {
		t.Errorf("a trusts %v and pins %v, want itself alone", names(a), a.Pinned())
	}
	if got := standing(t, h.Store, a); !got.Holder {
		t.Error("that a still has the key is not told")
	}
	for _, s := range []*identity.Store{h.Store, b} {
		if _, pinned := s.Pinned()[string(a.Fingerprint())]; pinned || len(s.Pinned()) != 2 {
			t.Errorf("%s pins %v, want itself and the other", s.Name(), s.Pinned())
		}
	}
	phrase, err := h.RecoveryPhrase()
	if err != nil {
		t.Fatal(err)
	}
	_, _, inviteErr := a.Invite([]string{"127.0.0.1:1"})
	_, offerErr := a.OfferKey()
	_, sealErr := a.SealKey(b.NodeID(), offered)
	_, joinErr := a.Join(within(t), h.invite(t), "")
	for what, err := range map[string]error{
		"invite": inviteErr, "revoke": a.Revoke(b.NodeID()), "offer": offerErr, "seal": sealErr, "restore": a.Restore(phrase), "join": joinErr,
	} {
		if !errors.Is(err, identity.ErrRevoked) {
			t.Errorf("%s: %v, want ErrRevoked", what, err)
		}
	}
	if _, err := h.SealKey(a.NodeID(), offered); !errors.Is(err, identity.ErrBadInput) {
		t.Errorf("to a revoked node: %v, want ErrBadInput", err)
	}
	if err := h.Revoke(h.NodeID()); !errors.Is(err, identity.ErrBadInput) || !strings.Contains(err.Error(), "myco leave") {
		t.Errorf("to revoke oneself: %v, want ErrBadInput and myco leave", err)
	}
	// It may go on elsewhere.
	other := newHost(t, "other")
	join(t, a, other.invite(t))
	if a.Swarm().Revoked || a.Swarm().Founder || len(a.Members()) != 2 {
		t.Errorf("%+v with %v, want a plain member elsewhere", a.Swarm(), names(a))
	}
}
