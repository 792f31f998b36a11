package identity_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/internal/identity"
)

// route is a listener with a store's RouteTLS that greets whom it lets in.
func route(t *testing.T, s *identity.Store) string {
	t.Helper()
	cfg := s.RouteTLS() // made once: it follows the roster by itself
	return listen(t, func(c net.Conn) {
		_ = c.SetDeadline(time.Now().Add(patience))
		conn := tls.Server(c, cfg)
		if conn.HandshakeContext(t.Context()) == nil {
			_, _ = io.WriteString(conn, "hello")
			_ = conn.CloseWrite()
			_, _ = io.Copy(io.Discard, conn)
		}
	})
}

// greeted dials a route and gives the error of either side's check.
func greeted(t *testing.T, addr string, cfg *tls.Config) error {
	t.Helper()
	conn := tls.Client(dial(t, addr), cfg)
	if err := conn.HandshakeContext(t.Context()); err != nil {
		return err
	}
	b, err := io.ReadAll(conn)
	if err != nil {
		return err
	}
	if string(b) != "hello" {
		t.Errorf("greeted with %q", b)
	}
	return conn.Close()
}

func TestRoutesAreForMembersOnly(t *testing.T) {
	t.Parallel()
	h, foreign := newHost(t, "host"), newHost(t, "foreign")
	addr := route(t, h.Store)
	for name, cfg := range attackers(t, foreign.Store) {
		if !refused(t, addr, cfg) {
			t.Errorf("%s: not refused", name)
		}
	}

	// A foreign key, met from both sides: the dialler refuses before it shows its own.
	if err := greeted(t, addr, foreign.RouteTLS()); !errors.Is(err, identity.ErrNotMember) {
		t.Errorf("a foreign node dials with its own check: %v, want ErrNotMember", err)
	}
	if !refused(t, addr, foreign.JoinTLS()) {
		t.Error("a foreign node without a check of its own is not refused")
	}
	if err := greeted(t, route(t, foreign.Store), h.RouteTLS()); !errors.Is(err, identity.ErrNotMember) {
		t.Errorf("a foreign node is dialled: %v, want ErrNotMember", err)
	}
}

// TestRoutesFollowTheRoster: joining and revoking take effect on configurations that
// were made before.
func TestRoutesFollowTheRoster(t *testing.T) {
	t.Parallel()
	h := newHost(t, "host")
	s := open(t, t.TempDir(), "guest", h.clock)
	fromHost, fromGuest := h.RouteTLS(), s.RouteTLS()
	toHost, toGuest := route(t, h.Store), route(t, s)
	check := func(when string, want bool) {
		t.Helper()
		for name, err := range map[string]error{
			"guest to host": greeted(t, toHost, fromGuest), "host to guest": greeted(t, toGuest, fromHost),
		} {
			if (err == nil) != want {
				t.Errorf("%s, %s: %v; want success %v", when, name, err, want)
			}
		}
	}
	check("before joining", false)
	join(t, s, h.invite(t))
	check("as a member", true)
	if err := h.Revoke(s.NodeID()); err != nil {
		t.Fatal(err)
	}
	check("revoked, and the guest has not heard", false)
	err := greeted(t, toGuest, fromHost)
	if !errors.Is(err, identity.ErrNotMember) || !errors.Is(err, identity.ErrRevoked) {
		t.Errorf("the host dials a revoked node: %v, want ErrNotMember and ErrRevoked", err)
	}
}
