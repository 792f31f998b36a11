//go:build unix

package engine_test

import (
	"net"
	"testing"

	"github.com/mycoswarm/mycoswarm/e2e/engine"
)

// Whoever names a reserved address may listen there, again and again; whoever asks for a free port does not get it; and
// who dials it while nobody listens is refused.
func TestReserve(t *testing.T) {
	addr, release, err := engine.Reserve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = release() })
	for range 3 {
		if conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr); err == nil {
			conn.Close()
			t.Errorf("somebody listens at %s", addr)
		}
		ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		ln.Close()
	}
	for range 1000 {
		ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		if ln.Addr().String() == addr {
			t.Fatalf("%s was given to another", addr)
		}
	}
}
