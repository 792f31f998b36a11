//go:build e2e && linux

package e2e_test

import (
	"crypto/ed25519"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// joiner speaks a joiner's part by hand, from a source of its own: loopback is large.
type joiner struct {
	addr   string
	key    ed25519.PrivateKey
	source int
}

// connect does the handshake at the join port.
func (j *joiner) connect(t *testing.T) *tls.Conn {
	t.Helper()
	cfg := shows(nodeCert(t, j.key))
	cfg.NextProtos = []string{"myco-join/1"}
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 9, byte(j.source>>8), byte(j.source))}}
	raw, err := d.DialContext(t.Context(), "tcp", j.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	if err := raw.SetDeadline(time.Now().Add(harness.Patience)); err != nil {
		t.Fatal(err)
	}
	conn := tls.Client(raw, cfg)
	if err := conn.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return conn
}

// joinRequest is the joiner's message.
func joinRequest(id, name string, proof []byte) []byte {
	b, err := json.Marshal(map[string]any{"v": 1, "token": id, "proof": proof, "name": name})
	if err != nil {
		panic(err) // of strings and bytes: cannot be
	}
	return frame(b)
}

func frame(b []byte) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...) }

// answerTo sends a message, and returns the whole answer and its refusal.
func answerTo(t *testing.T, conn *tls.Conn, message []byte) (all, refused string) {
	t.Helper()
	if _, err := conn.Write(message); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("no answer, and no end")
	}
	if len(b) < 4 {
		return string(b), "hung up"
	}
	var a struct {
		Refused string          `json:"refused"`
		Roster  json.RawMessage `json:"roster"`
	}
	if err := json.Unmarshal(b[4:], &a); err != nil {
		t.Fatalf("answer %q: %v", b, err)
	}
	return string(b), a.Refused
}

