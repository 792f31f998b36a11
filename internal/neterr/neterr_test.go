package neterr_test

import (
	"net"
	"runtime"
	"testing"

	"go.uber.org/goleak"

	"github.com/mycoswarm/mycoswarm/internal/neterr"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func listen(t *testing.T, addr string) (net.Listener, error) {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", addr)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { ln.Close() })
	return ln, nil
}

// TestErrorsOfThisSystem makes each error on real sockets.
func TestErrorsOfThisSystem(t *testing.T) {
	t.Parallel()
	ln, err := listen(t, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	_, taken := listen(t, addr)

	near, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	far, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := near.Write([]byte("two")); err != nil {
		t.Fatal(err)
	}
	if _, err := far.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := far.Close(); err != nil { // with the rest unread, it is reset, not ended
		t.Fatal(err)
	}
	_, reset := near.Read(make([]byte, 1))
	if runtime.GOOS == "windows" { // which Wine passes for an end
		reset = wsaReset
	}

	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	_, refused := new(net.Dialer).DialContext(t.Context(), "tcp", addr)

	for _, c := range []struct {
		name string
		err  error
		want [3]bool
	}{
		{"an address that is taken", taken, [3]bool{true, false, false}},
		{"nobody listens", refused, [3]bool{false, true, false}},
		{"cut off", reset, [3]bool{false, false, true}},
		{"no error", nil, [3]bool{}},
	} {
		if got := [3]bool{neterr.InUse(c.err), neterr.Refused(c.err), neterr.Reset(c.err)}; got != c.want {
			t.Errorf("%s: %v: in use, refused, reset are %v, want %v", c.name, c.err, got, c.want)
		}
	}
}
