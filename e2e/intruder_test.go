//go:build e2e && linux

package e2e_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// intruder is one way to come to a port of a node.
type intruder struct {
	name string
	tls  *tls.Config // nil: without
	send string      // once connected
}

// shows is the configuration of a client that shows a certificate, whatever it is asked for.
func shows(certs ...tls.Certificate) *tls.Config {
	cfg := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10}
	if len(certs) > 0 {
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certs[0], nil }
	}
	return cfg
}

func limited(cfg *tls.Config, version uint16) *tls.Config {
	cfg.MaxVersion = version
	return cfg
}

func expired(c *x509.Certificate) {
	c.NotBefore, c.NotAfter = time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2002, 1, 1, 0, 0, 0, 0, time.UTC)
}

func toCome(c *x509.Certificate) { c.NotBefore = time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC) }

func authority(c *x509.Certificate) {
	c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature
}

// withoutKey shows a certificate that somebody else's key signs for.
func withoutKey(cert tls.Certificate, key crypto.Signer) tls.Certificate {
	cert.PrivateKey, cert.Leaf = key, nil
	return cert
}

// badHandshakes are those that neither port lets go through; cert is one of a key that the port
// would take.
func badHandshakes(t *testing.T, cert tls.Certificate) []intruder {
	t.Helper()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	nats := "INFO {\"server_id\":\"rogue\"}\r\nCONNECT {\"name\":\"rogue\"}\r\nPING\r\n"
	return []intruder{
		{"plaintext NATS", nil, nats},
		{"plaintext HTTP", nil, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"plaintext garbage", nil, strings.Repeat("\x00\xff", 600)},
		{"TLS 1.0", limited(shows(cert), tls.VersionTLS10), nats},
		{"TLS 1.1", limited(shows(cert), tls.VersionTLS11), nats},
		{"TLS 1.2", limited(shows(cert), tls.VersionTLS12), nats},
		{"no certificate", shows(tls.Certificate{}), nats},
		{"an ECDSA key", shows(nodeCert(t, ec)), nats},
		{"an RSA key", shows(nodeCert(t, rs)), nats},
		{"a certificate without its key", shows(withoutKey(cert, newKey(t))), nats},
	}
}

// intrude connects, and returns what the other side said before it hung up, and whether it still
// holds the connection.
func intrude(t *testing.T, addr string, i intruder) (said []byte, held bool) {
	t.Helper()
	raw, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if err := raw.SetDeadline(time.Now().Add(harness.Patience)); err != nil {
		t.Fatal(err)
	}
	var conn io.ReadWriter = raw
	if i.tls != nil {
		c := tls.Client(raw, i.tls)
		if err := c.HandshakeContext(t.Context()); err != nil {
			return nil, errors.Is(err, os.ErrDeadlineExceeded)
		}
		conn = c
	}
	_, _ = io.WriteString(conn, i.send) // it may be cut already
	b := make([]byte, 64<<10)
	for {
		n, err := conn.Read(b[len(said):])
		said = b[:len(said)+n]
		if err != nil {
			return said, errors.Is(err, os.ErrDeadlineExceeded)
		}
		if strings.Contains(string(said), "\n") {
			return said, false // it speaks: that is enough
		}
	}
}

// TestRouteMatrix comes to the route port of a real daemon in every way but as a member.
func TestRouteMatrix(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)
	a := s.Found(t, "a")
	b, c := s.Join(t, a, "b"), s.Join(t, a, "c")
	harness.Settle(t, a, b, c)
	member, out, foreign := keyOf(t, b), keyOf(t, c), newKey(t)
	c.Kill()
	if r := a.Myco(t, "revoke", "c", "--yes"); r.Code != 0 {
		t.Fatal(r)
	}
	settleAmong(t, a, b)

	named := func(c *x509.Certificate) { c.Subject.CommonName = string(b.Info.NodeID) }
	behind := nodeCert(t, foreign)
	behind.Certificate = append(behind.Certificate, nodeCert(t, member).Certificate...)
	start := shows(nodeCert(t, foreign))
	start.NextProtos = []string{"myco-start/1"}
	hello := "CONNECT {\"verbose\":false,\"name\":\"rogue\",\"cluster\":\"x\"}\r\nPING\r\n"
	cases := append(badHandshakes(t, nodeCert(t, member)), []intruder{
		{"a foreign key", shows(nodeCert(t, foreign)), hello},
		{"a foreign key with a member's name", shows(nodeCert(t, foreign, named)), hello},
		{"a foreign key, expired", shows(nodeCert(t, foreign, expired)), hello},
		{"a foreign key, not valid yet", shows(nodeCert(t, foreign, toCome)), hello},
		{"a foreign key that is an authority", shows(nodeCert(t, foreign, authority)), hello},
		{"a foreign key, and a member's certificate behind it", shows(behind), hello},
		{"a foreign key that asks which process it is", start, hello},
		{"a key that was put out", shows(nodeCert(t, out)), hello},
		{"a key that was put out, with another name", shows(nodeCert(t, out, named)), hello},
	}...)
	for _, at := range []*harness.Node{a, b} {
		for _, i := range cases {
			if said, held := intrude(t, at.Info.FabricAddr, i); held || len(said) > 0 && !alert(said, i) {
				t.Errorf("%s, at %s: held %v, told %q", i.name, at.Name, held, said)
			}
		}
	}
	// The same hand opens with a member's key, whatever the dates of its certificate.
	for name, cert := range map[string]tls.Certificate{"a member's key": nodeCert(t, member), "a member's key, expired": nodeCert(t, member, expired)} {
		if said, _ := intrude(t, a.Info.FabricAddr, intruder{name, shows(cert), ""}); !strings.HasPrefix(string(said), "INFO ") {
			t.Errorf("%s: told %q, want it let in: the test would refuse everybody", name, said)
		}
	}
	settleAmong(t, a, b)
	if n := a.View(t).Ready(); n != 2 {
		t.Errorf("%d nodes are ready, want 2", n)
	}
	reach(t, "routes", 2*len(cases), fmt.Sprintf("%d of %d refused, 0 bytes told", 2*len(cases), 2*len(cases)))
}

