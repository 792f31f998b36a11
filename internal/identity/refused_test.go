package identity_test

import (
	"context"
	"crypto/tls"
	"net"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/internal/identity"
)

// routes takes connections as a fabric does, until the test ends, and keeps those that it lets in.
func routes(t *testing.T, s *identity.Store) (addr string) {
	t.Helper()
	ln := tls.NewListener(loopback(t), s.RouteTLS())
	done := make(chan struct{})
	go func() {
		defer close(done)
		var in []net.Conn
		for {
			c, err := ln.Accept()
			if err != nil {
				break
			}
			if c.(*tls.Conn).HandshakeContext(t.Context()) == nil {
				in = append(in, c)
			} else {
				_ = c.Close()
			}
		}
		for _, c := range in {
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		<-done
	})
	return ln.Addr().String()
}

// Only a member's refusal counts, and only of this node's key.
func TestRefusedBy(t *testing.T) {
	t.Parallel()
	h, stranger := newHost(t, "host"), newHost(t, "stranger")
	a, b := h.joined(t, "a"), h.joined(t, "b")
	spread(t, h.Store, a, b)
	addr := routes(t, h.Store)
	short := func() context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}
	if m, refused := a.RefusedBy(short(), addr); refused {
		t.Errorf("a member is refused by %+v", m)
	}
	if err := h.Revoke(a.NodeID()); err != nil {
		t.Fatal(err)
	}
	if m, refused := a.RefusedBy(within(t), addr); !refused || m.Fingerprint != h.Fingerprint() {
		t.Errorf("refused %v by %+v, want by the host", refused, m)
	}
	if m, refused := b.RefusedBy(short(), addr); refused {
		t.Errorf("another member is refused by %+v", m)
	}
	if m, refused := a.RefusedBy(within(t), routes(t, stranger.Store)); refused {
		t.Errorf("a stranger's refusal counts: %+v", m)
	}
	if m, refused := a.RefusedBy(within(t), "127.0.0.1:1"); refused {
		t.Errorf("nobody refuses: %+v", m)
	}
}
