package fabric_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/bus/fabric"
	"github.com/mycoswarm/mycoswarm/bus/fabric/fabrictest"
)

func routed(a, b *fabrictest.Node) bool {
	_, ok := a.Fabric.Routed()[b.ID]
	return ok
}

// C dials B only; A and C learn of each other from B.
func TestThirdNodeCompletesTheMesh(t *testing.T) {
	t.Parallel()
	keys := []*fabrictest.Key{fabrictest.NewKey(t), fabrictest.NewKey(t), fabrictest.NewKey(t)}
	r := fabrictest.NewRoster(keys...)
	a, b := fabrictest.StartFabric(t, keys[0], r), fabrictest.StartFabric(t, keys[1], r)
	check(t, b.Fabric.SetPeers([]fabric.Peer{a.Peer(), b.Peer()})) // itself is left out
	fabrictest.AwaitMesh(t, a, b)
	sub, err := a.Conn(t).SubscribeSync("swarm.x")
	check(t, err)
	c := fabrictest.StartFabric(t, keys[2], r)
	check(t, c.Fabric.SetPeers([]fabric.Peer{b.Peer()}))
	check(t, c.Fabric.SetPeers([]fabric.Peer{b.Peer()})) // again: nothing happens
	fabrictest.AwaitMesh(t, a, b, c)
	fabrictest.Eventually(t, func() bool { return c.Fabric.Interest("swarm.x") }, "interest of a at c")
	nc := c.Conn(t)
	check(t, nc.Publish("swarm.x", []byte("from c")))
	m, err := sub.NextMsgWithContext(within(t))
	check(t, err)
	if string(m.Data) != "from c" {
		t.Fatalf("got %q", m.Data)
	}
	if n := len(a.Fabric.Routed()); n != 2 {
		t.Fatalf("a has %d routes, want 2", n)
	}
	fabrictest.Eventually(t, func() bool { return a.Fabric.RTT()[b.ID] > 0 }, "a round trip to b")
}

func TestUntrustedKeyGetsNoRoute(t *testing.T) {
	t.Parallel()
	good, evil := fabrictest.NewKey(t), fabrictest.NewKey(t)
	for _, dialler := range []string{"the stranger dials", "the stranger is dialled"} {
		t.Run(dialler, func(t *testing.T) {
			t.Parallel()
			r := fabrictest.NewRoster(good)
			a := fabrictest.StartFabric(t, good, r)
			e := fabrictest.StartFabric(t, evil, fabrictest.NewRoster(good, evil)) // trusts a
			if dialler == "the stranger dials" {
				check(t, e.Fabric.SetPeers([]fabric.Peer{a.Peer()}))
			} else {
				check(t, a.Fabric.SetPeers([]fabric.Peer{e.Peer()}))
			}
			fabrictest.Eventually(t, func() bool {
				if routed(a, e) {
					t.Fatal("the untrusted node has a route")
				}
				return r.Refused(evil) >= 3
			}, "three refusals")
		})
	}
}

// It is told at once that a route has closed, and nothing of strangers that never had one.
func TestRouteClosed(t *testing.T) {
	t.Parallel()
	good, other, evil := fabrictest.NewKey(t), fabrictest.NewKey(t), fabrictest.NewKey(t)
	r := fabrictest.NewRoster(good, other)
	a, b := fabrictest.StartFabric(t, good, r), fabrictest.StartFabric(t, other, r)
	check(t, b.Fabric.SetPeers([]fabric.Peer{a.Peer()}))
	fabrictest.AwaitMesh(t, a, b)
	e := fabrictest.StartFabric(t, evil, fabrictest.NewRoster(good, evil))
	check(t, e.Fabric.SetPeers([]fabric.Peer{a.Peer()}))
	fabrictest.Eventually(t, func() bool { return r.Refused(evil) >= 2 }, "two refusals")
	select {
	case <-a.Fabric.RouteClosed():
		t.Error("a route has closed, and there is but a stranger")
	default:
	}
	b.Fabric.Shutdown()
	select {
	case <-a.Fabric.RouteClosed():
	case <-within(t).Done():
		t.Fatal("nothing tells that the route has closed")
	}
	fabrictest.Eventually(t, func() bool { return !routed(a, b) }, "the route is gone")
}

