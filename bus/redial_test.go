package bus_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/mycoswarm/mycoswarm/bus"
)

// An error of the server that nats.go does not know ends its connection for good. The Conn makes another
// one, and serves there.
func TestTheConnOutlivesAnUnknownErrorOfTheServer(t *testing.T) {
	t.Parallel()
	d := startDaemon(t)
	front := newFront(t, d.srv.Addr().String())
	d.write(bus.DaemonInfo{NodeID: self, BusURL: "nats://" + front.addr})
	c, log := dialLogged(t, d)
	s := serveOn(t, d, c, func(_ context.Context, task *bus.Task, _ bus.Emit) (any, error) { return string(task.ID), nil })
	asked := make(chan struct{}, 1)
	on(d, bus.SubjectRPC(self, bus.VerbPing), func(struct{}) any { asked <- struct{}{}; return nil })
	ended := make(chan error, 1)
	go func() {
		_, err := c.Ping(t.Context())
		ended <- err
	}()
	receive(t, asked, "the request")
	front.say("-ERR 'Authentication Timeout'\r\n")

	err := receive(t, ended, "the end of the call")
	wantCode(t, err, bus.CodeUnavailable)
	if !strings.Contains(err.Error(), "Authentication Timeout") {
		t.Errorf("%v: want what the server said", err)
	}
	log.wait(t, "made anew", "Authentication Timeout")
	log.wait(t, "daemon is back")
	for len(s.offers) > 0 {
		<-s.offers
	}
	s.offered(2)
	if o := receive(t, s.run("second"), "the end"); string(o.Result) != `"second"` {
		t.Errorf("%+v, want a result over the new connection", o)
	}
}

// Where the credentials are refused again and again nats.go ends its connection as well. It is made anew
// with what the file says once that is right.
func TestTheConnOutlivesRefusedCredentials(t *testing.T) {
	t.Parallel()
	d := startDaemon(t)
	c, log := dialLogged(t, d)
	d.stop()
	right := d.opts.Nkeys[0].Nkey
	d.opts.Nkeys[0].Nkey = newPublicKey(t)
	d.run()
	log.wait(t, "made anew", "Authorization Violation")
	log.wait(t, "not back yet", "refuses the credentials")
	d.stop()
	d.opts.Nkeys[0].Nkey = right
	d.run()
	log.wait(t, "daemon is back")
	on(d, bus.SubjectRPC(self, bus.VerbPing), func(struct{}) any { return bus.PingReply{NodeID: self} })
	check(t, bus.PingReply{NodeID: self})(c.Ping(t.Context()))
}

// A daemon that refuses the credentials is let be for longer each time.
func TestRefusedCredentialsAreTriedMoreAndMoreRarely(t *testing.T) {
	t.Parallel()
	d := startDaemon(t)
	_, log := dialLogged(t, d)
	d.stop()
	d.opts.Nkeys[0].Nkey = newPublicKey(t)
	d.run()
	log.wait(t, "not back yet", "refuses the credentials")
	front := newFront(t, d.srv.Addr().String())
	d.write(bus.DaemonInfo{NodeID: self, BusURL: "nats://" + front.addr})
	receive(t, front.tries, "a try there")
	began := time.Now()
	for range 4 {
		receive(t, front.tries, "one more")
	}
	if took := time.Since(began); took < 1400*time.Millisecond {
		t.Errorf("it tried four times more in %v", took)
	}
}

// A Conn that is closed while it has no connection looks for none any more.
func TestCloseEndsTheSearch(t *testing.T) {
	t.Parallel()
	d := startDaemon(t)
	c, log := dialLogged(t, d)
	d.stop()
	d.opts.Nkeys[0].Nkey = newPublicKey(t)
	d.run()
	log.wait(t, "not back yet")
	c.Close()
	_, err := c.Ping(t.Context())
	wantCode(t, err, bus.CodeUnavailable)
}

// A daemon that comes back and goes away at once is still the one that the Conn is of, however late the Conn hears of it.
func TestTheConnOutlivesALinkThatIsLostAtOnce(t *testing.T) {
	t.Parallel()
	d := startDaemon(t)
	on(d, bus.SubjectRPC(self, bus.VerbPing), func(struct{}) any { return bus.PingReply{NodeID: self} })
	log := make(lines) // who logs waits
	c, err := bus.Dial(t.Context(), bus.WithDataDir(d.dir), bus.WithLogger(slog.New(slog.NewTextHandler(log, nil))), bus.WithLimit(2*time.Second))
	must(t, err)
	check(t, bus.PingReply{NodeID: self})(c.Ping(t.Context())) // from here on it listens
	addr, came := silent(t)
	t.Cleanup(c.Close)

	d.stop()
	d.run()
	for listens := false; !listens; <-time.After(5 * time.Millisecond) { // a Conn that is connected
		all, err := d.srv.Connz(nil)
		must(t, err)
		listens = slices.ContainsFunc(all.Conns, func(c *server.ConnInfo) bool { return c.Kind == "Client" && c.NumSubs > 0 && c.IP == "127.0.0.1" })
	}
	d.write(bus.DaemonInfo{NodeID: self, BusURL: "nats://" + addr})
	d.stop()
	receive(t, came, "the next dial")
	read := make(chan struct{})
	go func() {
		for range log {
		}
		close(read)
	}()
	t.Cleanup(func() {
		close(log)
		<-read
	})
	d.run()
	must(t, c.Returned(t.Context()))
	check(t, bus.PingReply{NodeID: self})(c.Ping(t.Context()))
}

func newPublicKey(t *testing.T) string {
	t.Helper()
	k, err := nkeys.FromSeed([]byte(newSeed(t)))
	must(t, err)
	public, err := k.PublicKey()
	must(t, err)
	return public
}

// dialLogged connects to d, and delivers what the connection logs.
func dialLogged(t *testing.T, d *daemon, opts ...bus.Option) (*bus.Conn, lines) {
	t.Helper()
	log := make(lines, 1000)
	c, err := bus.Dial(t.Context(), append(opts, bus.WithDataDir(d.dir), bus.WithLogger(slog.New(slog.NewTextHandler(log, nil))))...)
	must(t, err)
	t.Cleanup(c.Close)
	return c, log
}

// lines is what a logger writes.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

// wait reads until a line has all the parts.
func (l lines) wait(t *testing.T, parts ...string) {
	t.Helper()
	for {
		line := receive(t, l, strings.Join(parts, ", "))
		if !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(line, p) }) {
			return
		}
	}
}

// front stands between clients and a server.
type front struct {
	addr  string
	tries chan struct{} // one of each client

	mu      sync.Mutex
	clients []net.Conn
}

func newFront(t *testing.T, server string) *front {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	f := &front{addr: l.Addr().String(), tries: make(chan struct{}, 1000)}
	var wg sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			f.tries <- struct{}{}
			back, err := new(net.Dialer).DialContext(context.Background(), "tcp", server)
			if err != nil {
				client.Close()
				continue
			}
			f.mu.Lock()
			f.clients = append(f.clients, client)
			f.mu.Unlock()
			wg.Go(func() { relay(back, client) })
			wg.Go(func() { relay(client, back) })
		}
	})
	return f
}

// relay carries what from says until one of the two is gone, and ends both.
func relay(to, from net.Conn) {
	_, _ = io.Copy(to, from) // an end is all it tells
	to.Close()
	from.Close()
}

// say has the clients hear what the server has not said.
func (f *front) say(line string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.clients {
		_, _ = io.WriteString(c, line) // one that is gone hears nothing
	}
}
