package identity_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/internal/identity"
)

// attackers are the connections that no listener of ours lets in. Each gives the
// client's configuration; nil stands for plaintext.
func attackers(t *testing.T, foreign *identity.Store) map[string]*tls.Config {
	t.Helper()
	with := func(change func(c *tls.Config)) *tls.Config {
		c := foreign.JoinTLS()
		change(c)
		return c
	}
	return map[string]*tls.Config{
		"plaintext": nil,
		"TLS 1.2":   with(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 }),
		"no certificate": with(func(c *tls.Config) {
			c.Certificates, c.GetClientCertificate = nil, nil
		}),
		"a key that is not Ed25519": with(func(c *tls.Config) {
			cert := ecdsaCert(t)
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
		}),
		"another's certificate without its key": with(func(c *tls.Config) {
			stolen := *ecdsaCert(t)
			own, err := foreign.RouteTLS().GetClientCertificate(nil)
			if err != nil {
				t.Fatal(err)
			}
			stolen.Certificate = own.Certificate
			stolen.Leaf = nil
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &stolen, nil }
		}),
	}
}

func ecdsaCert(t *testing.T) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// refused dials addr and reports whether the other side ended the connection
// without giving a byte of its own.
func refused(t *testing.T, addr string, cfg *tls.Config) bool {
	t.Helper()
	raw := dial(t, addr)
	if cfg == nil {
		_, _ = io.WriteString(raw, "INFO {\"server_id\":\"rogue\"}\r\nCONNECT {}\r\nPING\r\n")
		b, err := io.ReadAll(raw)
		// An alert record at most.
		return !timedOut(err) && len(b) <= 7 && (len(b) == 0 || b[0] == 21)
	}
	conn := tls.Client(raw, cfg)
	if err := conn.HandshakeContext(t.Context()); err != nil {
		return !timedOut(err)
	}
	n, err := conn.Read(make([]byte, 1)) // in TLS 1.3 the server's verdict comes after ours
	return n == 0 && err != nil && !timedOut(err)
}

func timedOut(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

func TestJoinListenerRefuses(t *testing.T) {
	t.Parallel()
	h, foreign := newHost(t, "host"), newHost(t, "foreign")
	token := h.invite(t)
	before := snapshot(t, h.dir)
	configs := attackers(t, foreign.Store)
	other := foreign.JoinTLS()
	other.NextProtos = []string{"h2"}
	configs["another protocol"] = other
	none := foreign.JoinTLS()
	none.NextProtos = nil
	configs["no protocol"] = none
	for name, cfg := range configs {
		if !refused(t, h.addr, cfg) {
			t.Errorf("%s: not refused", name)
		}
	}
	for i, s := range snapshot(t, h.dir) {
		if s != before[i] {
			t.Errorf("a refused connection changed %s", s)
		}
	}
	join(t, open(t, t.TempDir(), "guest", h.clock), token)
}

// TestProofIsBoundToItsConnection: a proof seen on one connection is worth
// nothing on another.
func TestProofIsBoundToItsConnection(t *testing.T) {
	t.Parallel()
	h := newHost(t, "host")
	token := h.invite(t)
	thief := open(t, t.TempDir(), "thief", h.clock)
	first, second := dialTLS(t, h.addr, thief.JoinTLS()), dialTLS(t, h.addr, thief.JoinTLS())
	got, err := thief.SendRequest(second, first.ConnectionState(), token, "thief")
	if err != nil || got != "bad_token" {
		t.Errorf("replayed proof: %q, %v; want bad_token", got, err)
	}
	if got, err := thief.SendRequest(first, first.ConnectionState(), token, "thief"); err != nil || got != "" {
		t.Errorf("the same proof where it belongs: %q, %v", got, err)
	}
}

func TestGuessedTokenAndRateLimit(t *testing.T) {
	t.Parallel()
	h := newHost(t, "host")
	token := h.invite(t)
	guess, err := identity.GuessToken(token)
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, t.TempDir(), "guest", h.clock)
	for i := range 10 {
		if _, err := s.Join(within(t), guess, ""); !errors.Is(err, identity.ErrBadToken) || !strings.Contains(err.Error(), "myco invite") {
			t.Fatalf("guess %d: %v, want ErrBadToken", i, err)
		}
	}
	if _, err := s.Join(within(t), token, ""); !errors.Is(err, identity.ErrTooMany) {
		t.Errorf("after ten guesses: %v, want ErrTooMany", err)
	}
	if len(h.Members()) != 1 {
		t.Error("a guess let somebody in")
	}
	h.clock.Add(6 * time.Second)
	join(t, s, token)
}

