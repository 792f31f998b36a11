package fabric_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/bus/fabric"
	"github.com/mycoswarm/mycoswarm/bus/fabric/fabrictest"
)

// inGoroutine reports whether a goroutine of this process is in the function fn. Its callers are
// not parallel tests: no other test is in it then.
func inGoroutine(fn string) bool {
	buf := make([]byte, 1<<20)
	return strings.Contains(string(buf[:runtime.Stack(buf, true)]), fn+"(")
}

// awaitGoroutine returns once a goroutine is in the function fn.
func awaitGoroutine(t *testing.T, fn string) {
	t.Helper()
	fabrictest.Eventually(t, func() bool { return inGoroutine(fn) }, "a goroutine is in %s", fn)
}

// silent connects to the port for routes, as a client of NATS does that takes it for a server's: it
// waits to be spoken to. It returns once the server waits too.
func silent(t *testing.T, f *fabric.Fabric) net.Conn {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", f.FabricAddr())
	check(t, err)
	t.Cleanup(func() { c.Close() })
	awaitGoroutine(t, "crypto/tls.(*Conn).readClientHello")
	return c
}

// A change of the routes waits for a connection that says nothing; meanwhile the fabric answers,
// and carries what is said on it.
func TestChangeThatWaitsHoldsNothingUp(t *testing.T) { //nolint:paralleltest // see awaitGoroutine
	k, other := fabrictest.NewKey(t), fabrictest.NewKey(t)
	cfg, _, _ := fabrictest.FabricConfig(t, k, fabrictest.NewRoster(k))
	f := patient(t, k, cfg).Fabric
	nc, err := f.Conn("inside")
	check(t, err)
	t.Cleanup(nc.Close)
	_, err = nc.Subscribe("swarm.here", func(m *nats.Msg) { _ = m.Respond(nil) })
	check(t, err)
	check(t, nc.Flush())

	c := silent(t, f)
	changed := make(chan error, 1)
	go func() { changed <- f.SetTrust(fabrictest.NewRoster(k, other).Pinned(), nil) }()
	awaitGoroutine(t, "server.(*Server).ReloadOptions")
	answers := make(chan error, 1)
	go func() {
		f.Routed()
		f.RTT()
		if f.FabricAddr() == "" || f.ClientURL() == "" || f.LeafURL() == "" || !f.Interest("swarm.here") {
			t.Error("the fabric tells nothing of itself")
		}
		_, err := nc.Request("swarm.here", nil, fabrictest.Limit)
		answers <- err
	}()
	select {
	case err := <-answers:
		check(t, err)
	case err := <-changed:
		t.Errorf("the change was over before the fabric answered: %v", err)
	case <-time.After(fabrictest.Limit):
		t.Error("the fabric does not answer while a change waits")
	}
	check(t, c.Close())
	select {
	case err := <-changed:
		check(t, err)
	case <-time.After(fabrictest.Limit):
		t.Error("the change still waits after the silent connection has ended")
	}
}

// A client has 5 s to connect. It gets in although a change of the routes waits for a connection
// that says nothing.
func TestClientGetsInPastASilentConnection(t *testing.T) { //nolint:paralleltest // see inGoroutine
	k := fabrictest.NewKey(t)
	n := fabrictest.StartFabric(t, k, fabrictest.NewRoster(k))
	inside, err := n.Fabric.Conn("inside")
	check(t, err)
	t.Cleanup(inside.Close)
	_, err = inside.Subscribe(bus.SubjectRPC(n.ID, bus.VerbPing), func(m *nats.Msg) { _ = m.Respond([]byte(`{}`)) })
	check(t, err)
	check(t, inside.Flush())
	creds := userFile(t, n.User)

	// The silent connection is given up after 2 s. Where that went by unseen, there is another.
	changed := make(chan error, 1)
	for waits := false; !waits; {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", n.Fabric.FabricAddr())
		check(t, err)
		t.Cleanup(func() { c.Close() })
		go func() { changed <- n.Fabric.SetTrust(fabrictest.NewRoster(k, fabrictest.NewKey(t)).Pinned(), nil) }()
		fabrictest.Eventually(t, func() bool {
			waits = inGoroutine("crypto/tls.(*Conn).readClientHello") && inGoroutine("server.(*Server).ReloadOptions")
			return waits || len(changed) > 0
		}, "a change of the routes that waits")
		if !waits {
			check(t, <-changed)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), fabrictest.Limit)
	defer cancel()
	c, err := bus.Dial(ctx, bus.WithURL(n.Fabric.ClientURL(), creds))
	if err != nil {
		t.Fatalf("a client is kept out: %v", err)
	}
	t.Cleanup(c.Close)
	_, err = c.Ping(ctx)
	check(t, err)
	check(t, <-changed)
}

// An address that nobody can dial, which a stranger may have told, does not keep a key in.
func TestBadAddressKeepsNoKeyIn(t *testing.T) {
	t.Parallel()
	ka, kb := fabrictest.NewKey(t), fabrictest.NewKey(t)
	r := fabrictest.NewRoster(ka, kb)
	a, b := fabrictest.StartFabric(t, ka, r), fabrictest.StartFabric(t, kb, r)
	check(t, a.Fabric.SetTrust(r.Pinned(), []fabric.Peer{b.Peer()}))
	fabrictest.AwaitMesh(t, a, b)
	r.Remove(kb)
	err := a.Fabric.SetTrust(r.Pinned(), []fabric.Peer{b.Peer(), {Addr: "nowhere"}})
	if !errors.Is(err, &bus.Error{Code: bus.CodeInvalid}) {
		t.Errorf("got %v, want CodeInvalid", err)
	}
	fabrictest.Eventually(t, func() bool { return len(a.Fabric.Routed()) == 0 }, "the route of the key is cut")
}

func userFile(t *testing.T, user nkeys.KeyPair) string {
	t.Helper()
	seed, err := user.Seed()
	check(t, err)
	path := filepath.Join(t.TempDir(), bus.UserCreds)
	check(t, os.WriteFile(path, seed, 0o600))
	return path
}

// lines is a log that is handed on line by line, as far as there is room.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	select {
	case l <- string(p):
	default:
	}
	return len(p), nil
}

// Machines are switched off each evening: that one does not answer is told, but not as a warning, and not in the words of the server.
func TestAPeerThatIsAwayIsNoWarning(t *testing.T) {
	t.Parallel()
	k := fabrictest.NewKey(t)
	c, _, _ := fabrictest.FabricConfig(t, k, fabrictest.NewRoster(k))
	log := make(lines, 100)
	c.Logger = slog.New(slog.NewTextHandler(log, nil))
	f, err := fabric.New(c)
	check(t, err)
	check(t, f.Start())
	t.Cleanup(f.Shutdown)
	addr := closedAddr(t)
	check(t, f.SetPeers([]fabric.Peer{{Addr: addr}}))
	for {
		select {
		case line := <-log:
			if strings.Contains(line, "level=WARN") {
				t.Fatalf("a warning: %s", line)
			}
			if strings.Contains(line, "level=INFO") && strings.Contains(line, "nobody answers at an address of another node") && strings.Contains(line, addr) {
				return
			}
		case <-within(t).Done():
			t.Fatal("nothing is told of a peer that is away")
		}
	}
}