// alert reports whether said is an alert of TLS, to who does not speak it.
func alert(said []byte, i intruder) bool { return i.tls == nil && len(said) <= 7 && said[0] == 21 }

// TestImpostorLearnsNothing has others answer where an inviter, or a peer, is expected: they are told
// nothing, not even who calls.
func TestImpostorLearnsNothing(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)
	a := s.Found(t, "a")
	b := s.Join(t, a, "b")
	harness.Settle(t, a, b)
	key := newKey(t)
	server := func(cert tls.Certificate, version uint16) *tls.Config {
		return &tls.Config{
			Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAnyClientCert, MaxVersion: version, InsecureSkipVerify: true,
			NextProtos: []string{"myco-join/1", "myco-start/1"}, MinVersion: tls.VersionTLS10,
		}
	}
	named := func(c *x509.Certificate) { c.Subject.CommonName = string(a.Info.NodeID) }
	impostors := []struct {
		name string
		tls  *tls.Config
	}{
		{"without TLS", nil},
		{"a foreign key", server(nodeCert(t, key), 0)},
		{"a foreign key with the node's name", server(nodeCert(t, key, named), 0)},
		{"the node's certificate without its key", server(withoutKey(nodeCert(t, keyOf(t, a)), key), 0)},
		{"the node's key, TLS 1.2", server(nodeCert(t, keyOf(t, a)), tls.VersionTLS12)},
	}
	met := 0
	var peers []string
	var rogues []*rogue
	for k, i := range impostors {
		text := a.Invite(t)
		invitation := parseToken(t, text)
		r := startRogue(t, "127.0.0.1:0", i.tls)
		joiner := s.Node(t, fmt.Sprintf("joiner-%d", k))
		got := joiner.Mycod(t, append(joiner.Flags(), "--join", invitation.at(r.addr))...)
		refusal{1, []string{"myco"}}.check(t, "join at "+i.name, got)
		r.await(t, i.name, 1)
		r.learntNothing(t, "join at "+i.name, string(invitation.secret), invitation.id, joiner.Name, string(nodeIDOf(t, joiner)))
		if t.Failed() {
			return
		}
		met += len(r.heard())
		peer := startRogue(t, "127.0.0.1:0", i.tls)
		rogues, peers = append(rogues, peer), append(peers, "--peer", peer.addr.String())
	}
	b.Stop(t)
	b.Start(t, peers...)
	for k, r := range rogues {
		what := "as a peer: " + impostors[k].name
		r.await(t, what, 2)
		r.learntNothing(t, what, string(b.Info.NodeID), string(a.Info.NodeID))
		met += len(r.heard())
	}
	harness.Settle(t, a, b)

	// With the inviter's own key, stolen, a rogue is told what it takes: the test would see it.
	invitation := parseToken(t, a.Invite(t))
	thief := startRogue(t, "127.0.0.1:0", server(nodeCert(t, keyOf(t, a)), 0))
	joiner := s.Node(t, "joiner")
	joiner.Mycod(t, append(joiner.Flags(), "--join", invitation.at(thief.addr))...)
	if got := thief.heard(); len(got) != 1 || got[0].certs != 1 || !strings.Contains(string(got[0].data), invitation.id) || strings.Contains(string(got[0].data), string(invitation.secret)) {
		t.Errorf("with the inviter's key: %+v, want a certificate and a request that does not hold the secret", got)
	}
	reach(t, "impostor", met, fmt.Sprintf("%d connections of %d kinds of impostors: 0 certificates shown, 0 bytes told", met, 2*len(impostors)))
}

// nodeIDOf is the id of a node that may never have been up.
func nodeIDOf(t *testing.T, n *harness.Node) bus.NodeID {
	t.Helper()
	id, err := bus.NodeIDOf(fingerprint(t, keyOf(t, n).Public()))
	if err != nil {
		t.Fatal(err)
	}
	return id
}