// Without VerifyConnection's help, the pinned set alone keeps a stranger out as well.
func TestPinnedSetAloneRefuses(t *testing.T) {
	t.Parallel()
	good, evil := fabrictest.NewKey(t), fabrictest.NewKey(t)
	c, _, _ := fabrictest.FabricConfig(t, good, fabrictest.NewRoster(good, evil))
	c.Pinned = map[string]struct{}{good.Fingerprint: {}}
	f, err := fabric.New(c)
	check(t, err)
	check(t, f.Start())
	t.Cleanup(f.Shutdown)
	e := fabrictest.StartFabric(t, evil, fabrictest.NewRoster(good, evil))
	cut := make(chan struct{})
	p := newProxy(t, f.FabricAddr(), func() { close(cut) }, 3)
	check(t, e.Fabric.SetPeers([]fabric.Peer{{Addr: p.addr()}}))
	<-cut // the third connection
	if len(f.Routed()) != 0 {
		t.Fatalf("routes %v", f.Routed())
	}
}

func TestRevokingCutsALiveRoute(t *testing.T) {
	t.Parallel()
	for _, side := range []string{"accepted", "dialled"} {
		t.Run(side, func(t *testing.T) {
			t.Parallel()
			ka, kb := fabrictest.NewKey(t), fabrictest.NewKey(t)
			ra := fabrictest.NewRoster(ka, kb)
			a := fabrictest.StartFabric(t, ka, ra)
			b := fabrictest.StartFabric(t, kb, fabrictest.NewRoster(ka, kb))
			if side == "accepted" {
				check(t, b.Fabric.SetPeers([]fabric.Peer{a.Peer()}))
			} else {
				check(t, a.Fabric.SetPeers([]fabric.Peer{b.Peer()}))
			}
			fabrictest.AwaitMesh(t, a, b)
			ra.Remove(kb)
			start := time.Now()
			check(t, a.Fabric.SetPinned(ra.Pinned()))
			fabrictest.Eventually(t, func() bool { return !routed(a, b) }, "the route is cut")
			if d := time.Since(start); d > 5*time.Second {
				t.Errorf("cut after %v, want 5 s at most", d)
			} else {
				t.Logf("cut after %v", d)
			}
			fabrictest.Eventually(t, func() bool {
				if routed(a, b) {
					t.Fatal("the revoked node is back")
				}
				return ra.Refused(kb) >= 3
			}, "three refusals after the cut")
			// Trusted again, it is back without a restart.
			ra.Add(kb)
			check(t, a.Fabric.SetPinned(ra.Pinned()))
			fabrictest.AwaitMesh(t, a, b)
		})
	}
}

// A node is put out between the handshake of a route to it and the route: it stays until somebody looks again, and no
// longer.
func TestRevokedInTheHandshake(t *testing.T) {
	t.Parallel()
	ka, kb := fabrictest.NewKey(t), fabrictest.NewKey(t)
	ra := fabrictest.NewRoster(ka, kb)
	c, _, _ := fabrictest.FabricConfig(t, ka, ra)
	verify, shakes, goes := c.TLS.VerifyConnection, make(chan struct{}), make(chan struct{})
	once := sync.OnceFunc(func() { close(shakes); <-goes })
	c.TLS.VerifyConnection = func(cs tls.ConnectionState) error {
		err := verify(cs)
		once()
		return err
	}
	cb, _, _ := fabrictest.FabricConfig(t, kb, fabrictest.NewRoster(ka, kb))
	a, b := patient(t, ka, c), patient(t, kb, cb)
	check(t, a.Fabric.SetPeers([]fabric.Peer{b.Peer()}))
	<-shakes
	ra.Remove(kb)
	check(t, a.Fabric.SetTrust(ra.Pinned(), nil))
	close(goes)
	fabrictest.Eventually(t, func() bool { return routed(a, b) }, "the route that was in between")
	fabrictest.Eventually(t, func() bool {
		check(t, a.Fabric.SetTrust(ra.Pinned(), nil))
		return !routed(a, b)
	}, "the route is cut")
}

// patient runs a fabric whose handshakes may take as long as a test does, until the test ends.
func patient(t *testing.T, k *fabrictest.Key, c fabric.Config) *fabrictest.Node {
	t.Helper()
	f, err := fabric.New(c)
	check(t, err)
	f.SetHandshake(10 * fabrictest.Limit)
	check(t, f.Start())
	t.Cleanup(f.Shutdown)
	return &fabrictest.Node{Key: k, Fabric: f}
}

