package identity

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hpke"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// The swarm key goes from a holder (H) to another member (M) in three steps:
//
//	step  who  what
//	1     M    makes an X25519 key for this once, and signs it with its node key (OfferKey)
//	2     H    checks that signature by the roster, and seals the swarm's seed to the key (SealKey)
//	3     M    opens it, checks that it is the swarm's, and signs the holder record (TakeKey)
//
// Whoever carries or overhears the messages, a member too, learns nothing; and who changes
// them is found out. Sealing is HPKE (RFC 9180): X25519, HKDF-SHA256, ChaCha20-Poly1305.
const (
	handoverVersion = 1
	offerContext    = "mycoswarm key offer v1\x00"
	sealContext     = "mycoswarm key seal v1\x00"

	// offerLife is how long an offered key may be used, maxOffers how many wait at once.
	offerLife = time.Minute
	maxOffers = 8

	maxHandoverBytes = 4 << 10
)

// keyOffer is step 1 on the wire.
type keyOffer struct {
	Version int     `json:"v"`
	Swarm   SwarmID `json:"swarm"`
	Public  []byte  `json:"public"` // X25519
	Node    []byte  `json:"node"`   // M's node key
	Sig     []byte  `json:"sig"`    // over offerContext, Swarm and Public
}

// sealedKey is step 2 on the wire.
type sealedKey struct {
	Version int         `json:"v"`
	Swarm   SwarmID     `json:"swarm"`
	Public  []byte      `json:"public"` // which offer it answers
	By      Fingerprint `json:"by"`
	Sealed  []byte      `json:"sealed"`
}

// handover holds the keys that were offered and not used yet.
type handover struct {
	mu     sync.Mutex
	offers []openOffer // oldest first
}

type openOffer struct {
	public string
	key    *ecdh.PrivateKey
	until  time.Time
}

// add keeps an offer, in place of the oldest where there are many.
func (h *handover) add(o openOffer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.offers) == maxOffers {
		h.offers = slices.Delete(h.offers, 0, 1)
	}
	h.offers = append(h.offers, o)
}

// take uses an offer up.
func (h *handover) take(public []byte, now time.Time) (*ecdh.PrivateKey, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.offers = slices.DeleteFunc(h.offers, func(o openOffer) bool { return now.After(o.until) })
	i := slices.IndexFunc(h.offers, func(o openOffer) bool { return o.public == string(public) })
	if i < 0 {
		return nil, false
	}
	key := h.offers[i].key
	h.offers = slices.Delete(h.offers, i, i+1)
	return key, true
}

func (o keyOffer) signed() []byte {
	return slices.Concat([]byte(offerContext), []byte(o.Swarm), []byte{0}, o.Public)
}

// sealInfo binds what is sealed to the swarm, to who gives and to who receives.
func sealInfo(swarm SwarmID, by, to Fingerprint) []byte {
	return []byte(sealContext + string(swarm) + "\x00" + string(by) + "\x00" + string(to))
}

// OfferKey begins to take over the swarm key: it gives a message for SealKey on a holder,
// good for a minute. It fails with ErrNotMember on a node that was put out.
func (s *Store) OfferKey() ([]byte, error) {
	st := s.cur.Load()
	if st.roster.revoked(s.key.fp) {
		return nil, errPutOut(st, s.key.fp)
	}
	key, err := ecdh.X25519().GenerateKey(nil)
	if err != nil {
		return nil, fmt.Errorf("make a key to receive the swarm key: %w", err)
	}
	o := keyOffer{Version: handoverVersion, Swarm: st.roster.id, Public: key.PublicKey().Bytes(), Node: s.key.pub}
	o.Sig = ed25519.Sign(s.key.priv, o.signed())
	s.handover.add(openOffer{public: string(o.Public), key: key, until: s.now().Add(offerLife)})
	return json.Marshal(o)
}

