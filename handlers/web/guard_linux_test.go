package web_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers/web"
)

// A node connects to no address but public ones, however it is spelled, wherever a redirect leads and
// whatever a resolver says at the second time. Those who listen count.
func TestNothingButPublicAddresses(t *testing.T) {
	t.Parallel()
	inside := newSite(t)
	inside.page("/", "text/plain", "secret")
	port := inside.port(t)
	hosts := []string{
		"127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "017700000001", "0177.0.0.1",
		"[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "0.0.0.0", "[::]", "rebound.example", "inside.example", "mapped.example",
	}
	if six := newSix(t, port); six != nil {
		hosts = append(hosts, "[::1]", "[0:0:0:0:0:0:0:1]")
		defer func() {
			if n := six.Load(); n != 0 {
				t.Errorf("%d connects to ::1, want 0", n)
			}
		}()
	}
	resolver := newResolver(t)
	// The port is allowed, so that the address alone is in the way.
	closed := web.New(web.Config{Resolver: resolver, Policy: web.Policy{Ports: []uint16{port}}})
	// A page on an address that is allowed leads to one that is not.
	outside := newSiteAt(t, "127.0.0.2:0")
	outside.mux.HandleFunc("/to", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Query().Get("url"), http.StatusFound)
	})
	led := web.New(web.Config{Resolver: resolver, Policy: web.Policy{
		Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}, Ports: []uint16{port, outside.port(t)},
	}})
	tried := 0
	for _, host := range hosts {
		to := fmt.Sprintf("http://%s:%d/", host, port)
		for h, u := range map[*web.Handler]string{closed: to, led: outside.URL + "/to?url=" + to} {
			r, err := fetch(t.Context(), t, h, bus.FetchRequest{URL: u})
			// Where the system knows no such spelling it looks for a host of that name.
			if c := codeOf(err); c != bus.CodeForbidden && c != bus.CodeUnavailable {
				t.Errorf("%s: %q, error %v, want it refused", u, r.Text, err)
			}
			tried++
		}
	}
	if n := inside.connects.Load(); n != 0 {
		t.Errorf("%d connects by %d ways to what is inside, want 0", n, tried)
	}
	if n := outside.connects.Load(); int(n) != len(hosts) {
		t.Errorf("%d connects to where the redirects are, want %d: the test has shown nothing of them", n, len(hosts))
	}
}

// newSix listens on the port of the site at ::1, and counts; nil where the machine has no IPv6.
func newSix(t *testing.T, port uint16) *atomic.Int64 {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", fmt.Sprintf("[::1]:%d", port))
	if err != nil {
		t.Logf("::1 is left out: %v", err)
		return nil
	}
	var n atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			n.Add(1)
			c.Close()
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		<-done
	})
	return &n
}

// newResolver answers as the owner of a hostile domain may: rebound.example is a public address to who asks
// first, and then this machine; inside.example is this machine at once, and mapped.example in IPv6's clothes.
func newResolver(t *testing.T) *net.Resolver {
	t.Helper()
	pc, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int64
	up := make(chan struct{})
	srv := &dns.Server{PacketConn: pc, NotifyStartedFunc: func() { close(up) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		name, typ := q.Question[0].Name, q.Question[0].Qtype
		say := ""
		switch {
		case name == "rebound.example." && typ == dns.TypeA && asked.Add(1) == 1:
			say = name + " 0 A 192.0.2.1" // of documentation: nobody is there
		case (name == "rebound.example." || name == "inside.example.") && typ == dns.TypeA:
			say = name + " 0 A 127.0.0.1"
		case name == "mapped.example." && typ == dns.TypeAAAA:
			say = name + " 0 AAAA ::ffff:127.0.0.1"
		}
		if rr, err := dns.NewRR(say); err == nil && rr != nil {
			m.Answer = append(m.Answer, rr)
		} else if say == "" && !strings.HasSuffix(name, ".example.") {
			m.Rcode = dns.RcodeNameError
		}
		_ = w.WriteMsg(m) // who asked may have left
	})}
	ended := make(chan error, 1)
	go func() { ended <- srv.ActivateAndServe() }()
	<-up
	t.Cleanup(func() {
		if err := srv.Shutdown(); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
}