func TestLossIsSeen(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"killed", "frozen"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			ka, kb := fabrictest.NewKey(t), fabrictest.NewKey(t)
			r := fabrictest.NewRoster(ka, kb)
			a, b := fabrictest.StartFabric(t, ka, r), fabrictest.StartFabric(t, kb, r)
			p := newProxy(t, a.Fabric.FabricAddr(), nil, 0)
			check(t, b.Fabric.SetPeers([]fabric.Peer{{ID: a.ID, Addr: p.addr()}}))
			fabrictest.AwaitMesh(t, a, b)
			limit := 2 * time.Second // pings alone would take longer
			if how == "killed" {
				p.kill()
			} else {
				limit = 10 * time.Second // about 3 s on a quiet machine
				p.freeze()
			}
			start := time.Now()
			fabrictest.Eventually(t, func() bool { return !routed(a, b) }, "a loses b")
			fabrictest.Eventually(t, func() bool { return !routed(b, a) }, "b loses a")
			d := time.Since(start)
			t.Logf("%s: seen after %v", how, d)
			if d > limit {
				t.Errorf("%s: seen after %v, want %v at most", how, d, limit)
			}
		})
	}
}

// Of what a store listens to, other nodes are told one after the other: it is reached when they know all.
func TestReachedWhenAllOfAStoreIs(t *testing.T) {
	t.Parallel()
	k := fabrictest.NewKey(t)
	n := fabrictest.StartFabric(t, k, fabrictest.NewRoster(k))
	nc, id := n.Conn(t), fabrictest.NewKey(t).ID
	listens := []string{bus.SubjectStoreCall(id, ">")}
	for _, call := range []string{"INFO", "STREAM.>", "CONSUMER.>", "DIRECT.>", "META.>", "SERVER.>", "ACCOUNT.>", "$KV.>", "$OBJ.>"} {
		listens = append(listens, "$JS."+string(id)+".API."+call)
	}
	for _, last := range listens {
		var subs []*nats.Subscription
		listen := func(subject string) {
			t.Helper()
			sub, err := nc.SubscribeSync(subject)
			check(t, err)
			check(t, nc.Flush())
			subs = append(subs, sub)
		}
		for _, subject := range listens {
			if subject != last {
				listen(subject)
			}
		}
		if n.Fabric.Reaches(id) {
			t.Errorf("it is reached while it does not listen to %s", last)
		}
		listen(last)
		if !n.Fabric.Reaches(id) {
			t.Error("it is not reached while it listens to all")
		}
		for _, sub := range subs {
			check(t, sub.Unsubscribe())
		}
	}
}

func TestInterest(t *testing.T) {
	t.Parallel()
	keys := []*fabrictest.Key{fabrictest.NewKey(t), fabrictest.NewKey(t)}
	r := fabrictest.NewRoster(keys...)
	a, b := fabrictest.StartFabric(t, keys[0], r), fabrictest.StartFabric(t, keys[1], r)
	check(t, b.Fabric.SetPeers([]fabric.Peer{a.Peer()}))
	fabrictest.AwaitMesh(t, a, b)
	client := a.Client(t, a.User, bus.UserInbox(a.ID))
	inbox := client.NewInbox()
	if a.Fabric.Interest(inbox) {
		t.Fatal("interest before the subscription")
	}
	_, err := client.SubscribeSync(inbox)
	check(t, err)
	check(t, client.Flush())
	if !a.Fabric.Interest(inbox) {
		t.Fatal("no interest with a subscription")
	}
	fabrictest.Eventually(t, func() bool { return b.Fabric.Interest(inbox) }, "interest at the other node")
	client.Close()
	for _, n := range []*fabrictest.Node{a, b} {
		fabrictest.Eventually(t, func() bool { return !n.Fabric.Interest(inbox) }, "no interest after the client left")
	}
}