// SealKey gives the swarm key to a member, sealed to what it offered: a message for its
// TakeKey. It fails with ErrNotHolder, with ErrBadInput for a node that is no member, and
// with ErrForeign for an offer that is not that member's.
func (s *Store) SealKey(to bus.NodeID, offer []byte) ([]byte, error) {
	st := s.cur.Load()
	if err := st.maySign(s.key.fp); err != nil {
		return nil, err
	}
	var o keyOffer
	if err := decodeHandover(offer, &o); err != nil {
		return nil, err
	}
	pub, err := o.check(st, to)
	if err != nil {
		return nil, err
	}
	fp := fingerprintOf(o.Node)
	sealed, err := hpke.Seal(pub, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), sealInfo(st.roster.id, s.key.fp, fp), st.seed)
	if err != nil {
		return nil, fmt.Errorf("seal the swarm key: %w", err)
	}
	return json.Marshal(sealedKey{
		Version: handoverVersion, Swarm: st.roster.id, Public: o.Public, By: s.key.fp, Sealed: sealed,
	})
}

// check gives the key to seal to, if o is an offer of the member called to.
func (o keyOffer) check(st *state, to bus.NodeID) (hpke.PublicKey, error) {
	foreign := func(cause string) error {
		return &Error{Kind: ErrForeign, Cause: "the key to hand the swarm key to is " + cause, Next: "do not repeat this before you know who answered for " + string(to)}
	}
	if o.Version != handoverVersion {
		return nil, &Error{Kind: ErrProtocol, Cause: "the other node hands the swarm key over in another way", Next: "install the same version of mycod on both"}
	}
	if len(o.Node) != ed25519.PublicKeySize {
		return nil, foreign("not signed")
	}
	m, member := st.members[fingerprintOf(o.Node)]
	switch {
	case !slices.ContainsFunc(slices.Collect(maps.Values(st.members)), func(m Member) bool { return m.Node == to }):
		return nil, &Error{Kind: ErrBadInput, Cause: fmt.Sprintf("%s is not a member", clip(string(to))), Next: "run `myco nodes` to see who is"}
	case !member || m.Node != to:
		return nil, foreign("that of another node")
	case o.Swarm != st.roster.id:
		return nil, foreign("of another swarm")
	case !ed25519.Verify(o.Node, o.signed(), o.Sig):
		return nil, foreign("wrongly signed")
	}
	pub, err := ecdh.X25519().NewPublicKey(o.Public)
	if err != nil {
		return nil, foreign("no key at all")
	}
	return hpke.NewDHKEMPublicKey(pub)
}

// TakeKey ends what OfferKey began: this node holds the swarm key, and its roster says
// so. It fails with ErrProtocol for what is no answer to an open offer, and with ErrForeign
// for another key than the swarm's. A node that holds the key already stays as it is.
func (s *Store) TakeKey(sealed []byte) error {
	var k sealedKey
	if err := decodeHandover(sealed, &k); err != nil {
		return err
	}
	key, open := s.handover.take(k.Public, s.now())
	if !open {
		return &Error{Kind: ErrProtocol, Cause: "nobody here waits for this key, or no longer", Next: "run `myco nodes promote` again"}
	}
	priv, err := hpke.NewDHKEMPrivateKey(key)
	if err != nil {
		return fmt.Errorf("open the swarm key: %w", err)
	}
	seed, err := hpke.Open(priv, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), sealInfo(k.Swarm, k.By, s.key.fp), k.Sealed)
	if err != nil || len(seed) != ed25519.SeedSize {
		return &Error{Kind: ErrForeign, Cause: "what was handed over was not sealed for this node", Next: "run `myco nodes promote` again"}
	}
	return s.update(func(next *state) error {
		pub := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
		if k.Swarm != next.roster.id || !pub.Equal(next.roster.key) {
			return &Error{Kind: ErrForeign, Cause: "what was handed over is not the key of swarm " + clip(next.roster.name())}
		}
		if _, member := next.members[k.By]; !member {
			return &Error{Kind: ErrForeign, Cause: "the swarm key was handed over by a node that is no member"}
		}
		return s.hold(next, seed, k.By)
	})
}

func decodeHandover(b []byte, v any) error {
	if len(b) > maxHandoverBytes {
		return fmt.Errorf("%w: a message of %d bytes about the swarm key; the limit is %d", ErrProtocol, len(b), maxHandoverBytes)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: read a message about the swarm key: %w", ErrProtocol, err)
	}
	return nil
}
