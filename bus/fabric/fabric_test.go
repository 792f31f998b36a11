package fabric_test

import (
	"context"
	"errors"
	"net"
	"strconv"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/bus/fabric"
	"github.com/mycoswarm/mycoswarm/bus/fabric/fabrictest"
	"github.com/mycoswarm/mycoswarm/internal/neterr"
)

// taken binds a port, until the test ends.
func taken(tb testing.TB) (addr string, port int) {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(tb, err)
	tb.Cleanup(func() { l.Close() })
	return l.Addr().String(), l.Addr().(*net.TCPAddr).Port
}

func TestTakenPortGivesWay(t *testing.T) {
	t.Parallel()
	k := fabrictest.NewKey(t)
	c, _, _ := fabrictest.FabricConfig(t, k, fabrictest.NewRoster(k))
	client, clientPort := taken(t)
	routes, routePort := taken(t)
	c.ClientListen, c.FabricListen = client, routes
	c.NextFreeClient, c.NextFreeFabric = true, true
	f, err := fabric.New(c)
	check(t, err)
	check(t, f.Start())
	t.Cleanup(f.Shutdown)
	for got, was := range map[string]int{f.ClientURL()[len("nats://"):]: clientPort, f.FabricAddr(): routePort} {
		_, p, err := net.SplitHostPort(got)
		check(t, err)
		n, err := strconv.Atoi(p)
		check(t, err)
		if n <= was || n > was+100 {
			t.Errorf("address %s, want one of the 100 ports after %d", got, was)
		}
	}
	nc, err := f.Conn("test")
	check(t, err)
	nc.Close()
}

func TestTakenPortIsAnError(t *testing.T) {
	t.Parallel()
	for _, which := range []string{"client", "fabric"} {
		k := fabrictest.NewKey(t)
		c, _, _ := fabrictest.FabricConfig(t, k, fabrictest.NewRoster(k))
		addr, _ := taken(t)
		if which == "client" {
			c.ClientListen = addr
		} else {
			c.FabricListen = addr
		}
		f, err := fabric.New(c)
		check(t, err)
		err = f.Start()
		var e *bus.Error
		if !errors.As(err, &e) || e.Code != bus.CodeUnavailable || e.Hint == "" || !neterr.InUse(err) {
			t.Errorf("%s: error %v, want one that tells of the taken port and what to do", which, err)
		}
		if f.ClientURL() != "" {
			t.Errorf("%s: running after a failed start", which)
		}
		f.Shutdown() // what has not started is none the worse
	}
}

func TestUnusableAddressIsAnError(t *testing.T) {
	t.Parallel()
	k := fabrictest.NewKey(t)
	c, _, _ := fabrictest.FabricConfig(t, k, fabrictest.NewRoster(k))
	c.FabricListen = "192.0.2.1:0" // TEST-NET-1: nobody has it
	c.NextFreeFabric = true
	f, err := fabric.New(c)
	check(t, err)
	if err := f.Start(); !errors.Is(err, &bus.Error{Code: bus.CodeUnavailable}) {
		t.Fatalf("error %v, want unavailable", err)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	k := fabrictest.NewKey(t)
	c, _, _ := fabrictest.FabricConfig(t, k, fabrictest.NewRoster(k))
	f, err := fabric.New(c)
	check(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	check(t, f.Run(ctx))
	if _, err := f.Conn("late"); !errors.Is(err, &bus.Error{Code: bus.CodeUnavailable}) {
		t.Fatalf("a connection after the end: %v", err)
	}
	if f.Routed() == nil || f.Interest("x") || f.LeafURL() != "" {
		t.Fatal("a stopped fabric has answers")
	}
}

func TestBusyMachine(t *testing.T) {
	t.Parallel()
	k := fabrictest.NewKey(t)
	n := fabrictest.StartFabric(t, k, fabrictest.NewRoster(k))
	nc, err := n.Fabric.Conn("late", nats.InProcessServer(fabrictest.Busy{Server: n.Fabric}))
	check(t, err)
	defer nc.Close()
	check(t, nc.FlushTimeout(fabrictest.Limit))
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	k := fabrictest.NewKey(t)
	for name, spoil := range map[string]func(*fabric.Config){
		"id":             func(c *fabric.Config) { c.ID = "x" },
		"swarm":          func(c *fabric.Config) { c.SwarmID = "" },
		"no host":        func(c *fabric.Config) { c.ClientListen = ":4222" },
		"port":           func(c *fabric.Config) { c.FabricListen = "127.0.0.1:70000" },
		"no TLS":         func(c *fabric.Config) { c.TLS = nil },
		"old TLS":        func(c *fabric.Config) { c.TLS.MinVersion = 0 },
		"no client cert": func(c *fabric.Config) { c.TLS.ClientAuth = 0 },
		"no check":       func(c *fabric.Config) { c.TLS.VerifyConnection = nil },
		"nobody pinned":  func(c *fabric.Config) { c.Pinned = nil },
		"user key":       func(c *fabric.Config) { c.UserKey = "" },
		"equal keys":     func(c *fabric.Config) { c.ObserverKey = c.UserKey },
	} {
		c, _, _ := fabrictest.FabricConfig(t, k, fabrictest.NewRoster(k))
		spoil(&c)
		if _, err := fabric.New(c); !errors.Is(err, &bus.Error{Code: bus.CodeInvalid}) {
			t.Errorf("%s: error %v, want invalid", name, err)
		}
	}
	n := fabrictest.StartFabric(t, k, fabrictest.NewRoster(k))
	if err := n.Fabric.SetPinned(nil); !errors.Is(err, &bus.Error{Code: bus.CodeInvalid}) {
		t.Errorf("an empty pinned set: %v", err)
	}
	if err := n.Fabric.SetPeers([]fabric.Peer{{Addr: "nowhere"}}); !errors.Is(err, &bus.Error{Code: bus.CodeInvalid}) {
		t.Errorf("a peer without a port: %v", err)
	}
}

func BenchmarkRouted(b *testing.B) {
	keys := []*fabrictest.Key{fabrictest.NewKey(b), fabrictest.NewKey(b), fabrictest.NewKey(b)}
	r := fabrictest.NewRoster(keys...)
	var nodes []*fabrictest.Node
	for i, k := range keys {
		nodes = append(nodes, fabrictest.StartFabric(b, k, r))
		check(b, nodes[i].Fabric.SetPeers([]fabric.Peer{nodes[0].Peer()}))
	}
	fabrictest.AwaitMesh(b, nodes...)
	for b.Loop() {
		if len(nodes[0].Fabric.Routed()) != 2 {
			b.Fatal("a route is missing")
		}
	}
}