// What the route port says to a stranger who speaks TLS by hand.
func TestRoutePortMatrix(t *testing.T) {
	t.Parallel()
	good, evil := fabrictest.NewKey(t), fabrictest.NewKey(t)
	a := fabrictest.StartFabric(t, good, fabrictest.NewRoster(good))
	for _, tc := range []struct {
		name string
		tls  *tls.Config // nil: plaintext
		in   bool
	}{
		{"plaintext", nil, false},
		{"no certificate", &tls.Config{}, false},
		{"a foreign key", &tls.Config{Certificates: []tls.Certificate{evil.Cert}}, false},
		{"TLS 1.2", &tls.Config{Certificates: []tls.Certificate{good.Cert}, MaxVersion: tls.VersionTLS12}, false},
		{"a trusted key", &tls.Config{Certificates: []tls.Certificate{good.Cert}}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", a.Fabric.FabricAddr())
			check(t, err)
			defer conn.Close()
			check(t, conn.SetDeadline(time.Now().Add(fabrictest.Limit)))
			hello := []byte("CONNECT {\"verbose\":false,\"name\":\"x\",\"cluster\":\"other\"}\r\nPING\r\n")
			in := false
			if tc.tls == nil {
				_, err = conn.Write(hello)
				check(t, err)
				_, err = io.Copy(io.Discard, conn)
			} else {
				tc.tls.InsecureSkipVerify = true
				c := tls.Client(conn, tc.tls)
				if err = c.Handshake(); err == nil {
					_, err = c.Write(hello)
					check(t, err)
					var n int
					n, err = c.Read(make([]byte, 1))
					in = n == 1
				}
			}
			if in != tc.in {
				t.Errorf("let in: %v (%v), want %v", in, err, tc.in)
			}
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				t.Errorf("not refused within %v", fabrictest.Limit)
			}
		})
	}
}

// otherSwarm runs a fabric for k, of a swarm of another name, until the test ends.
func otherSwarm(t *testing.T, k *fabrictest.Key, r *fabrictest.Roster) *fabric.Fabric {
	t.Helper()
	c, _, _ := fabrictest.FabricConfig(t, k, r)
	c.SwarmID = "other-swarm"
	f, err := fabric.New(c)
	check(t, err)
	check(t, f.Start())
	t.Cleanup(f.Shutdown)
	return f
}

// Members of different swarms that trust each other's keys still have no route.
func TestForeignSwarmGetsNoRoute(t *testing.T) {
	t.Parallel()
	ka, kb := fabrictest.NewKey(t), fabrictest.NewKey(t)
	r := fabrictest.NewRoster(ka, kb)
	a := fabrictest.StartFabric(t, ka, r)
	fb := otherSwarm(t, kb, r)
	third := make(chan struct{})
	p := newProxy(t, a.Fabric.FabricAddr(), func() { close(third) }, 3)
	check(t, fb.SetPeers([]fabric.Peer{{Addr: p.addr()}}))
	<-third
	if len(a.Fabric.Routed()) != 0 {
		t.Fatalf("routes %v", a.Fabric.Routed())
	}
}

// proxy forwards TCP, until it is killed or frozen.
type proxy struct {
	l     net.Listener
	to    string
	wg    sync.WaitGroup
	onNth func()
	nth   int

	mu    sync.Mutex
	conns []net.Conn
	stop  chan struct{} // closed: nothing is forwarded any more
	dead  bool
}

func newProxy(tb testing.TB, to string, onNth func(), nth int) *proxy {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(tb, err)
	p := &proxy{l: l, to: to, onNth: onNth, nth: nth, stop: make(chan struct{})}
	p.wg.Go(p.run)
	tb.Cleanup(func() {
		p.kill()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) addr() string { return p.l.Addr().String() }

func (p *proxy) run() {
	for n := 1; ; n++ {
		in, err := p.l.Accept()
		if err != nil {
			return
		}
		if n == p.nth {
			p.onNth()
		}
		out, err := net.Dial("tcp", p.to)
		if err != nil {
			in.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, in, out)
		if p.dead {
			in.Close()
			out.Close()
		}
		p.mu.Unlock()
		p.wg.Go(func() { p.forward(in, out) })
		p.wg.Go(func() { p.forward(out, in) })
	}
}

func (p *proxy) forward(dst, src net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := src.Read(buf)
		select {
		case <-p.stop:
			if err != nil {
				return
			}
			continue // swallowed
		default:
		}
		if n > 0 {
			if _, werr := dst.Write(buf[:n]); werr != nil {
				err = werr
			}
		}
		if err != nil {
			dst.Close()
			src.Close()
			return
		}
	}
}

func (p *proxy) freeze() { close(p.stop) }

func (p *proxy) kill() {
	p.l.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dead = true
	for _, c := range p.conns {
		c.Close()
	}
}