// TestJoinerTrustsOnlyTheInviter: at the inviter's address sits somebody else.
func TestJoinerTrustsOnlyTheInviter(t *testing.T) {
	t.Parallel()
	h, impostor := newHost(t, "host"), newHost(t, "impostor")
	s := open(t, t.TempDir(), "guest", h.clock)
	plain := listen(t, func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n") })
	gone := listen(t, func(net.Conn) {})
	tests := map[string]struct {
		addrs []string
		kind  error
		says  string
	}{
		"another key":          {[]string{impostor.addr}, identity.ErrForeign, string(impostor.NodeID())},
		"another key and none": {[]string{gone, impostor.addr}, identity.ErrForeign, "not the inviter"},
		"no TLS":               {[]string{plain}, identity.ErrUnreachable, "firewall"},
		"hangs up":             {[]string{gone}, identity.ErrUnreachable, gone},
		"loses large packets":  {[]string{gone}, identity.ErrUnreachable, "mtu 1280"},
		"no such port":         {[]string{"127.0.0.1:1"}, identity.ErrUnreachable, "myco join"},
		"a token without LAN":  {[]string{"127.0.0.1:1", "[::1]:1"}, identity.ErrUnreachable, "had no network when it made the token"},
	}
	for name, tt := range tests {
		token, err := identity.RedirectToken(h.invite(t), tt.addrs...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Join(within(t), token, ""); !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v; want %v with %q", name, err, tt.kind, tt.says)
		}
	}
	if len(impostor.Members()) != 1 || len(s.Members()) != 1 {
		t.Error("a refused join changed a roster")
	}
	// One right address among wrong ones is enough.
	token, err := identity.RedirectToken(h.invite(t), gone, "127.0.0.1:1", plain, h.addr, impostor.addr)
	if err != nil {
		t.Fatal(err)
	}
	join(t, s, token)
}

// listen answers each connection with fn and closes it.
func listen(t *testing.T, fn func(net.Conn)) string {
	t.Helper()
	ln := loopback(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			fn(c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = ln.Close(); <-done })
	return ln.Addr().String()
}

// TestSilentAndGreedyPeers: neither side waits or reads for ever.
func TestSilentAndGreedyPeers(t *testing.T) {
	t.Parallel()
	h := &host{dir: t.TempDir(), clock: newClock()}
	h.Store = open(t, h.dir, "host", h.clock)
	h.SetJoinTimeout(200 * time.Millisecond)
	h.addr = serve(t, h.Store)
	foreign := open(t, t.TempDir(), "foreign", h.clock)
	for name, send := range map[string]func(c net.Conn) (net.Conn, error){
		"silent before TLS": func(c net.Conn) (net.Conn, error) { return c, nil },
		"silent after TLS": func(c net.Conn) (net.Conn, error) {
			tc := tls.Client(c, foreign.JoinTLS())
			return tc, tc.HandshakeContext(t.Context())
		},
		"half a message": func(c net.Conn) (net.Conn, error) {
			tc := tls.Client(c, foreign.JoinTLS())
			_, err := tc.Write([]byte{0, 0, 1, 0, '{'})
			return tc, err
		},
	} {
		c, err := send(dial(t, h.addr))
		if err != nil && timedOut(err) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := io.ReadAll(c); timedOut(err) {
			t.Errorf("%s: the connection stayed open", name)
		}
	}

	conn := dialTLS(t, serve(t, foreign), foreign.JoinTLS())
	if _, err := conn.Write([]byte{0xff, 0xff, 0xff, 0xff}); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(conn); err != nil || !strings.Contains(string(b), "bad_request") {
		t.Errorf("a message of 4 GiB announced: %q, %v; want bad_request", b, err)
	}

	// The joiner's side: an inviter that never answers.
	hold := make(chan struct{})
	mute := listen(t, func(net.Conn) { <-hold })
	t.Cleanup(func() { close(hold) })
	token, err := identity.RedirectToken(h.invite(t), mute)
	if err != nil {
		t.Fatal(err)
	}
	foreign.SetJoinTimeout(200 * time.Millisecond)
	if _, err := foreign.Join(within(t), token, ""); !errors.Is(err, identity.ErrUnreachable) {
		t.Errorf("mute inviter: %v, want ErrUnreachable", err)
	}
}

// elsewhere makes connections seem to come from other machines, the first ones from one, over IPv6 from an address each.
type elsewhere struct {
	net.Listener
	mu     sync.Mutex
	first  int
	over6  bool
	inside bool // all of them in one network of IPv6: the first ones from one address, the others from another
	number int
}

type from struct {
	net.Conn
	addr net.Addr
}

func (c from) RemoteAddr() net.Addr { return c.addr }

func (l *elsewhere) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	ip := net.IPv4(192, 0, 2, 1)
	switch l.number++; {
	case l.inside:
		ip = append(net.ParseIP("fd77::")[:15:15], 1)
		if l.number > l.first {
			ip[15] = 2
		}
	case l.number > l.first:
		ip = net.IPv4(192, 0, 2, 2)
	case l.over6:
		ip = append(net.ParseIP("fd77::")[:15:15], byte(l.number))
	}
	return from{c, &net.TCPAddr{IP: ip, Port: 1000 + l.number}}, nil
}

// TestOneHostCannotFillTheListener: silent connections of one machine leave room for others.
func TestOneHostCannotFillTheListener(t *testing.T) {
	t.Parallel()
	for what, l := range map[string]*elsewhere{"IPv4": {}, "IPv6": {over6: true}, "one address, to another of its network": {inside: true}} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			h := &host{dir: t.TempDir(), clock: newClock()}
			h.Store = open(t, h.dir, "host", h.clock)
			const silent = 100
			l.Listener, l.first = loopback(t), silent
			h.addr = serveOn(t, h.Store, l)
			var last net.Conn
			for range silent {
				last = dial(t, h.addr)
			}
			if _, err := last.Read(make([]byte, 1)); err == nil || timedOut(err) {
				t.Errorf("the last of %d connections of one machine: %v, want it closed", silent, err)
			}
			h.joined(t, "patient")
		})
	}
}
