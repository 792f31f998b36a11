package identity_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mycoswarm/mycoswarm/internal/identity"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is far more than anything here takes, on the busiest machine.
const patience = 60 * time.Second

// clock is a clock that only a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func open(t *testing.T, dir, name string, c *clock) *identity.Store {
	t.Helper()
	s, err := identity.Open(dir, identity.Options{Name: name, Now: c.Now, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatalf("open %s: %v", name, err)
	}
	return s
}

// host is a founder with its join listener open.
type host struct {
	*identity.Store
	dir   string
	clock *clock
	addr  string
}

func newHost(t *testing.T, name string) *host {
	t.Helper()
	h := &host{dir: t.TempDir(), clock: newClock()}
	h.Store = open(t, h.dir, name, h.clock)
	h.addr = serve(t, h.Store)
	return h
}

// serve opens a join listener that answers with one fabric address.
func serve(t *testing.T, s *identity.Store) string {
	t.Helper()
	return serveOn(t, s, loopback(t))
}

func serveOn(t *testing.T, s *identity.Store, ln net.Listener) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- s.ServeJoin(ctx, ln, func(local net.Addr) []string {
			ip, _, _ := net.SplitHostPort(local.String())
			return []string{net.JoinHostPort(ip, "7422")}
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve join: %v", err)
		}
	})
	return ln.Addr().String()
}

func (h *host) invite(t *testing.T) string {
	t.Helper()
	token, _, err := h.Invite([]string{h.addr})
	if err != nil {
		t.Fatalf("invite: %v", err)
	}
	return token
}

// joined is a new node that joined h.
func (h *host) joined(t *testing.T, name string) *identity.Store {
	t.Helper()
	s := open(t, t.TempDir(), name, h.clock)
	join(t, s, h.invite(t))
	return s
}

func join(t *testing.T, s *identity.Store, token string) identity.JoinResult {
	t.Helper()
	r, err := s.Join(within(t), token, "")
	if err != nil {
		t.Fatalf("join: %v", err)
	}
	return r
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// loopback listens on a free port.
func loopback(t *testing.T) net.Listener {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// dial connects to addr, for as long as the test and patience last.
func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

func dialTLS(t *testing.T, addr string, cfg *tls.Config) *tls.Conn {
	t.Helper()
	c := tls.Client(dial(t, addr), cfg)
	if err := c.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

func names(s *identity.Store) []string {
	var out []string
	for _, m := range s.Members() {
		out = append(out, m.Name)
	}
	return out
}

// spread gives from's roster to each of to.
func spread(t *testing.T, from *identity.Store, to ...*identity.Store) {
	t.Helper()
	for _, s := range to {
		if _, err := s.Import(from.Export()); err != nil {
			t.Fatalf("import: %v", err)
		}
	}
}
