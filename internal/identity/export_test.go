package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"math/rand/v2"
	"strings"
	"time"
)

// MaxEndedInvites bounds the invitations that are kept after their end.
const MaxEndedInvites = maxEndedInvites

// AcceptPause is between two tries to take a joiner's connection.
const AcceptPause = acceptPause

// SetJoinTimeout shortens the bound on a joining connection.
func (s *Store) SetJoinTimeout(d time.Duration) { s.joinTimeout = d }

// JoinTLS is the configuration of a joiner that takes any inviter.
func (s *Store) JoinTLS() *tls.Config {
	cfg := s.baseTLS(nil)
	cfg.NextProtos = []string{joinALPN}
	return cfg
}

// Refusal is a refusal on the wire.
type Refusal = refusal

// SendRequest speaks the joiner's part with a proof for the connection cs.
func (s *Store) SendRequest(conn *tls.Conn, cs tls.ConnectionState, token, name string) (Refusal, error) {
	t, err := ParseToken(token)
	if err != nil {
		return "", err
	}
	p, err := proof(cs, t.secret, t.Inviter, s.key.fp, name)
	if err != nil {
		return "", err
	}
	req := joinRequest{Version: joinVersion, Token: tokenID(t.secret), Proof: p, Name: name}
	if err := writeFrame(conn, req, maxRequestBytes); err != nil {
		return "", err
	}
	var a joinAnswer
	if err := readFrame(conn, &a, maxAnswerBytes); err != nil {
		return "", err
	}
	return a.Refused, nil
}

// DecodeRequest and DecodeAnswer read frames as the two sides do.
func DecodeRequest(b []byte) error {
	var r joinRequest
	if err := readFrame(bytes.NewReader(b), &r, maxRequestBytes); err != nil {
		return err
	}
	return r.validate()
}

func DecodeAnswer(b []byte, token Token, joiner Fingerprint) error {
	var a joinAnswer
	if err := readFrame(bytes.NewReader(b), &a, maxAnswerBytes); err != nil {
		return err
	}
	_, _, err := a.swarm(token, joiner)
	return err
}

// PeerOf reads a certificate as either side of a connection does.
func PeerOf(cert *x509.Certificate) (Fingerprint, Start, error) {
	cs := tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}
	fp, err := peerFingerprint(cs)
	return fp, startOf(cs), err
}

// GuessToken is token with another secret.
func GuessToken(token string) (string, error) {
	t, err := ParseToken(token)
	if err != nil {
		return "", err
	}
	t.secret = bytes.Repeat([]byte{7}, secretSize)
	return t.encode()
}

// RedirectToken is token with other addresses.
func RedirectToken(token string, addrs ...string) (string, error) {
	t, err := ParseToken(token)
	if err != nil {
		return "", err
	}
	t.Addrs = addrs
	return t.encode()
}

// SignFuture gives a roster with one more record, of an operation and with a field
// that this version does not know, signed by the swarm key.
func (s *Store) SignFuture() ([]byte, error) {
	st := s.cur.Load()
	raw := `{"op":"promote","swarm":"` + string(st.roster.id) + `","epoch":1,"n":1,"node":"` + string(s.key.fp) +
		`","until":"later","at":"2030-01-01T00:00:00Z"}`
	e := entry{body: body{Op: "promote"}}
	e.rec = signRaw(st, raw)
	r, _ := st.roster.merge(e)
	return r.encode()
}

// ForgeRoster gives a roster of victim's swarm in which s, with a key of its own,
// made itself a member.
func (s *Store) ForgeRoster(victim *Store) ([]byte, error) {
	v := victim.cur.Load()
	e, err := sign(s.key.priv, body{
		Op: opAdd, Swarm: v.roster.id, Epoch: 1, N: 1, Node: s.key.fp, Name: "rogue", Holder: true,
	})
	if err != nil {
		return nil, err
	}
	r, _ := v.roster.merge(e)
	return r.encode()
}

func signRaw(st *state, raw string) record {
	priv := st.swarmKey()
	return record{
		Body: raw,
		Key:  priv.Public().(ed25519.PublicKey),
		Sig:  ed25519.Sign(priv, append([]byte(recordContext), raw...)),
	}
}

// RosterMaker makes random rosters of one swarm, as nodes could have built them.
type RosterMaker struct {
	rng   *rand.Rand
	swarm *state
	nodes []ed25519.PrivateKey
}

func NewRosterMaker(rng *rand.Rand) (*RosterMaker, error) {
	st, err := found(Fingerprint(strings.Repeat("0", 64)), "founder", "swarm", time.Unix(0, 0))
	if err != nil {
		return nil, err
	}
	m := &RosterMaker{rng: rng, swarm: st}
	for range 3 {
		_, priv, err := ed25519.GenerateKey(nil)
		if err != nil {
			return nil, err
		}
		m.nodes = append(m.nodes, priv)
	}
	return m, nil
}

// TestRoster is a roster that tests merge.
type TestRoster struct{ r roster }

// Make gives a roster of up to n random records of few nodes, epochs and counts, so
// that they collide often.
func (m *RosterMaker) Make(n int) (TestRoster, error) {
	r := newRoster(m.swarm.roster.key)
	for range m.rng.IntN(n + 1) {
		node := m.nodes[m.rng.IntN(len(m.nodes))]
		b := body{
			Op:    []op{opAdd, opAdd, opRevoke, opLeave, opHolder, opSwarm, "future"}[m.rng.IntN(7)],
			Swarm: r.id, Epoch: 1 + m.rng.Int64N(2), N: 1 + m.rng.Int64N(3),
			Node: fingerprintOf(node.Public().(ed25519.PublicKey)),
			Name: string(rune('a' + m.rng.IntN(3))),
		}
		key := m.swarm.swarmKey()
		switch b.Op {
		case opLeave:
			key = node
		case opSwarm:
			b.Node = ""
		}
		e, err := sign(key, b)
		if err != nil {
			return TestRoster{}, err
		}
		if e, err = verify(e.rec, r.id, r.key); err != nil {
			return TestRoster{}, err
		}
		r, _ = r.merge(e)
	}
	return TestRoster{r}, nil
}

// Merge takes o's records in as Import does.
func (t TestRoster) Merge(o TestRoster) (TestRoster, bool, error) {
	d, err := decodeRosterDoc([]byte(o.String()))
	if err != nil {
		return t, false, err
	}
	good, err := t.r.check(d)
	if err != nil {
		return t, false, err
	}
	r, changed := t.r.merge(good...)
	return TestRoster{r}, changed, nil
}

// String is the roster's wire form.
func (t TestRoster) String() string {
	b, err := t.r.encode()
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// Standings counts members, and members that were revoked in their epoch or later.
func (t TestRoster) Standings() (members, revokedMembers int) {
	for fp, m := range t.r.members() {
		members++
		add, _ := t.r.find(opAdd, fp)
		if rev, ok := t.r.find(opRevoke, m.Fingerprint); ok && rev.Epoch >= add.Epoch {
			revokedMembers++
		}
	}
	return members, revokedMembers
}

// SeedText is the swarm key's seed as JSON spells it.
func SeedText(s *Store) string { return base64.StdEncoding.EncodeToString(s.cur.Load().seed) }
