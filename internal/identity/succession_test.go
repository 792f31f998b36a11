package identity_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/internal/identity"
)

// stolen opens a copy of a data directory.
func stolen(t *testing.T, dir string, c *clock) *identity.Store {
	t.Helper()
	to := t.TempDir()
	if err := os.Mkdir(filepath.Join(to, "identity"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"node.key", "swarm.json"} {
		b, err := os.ReadFile(filepath.Join(dir, "identity", f))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, "identity", f), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return open(t, to, "", c)
}

func rotateSwarm(t *testing.T, s *identity.Store) (phrase string) {
	t.Helper()
	phrase, err := s.RotateSwarm()
	if err != nil {
		t.Fatal(err)
	}
	return phrase
}

func TestRotateSwarmTakesEverybodyAlong(t *testing.T) {
	t.Parallel()
	h := newHost(t, "host")
	dir := t.TempDir()
	a, b, c := open(t, dir, "a", h.clock), h.joined(t, "b"), h.joined(t, "c")
	join(t, a, h.invite(t))
	promote(t, h.Store, a, b, c)
	if err := h.Revoke(c.NodeID()); err != nil {
		t.Fatal(err)
	}
	spread(t, h.Store, a, b)
	open1 := h.invite(t)
	oldPhrase, err := h.RecoveryPhrase()
	if err != nil {
		t.Fatal(err)
	}
	first, before := h.Swarm().ID, h.Standings()
	h.clock.Add(time.Hour)
	if _, err := b.RotateSwarm(); !errors.Is(err, identity.ErrNotHolder) {
		t.Errorf("by a node without the key: %v, want ErrNotHolder", err)
	}

	phrase := rotateSwarm(t, h.Store)
	if now, err := h.RecoveryPhrase(); phrase == oldPhrase || phrase != now || err != nil {
		t.Errorf("the new phrase is %q, %q is told: %v", now, phrase, err)
	}
	spread(t, h.Store, a)
	spread(t, a, b) // whoever heard of it passes it on
	second := h.Swarm().ID
	for _, s := range []*identity.Store{h.Store, a, b, open(t, dir, "a", h.clock)} {
		if i := s.Swarm(); i.ID != second || i.ID == first || i.Name != "host-swarm" || i.Founder != (s == h.Store) {
			t.Errorf("%s is in %+v, want the new swarm, and the host alone to hold its key", s.Name(), i)
		}
		for _, was := range before {
			want := was
			want.Holder = was.Fingerprint == h.Fingerprint()
			if got := s.Standings()[slices.IndexFunc(s.Standings(), func(x identity.Standing) bool { return x.Node == was.Node })]; got != want {
				t.Errorf("%s says %+v, want %+v", s.Name(), got, want)
			}
		}
	}
	// A token from before, and what was held before, are worth nothing.
	if _, err := open(t, t.TempDir(), "late", h.clock).Join(within(t), open1, ""); !errors.Is(err, identity.ErrBadToken) {
		t.Errorf("with a token from before: %v, want ErrBadToken", err)
	}
	if err := a.MaySign(); !errors.Is(err, identity.ErrNotHolder) {
		t.Errorf("a holder of the old key: %v, want ErrNotHolder", err)
	}
	if err := b.Restore(oldPhrase); !errors.Is(err, identity.ErrForeign) || !strings.Contains(err.Error(), "rotate --swarm") {
		t.Errorf("the old phrase: %v, want ErrForeign", err)
	}
	if err := b.Restore(phrase); err != nil {
		t.Errorf("the new phrase: %v", err)
	}
	spread(t, b, h.Store)
	j := h.joined(t, "joined")
	promote(t, h.Store, j)
	if got := standing(t, j, b); !got.Holder {
		t.Errorf("%+v, want b a holder again", got)
	}
	// Who misses a change follows two at once, and one that joined in between leads it.
	rotateSwarm(t, j)
	spread(t, j, a)
	if a.Swarm().ID != j.Swarm().ID || a.Swarm().ID == second {
		t.Errorf("a is in %s, want %s", a.Swarm().ID.Short(), j.Swarm().ID.Short())
	}
}

// A unit file may hold the token that a node came with for ever: it is ignored as before, also
// where no other member is left.
func TestTokenOfBeforeIsStillTheSwarmsOwn(t *testing.T) {
	t.Parallel()
	h := newHost(t, "host")
	a := open(t, t.TempDir(), "a", h.clock)
	token := h.invite(t)
	join(t, a, token)
	promote(t, h.Store, a)
	if err := a.Revoke(h.NodeID()); err != nil {
		t.Fatal(err)
	}
	rotateSwarm(t, a)
	if r := join(t, a, token); !r.Already || r.Swarm != a.Swarm() {
		t.Errorf("%+v, want nothing to happen", r)
	}
}

// Who was away while the key was replaced comes back by a token of the new one, which invites others as before.
func TestTokenOfTheSuccessorTakesAMemberAlong(t *testing.T) {
	t.Parallel()
	h := newHost(t, "host")
	a, b, gone := h.joined(t, "a"), h.joined(t, "b"), h.joined(t, "gone")
	spread(t, h.Store, a, b)
	farewell, err := gone.Farewell()
	if err == nil {
		_, err = h.Import(farewell)
	}
	if err != nil {
		t.Fatal(err)
	}
	rotateSwarm(t, h.Store)
	rotateSwarm(t, h.Store)
	token := h.invite(t)
	before := snapshot(t, h.dir)
	if r := join(t, a, token); !r.Already || r.Swarm != a.Swarm() || r.Swarm.ID != h.Swarm().ID || r.Inviter.Node != h.NodeID() {
		t.Errorf("%+v in %+v, want it to be in %+v", r, a.Swarm(), h.Swarm())
	}
	if inviter, fabric, err := b.Find(within(t), token); err != nil || inviter.Node != h.NodeID() || len(fabric) != 1 || b.Swarm().ID != h.Swarm().ID {
		t.Errorf("found %s at %q in %+v, error %v", inviter.Node, fabric, b.Swarm(), err)
	}
	was := gone.Swarm()
	if _, err := gone.Join(within(t), token, ""); !errors.Is(err, identity.ErrNotMember) || !strings.Contains(err.Error(), "myco leave") {
		t.Errorf("who has left: %v, want ErrNotMember and what to do", err)
	}
	if gone.Swarm() != was || !slices.Equal(before, snapshot(t, h.dir)) {
		t.Error("a member that asked, or who has left, changed something")
	}
	join(t, open(t, t.TempDir(), "newcomer", h.clock), token)
}

// A token moves no member to a swarm that the key of its own does not name, whoever made it.
func TestForeignTokensMoveNobody(t *testing.T) {
	t.Parallel()
	h := newHost(t, "host")
	dir := t.TempDir()
	a := open(t, dir, "a", h.clock)
	join(t, a, h.invite(t))
	copied := stolen(t, dir, h.clock)
	rogue := h.joined(t, "rogue")
	spread(t, h.Store, a)
	if err := rogue.Leave(); err != nil {
		t.Fatal(err)
	}
	addr := serve(t, rogue)
	invite := func() string {
		t.Helper()
		token, _, err := rogue.Invite([]string{addr})
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	token := invite()
	before := a.Swarm()
	refused := func(what string, kind error) {
		t.Helper()
		if _, err := a.Join(within(t), token, ""); !errors.Is(err, kind) || !strings.Contains(err.Error(), "myco leave") {
			t.Errorf("%s: %v, want %v and what to do", what, err, kind)
		}
		if a.Swarm() != before || len(a.Members()) != 3 {
			t.Fatalf("%s: moved to %+v with %v", what, a.Swarm(), names(a))
		}
	}
	refused("a swarm of its own", identity.ErrNotMember)
	if len(rogue.Members()) != 1 {
		t.Errorf("who asked was let in: %v", names(rogue))
	}
	if err := copied.Leave(); err != nil {
		t.Fatal(err)
	}
	join(t, copied, invite())
	refused("one that has this node's key", identity.ErrOtherSwarm)
	rotateSwarm(t, rogue)
	token = invite()
	refused("one with a chain of its own", identity.ErrOtherSwarm)
}

func TestNodeFollowsTwoChangesAtOnce(t *testing.T) {
	t.Parallel()
	h := newHost(t, "host")
	a, b := h.joined(t, "a"), h.joined(t, "b")
	spread(t, h.Store, a)
	rotateSwarm(t, h.Store)
	rotateSwarm(t, h.Store)
	if changed, err := a.Import(h.Export()); !changed || err != nil || a.Swarm().ID != h.Swarm().ID {
		t.Errorf("changed %v, %v, in %s", changed, err, a.Swarm().ID.Short())
	}
	if changed, err := a.Import(h.Export()); changed || err != nil {
		t.Errorf("again: changed %v, %v", changed, err)
	}
	// b was never told of a, and goes along all the same.
	spread(t, a, b)
	if got, want := names(b), []string{"a", "b", "host"}; !slices.Equal(got, want) {
		t.Errorf("b knows %v, want %v", got, want)
	}
}

// Who has stolen the old key lets nobody in any more, whatever it signs.
func TestStolenKeyIsWorthNothingAfterRotation(t *testing.T) {
	t.Parallel()
	h := newHost(t, "host")
	a := h.joined(t, "a")
	thief := stolen(t, h.dir, h.clock)
	spread(t, h.Store, a)
	rotateSwarm(t, h.Store)
	spread(t, h.Store, a)

	addr := serve(t, thief)
	token, _, err := thief.Invite([]string{addr})
	if err != nil {
		t.Fatal(err)
	}
	accomplice := open(t, t.TempDir(), "accomplice", h.clock)
	join(t, accomplice, token)
	inOldSwarm := thief.Export()
	if err := thief.Revoke(a.NodeID()); err != nil {
		t.Fatal(err)
	}
	withRevocation := thief.Export()
	rotateSwarm(t, thief)
	for what, roster := range map[string][]byte{
		"a member": inOldSwarm, "a revocation": withRevocation, "another successor": thief.Export(), "what the accomplice says": accomplice.Export(),
	} {
		for _, s := range []*identity.Store{h.Store, a} {
			if changed, err := s.Import(roster); changed || !errors.Is(err, identity.ErrForeign) {
				t.Errorf("%s by the old key, told to %s: changed %v, %v; want ErrForeign", what, s.Name(), changed, err)
			}
		}
	}
	for _, s := range []*identity.Store{h.Store, a} {
		if _, pinned := s.Pinned()[string(accomplice.Fingerprint())]; pinned || len(s.Members()) != 2 || s.Swarm().ID != h.Swarm().ID {
			t.Errorf("%s trusts %v in %s", s.Name(), names(s), s.Swarm().ID.Short())
		}
	}
}

// Only the key that a node follows can name the next.
func TestForgedSuccessions(t *testing.T) {
	t.Parallel()
	h, rogue := newHost(t, "host"), newHost(t, "rogue")
	a := h.joined(t, "a")
	past := func(roster []byte) []any {
		t.Helper()
		var d struct{ Past []any }
		if err := json.Unmarshal(roster, &d); err != nil {
			t.Fatal(err)
		}
		return d.Past
	}
	before := a.Swarm()
	rotateSwarm(t, h.Store)
	one := past(h.Export())
	rotateSwarm(t, h.Store)
	two := past(h.Export())
	rotateSwarm(t, rogue.Store)
	good, foreign := h.Export(), rogue.Export()
	for what, tt := range map[string]struct {
		roster []byte
		kind   error
	}{
		"another swarm's chain":        {foreign, identity.ErrForeign},
		"another swarm with our chain": {change(t, foreign, "past", one), identity.ErrForeign},
		"half the chain":               {change(t, good, "past", two[:1]), identity.ErrForeign},
		"the other half":               {change(t, good, "past", two[1:]), identity.ErrForeign},
		"out of order":                 {change(t, good, "past", []any{two[1], two[0]}), identity.ErrForeign},
		"no chain":                     {change(t, good, "past", []any{}), identity.ErrForeign},
		"an empty link":                {change(t, good, "past", []any{two[0], map[string]any{}}), identity.ErrForeign},
		"an empty chain":               {change(t, good, "past", []any{map[string]any{}}), identity.ErrProtocol},
		"too long":                     {change(t, good, "past", make([]any, 65)), identity.ErrProtocol},
		"forged link":                  {[]byte(strings.Replace(string(good), `\"op\":\"succeed\",`, `\"op\":\"succeed\",\"n\":1,`, 1)), identity.ErrForeign},
		"forged member":                {[]byte(strings.Replace(string(good), `\"name\":\"a\"`, `\"name\":\"e\"`, 1)), identity.ErrForeign},
	} {
		if changed, err := a.Import(tt.roster); changed || !errors.Is(err, tt.kind) {
			t.Errorf("%s: changed %v, %v; want %v", what, changed, err, tt.kind)
		}
	}
	if a.Swarm() != before {
		t.Fatalf("a is in %+v, want it where it was", a.Swarm())
	}
	if changed, err := a.Import(good); !changed || err != nil {
		t.Errorf("as it is meant: %v, %v", changed, err)
	}
}

func TestSuccessorWithoutThisNode(t *testing.T) {
	t.Parallel()
	h := newHost(t, "host")
	early := stolen(t, h.dir, h.clock) // as a second holder that has not heard of a
	a := h.joined(t, "a")
	rotateSwarm(t, early)
	before := a.Swarm()
	if changed, err := a.Import(early.Export()); changed || !errors.Is(err, identity.ErrNotMember) || !strings.Contains(err.Error(), "myco leave") {
		t.Errorf("changed %v, %v; want ErrNotMember and what to do", changed, err)
	}
	if a.Swarm() != before {
		t.Errorf("a is in %+v, want it where it was", a.Swarm())
	}
}

func TestRotationsOfTheSwarmAreBounded(t *testing.T) {
	t.Parallel()
	h := newHost(t, "host")
	n := 0
	var err error
	for ; err == nil; n++ {
		_, err = h.RotateSwarm()
	}
	if !errors.Is(err, identity.ErrTooMany) || n < 64 {
		t.Errorf("after %d: %v, want ErrTooMany", n, err)
	}
	if again := open(t, h.dir, "host", h.clock); again.Swarm() != h.Swarm() {
		t.Errorf("after a restart in %+v, want %+v", again.Swarm(), h.Swarm())
	}
}