// TestJoinMatrix comes to the join port of a real daemon in every way but with a token that is good.
// Whoever is refused is told why, and nothing of the swarm.
func TestJoinMatrix(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)
	a := s.Found(t, "founder-7c1")
	b, c := s.Join(t, a, "member-7c2"), s.Join(t, a, "stolen-7c3")
	harness.Settle(t, a, b, c)
	out := keyOf(t, c)
	c.Kill()
	if r := a.Myco(t, "revoke", c.Name, "--yes"); r.Code != 0 {
		t.Fatal(r)
	}
	settleAmong(t, a, b)
	swarm := a.View(t).Swarm
	secrets := []string{"roster", "records", swarm.ID, string(b.Info.NodeID), a.Name, b.Name, c.Name, b.Info.FabricAddr, a.Info.FabricAddr}
	var before members
	a.JSON(t, &before, "nodes")

	tried := 0
	handshakes := badHandshakes(t, nodeCert(t, newKey(t)))
	other, none := shows(nodeCert(t, newKey(t))), shows(nodeCert(t, newKey(t)))
	other.NextProtos = []string{"h2", "http/1.1"}
	handshakes = append(handshakes, intruder{"another protocol", other, "x"}, intruder{"no protocol", none, "x"})
	for _, i := range handshakes {
		tried++
		if i.tls != nil && i.tls.NextProtos == nil && i.name != "no protocol" {
			i.tls.NextProtos = []string{"myco-join/1"}
		}
		if said, held := intrude(t, a.Info.JoinAddr, i); held || len(said) > 0 && !alert(said, i) {
			t.Errorf("%s: held %v, told %q", i.name, held, said)
		}
	}

	good, spent, short := parseToken(t, a.Invite(t)), parseToken(t, a.Invite(t)), parseToken(t, a.Invite(t, "--ttl", "1ms"))
	wrong := good
	wrong.secret = []byte("0123456789abcdef")
	source := 1
	// by makes a message for a connection; each comes from a source of its own.
	type by func(conn *tls.Conn, fp string) []byte
	try := func(what, want string, key ed25519.PrivateKey, message by) {
		t.Helper()
		tried++
		source++
		j := &joiner{a.Info.JoinAddr, key, source}
		conn := j.connect(t)
		all, refused := answerTo(t, conn, message(conn, fingerprint(t, key.Public())))
		if refused != want {
			t.Errorf("%s: refused as %q, want %q", what, refused, want)
		}
		for _, secret := range secrets {
			if want != "" && strings.Contains(all, secret) {
				t.Errorf("%s: told %q: %s", what, secret, all)
			}
		}
	}
	with := func(k token) by {
		return func(conn *tls.Conn, fp string) []byte {
			return joinRequest(k.id, "guest", k.proof(t, conn, fp, "guest"))
		}
	}
	try("the first with a token", "", newKey(t), with(spent))
	joined := 1
	try("the second with a token", "used", newKey(t), with(spent))
	try("an expired token", "expired", newKey(t), with(short))
	try("a key that was put out, with a good token", "revoked", out, with(good))
	thief := newKey(t)
	first := (&joiner{a.Info.JoinAddr, thief, 1}).connect(t)
	fp := fingerprint(t, thief.Public())
	overheard := good.proof(t, first, fp, "guest")
	replay := func(*tls.Conn, string) []byte { return joinRequest(good.id, "guest", overheard) }
	try("a replayed proof", "bad_token", thief, replay)
	try("a replayed proof of another", "bad_token", newKey(t), replay)
	try("a proof for another name", "bad_token", newKey(t), func(conn *tls.Conn, fp string) []byte {
		return joinRequest(good.id, "another", good.proof(t, conn, fp, "guest"))
	})
	try("a proof for another key", "bad_token", newKey(t), func(conn *tls.Conn, _ string) []byte {
		return joinRequest(good.id, "guest", good.proof(t, conn, fp, "guest"))
	})
	try("a guessed secret", "bad_token", newKey(t), with(wrong))
	try("an unknown token", "bad_token", newKey(t), func(conn *tls.Conn, fp string) []byte {
		return joinRequest("0123456789abcdef", "guest", good.proof(t, conn, fp, "guest"))
	})
	try("no proof", "bad_request", newKey(t), func(*tls.Conn, string) []byte { return joinRequest(good.id, "guest", nil) })
	try("another version", "bad_request", newKey(t), func(*tls.Conn, string) []byte { return frame([]byte(`{"v":2}`)) })
	try("no JSON", "bad_request", newKey(t), func(*tls.Conn, string) []byte { return frame([]byte("{{{{")) })
	try("4 GiB", "bad_request", newKey(t), func(*tls.Conn, string) []byte { return []byte{0xff, 0xff, 0xff, 0xff} })
	try("a name that is none", "bad_request", newKey(t), func(conn *tls.Conn, fp string) []byte {
		return joinRequest(good.id, "\x1b[2J", good.proof(t, conn, fp, "\x1b[2J"))
	})

	// Who guesses is slowed, even when he comes upon the right one; others are not.
	guesser := &joiner{a.Info.JoinAddr, newKey(t), 0xffff}
	var last string
	for range 12 {
		tried++
		conn := guesser.connect(t)
		_, last = answerTo(t, conn, with(wrong)(conn, fingerprint(t, guesser.key.Public())))
	}
	conn := guesser.connect(t)
	_, right := answerTo(t, conn, with(good)(conn, fingerprint(t, guesser.key.Public())))
	if last != "too_many" || right != "too_many" {
		t.Errorf("after 12 guesses: %q, and the right token %q, want both too_many", last, right)
	}
	try("another, with the token that was replayed and guessed at", "", newKey(t), with(good))
	joined++

	var after members
	a.JSON(t, &after, "nodes")
	ids := func(v members) (out []bus.NodeID) {
		for _, m := range v.Nodes {
			out = append(out, m.ID)
		}
		slices.Sort(out)
		return out
	}
	if len(ids(after)) != len(ids(before))+joined {
		t.Errorf("the roster has %v, had %v: want %d more, who had a good token", ids(after), ids(before), joined)
	}
	reach(t, "joins", tried, fmt.Sprintf("%d of %d refused, 0 told of the swarm; 2 with a good token let in", tried-joined, tried-joined))
}
