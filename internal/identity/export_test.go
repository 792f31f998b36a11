package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/tls"
	"time"
)

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
