package discovery_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/ipv4"

	"github.com/mycoswarm/mycoswarm/node/discovery"
)

// patience is what a machine under load may take.
const patience = 30 * time.Second

// run starts a discoverer; what it finds comes over the channel. It is stopped by stop, or
// at the end of the test.
func run(t testing.TB, cfg discovery.Config) (m *discovery.MDNS, found chan discovery.Found, stop func()) {
	t.Helper()
	found = make(chan discovery.Found, 64)
	ctx, cancel := context.WithCancel(context.Background())
	cfg.OnFound = func(f discovery.Found) {
		select {
		case found <- f:
		case <-ctx.Done():
		}
	}
	m, err := discovery.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			t.Error("Run does not end")
		}
	}
	t.Cleanup(stop)
	return m, found, stop
}

// await returns when other was found.
func await(t testing.TB, found <-chan discovery.Found, other discovery.Config) discovery.Found {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case f := <-found:
			if f.Fingerprint == other.Fingerprint {
				return f
			}
		case <-late:
			t.Fatalf("%s was not found in %v", other.NodeID, patience)
		}
	}
}

// awaitHeard returns when m's own announcement has come back to it.
func awaitHeard(t *testing.T, m *discovery.MDNS) {
	t.Helper()
	select {
	case <-m.Heard():
	case <-time.After(patience):
		t.Fatal("its own announcement does not come back")
	}
}

func TestTwoFindEachOtherOnLoopback(t *testing.T) {
	t.Parallel()
	a, b := config(t, t.Name()+"a"), config(t, t.Name()+"b")
	b.FabricPort, b.JoinPort = 7500, 0
	ma, foundA, _ := run(t, a)
	mb, foundB, _ := run(t, b)
	gotA, gotB := await(t, foundA, b), await(t, foundB, a)

	if want := []string{"127.0.0.1:7422"}; !slices.Equal(gotB.FabricAddrs, want) {
		t.Errorf("fabric addresses %v, want %v", gotB.FabricAddrs, want)
	}
	if want := []string{"127.0.0.1:7423"}; !slices.Equal(gotB.JoinAddrs, want) {
		t.Errorf("join addresses %v, want %v", gotB.JoinAddrs, want)
	}
	if gotB.NodeID != a.NodeID || gotB.SwarmID != a.SwarmID[:12] || gotB.Version != "1.2.3" || gotB.At.IsZero() {
		t.Errorf("found %+v", gotB)
	}
	if want := []string{"127.0.0.1:7500"}; !slices.Equal(gotA.FabricAddrs, want) || gotA.JoinAddrs != nil {
		t.Errorf("found %+v", gotA)
	}
	for _, m := range []*discovery.MDNS{ma, mb} {
		awaitHeard(t, m)
		if err := m.Problem(); err != nil {
			t.Error(err)
		}
	}
	if !slices.ContainsFunc(ma.Nearby(), func(f discovery.Found) bool { return f.NodeID == b.NodeID }) {
		t.Errorf("nearby: %v, want %s among them", ma.Nearby(), b.NodeID)
	}
	if slices.ContainsFunc(ma.Nearby(), func(f discovery.Found) bool { return f.NodeID == a.NodeID }) {
		t.Error("a node is nearby itself")
	}
}

func TestANodeIsToldOfAgainWhileItIsThere(t *testing.T) {
	t.Parallel()
	a, b := config(t, t.Name()+"a"), config(t, t.Name()+"b")
	_, found, _ := run(t, a)
	_, _, stop := run(t, b)
	first := await(t, found, b)
	// It comes back at once with another port, as after a restart: the goodbye makes way.
	stop()
	b.FabricPort = 7555
	run(t, b)
	again := await(t, found, b)
	for again.At.Equal(first.At) || again.FabricAddrs[0] != "127.0.0.1:7555" {
		again = await(t, found, b)
	}
}

func TestGarbageOnTheAirIsPassedOver(t *testing.T) {
	t.Parallel()
	a, b := config(t, t.Name()+"a"), config(t, t.Name()+"b")
	m, found, _ := run(t, a)
	awaitHeard(t, m) // so it listens
	for _, packet := range garbage(t) {
		shout(t, packet)
	}
	run(t, b)
	await(t, found, b)
}

// shout sends a packet to all who listen to multicast DNS on loopback.
func shout(t *testing.T, packet []byte) {
	t.Helper()
	conn, err := net.ListenPacket("udp4", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	lo := slices.IndexFunc(all, func(i net.Interface) bool { return i.Flags&net.FlagLoopback != 0 })
	multicast := ipv4.NewPacketConn(conn)
	if err := multicast.SetMulticastInterface(&all[lo]); err != nil {
		t.Fatal(err)
	}
	if _, err := multicast.WriteTo(packet, nil, &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: 5353}); err != nil {
		t.Fatal(err)
	}
}

// garbage are packets that are no DNS, cut short, without what they should have, or too much.
func garbage(t *testing.T) [][]byte {
	t.Helper()
	name, instance := discovery.Service+".local.", "x."+discovery.Service+".local."
	hdr := func(name string, rrtype uint16) dns.RR_Header {
		return dns.RR_Header{Name: name, Rrtype: rrtype, Class: dns.ClassINET, Ttl: 120}
	}
	var msgs []*dns.Msg
	reply := func(rrs ...dns.RR) {
		m := new(dns.Msg)
		m.Response = true
		m.Answer = rrs
		msgs = append(msgs, m)
	}
	reply(&dns.PTR{Hdr: hdr(name, dns.TypePTR), Ptr: "."})
	reply(&dns.SRV{Hdr: hdr(instance, dns.TypeSRV), Target: "x.local.", Port: 0}, &dns.A{Hdr: hdr("x.local.", dns.TypeA), A: net.IPv4(1, 2, 3, 4)})
	reply(&dns.SRV{Hdr: hdr(instance, dns.TypeSRV), Target: "x.local.", Port: 1}, &dns.A{Hdr: hdr("x.local.", dns.TypeA), A: net.IPv4(1, 2, 3, 4)},
		&dns.TXT{Hdr: hdr(instance, dns.TypeTXT), Txt: []string{"txtvers=1", "id=myco-000000000000", "fp=\xff"}})
	query := new(dns.Msg)
	query.SetQuestion(name, dns.TypePTR)
	query.Answer = []dns.RR{&dns.PTR{Hdr: hdr(name, dns.TypePTR), Ptr: "."}, &dns.ANY{Hdr: hdr(name, dns.TypeANY)}}
	msgs = append(msgs, query)

	var packets [][]byte
	for _, m := range msgs {
		b, err := m.Pack()
		if err != nil {
			continue // some cannot be made
		}
		packets = append(packets, b, b[:len(b)/2], b[:len(b)-1])
	}
	for _, size := range []int{0, 1, 12, 512, 9000} {
		b := make([]byte, size)
		_, _ = rand.Read(b)
		packets = append(packets, b)
	}
	return packets
}

func TestLoopbackOfOthersIsPassedOver(t *testing.T) {
	t.Parallel()
	a, b := config(t, t.Name()+"a"), config(t, t.Name()+"b")
	a.Interfaces = []string{"none-such0"}
	var got []discovery.Found
	a.OnFound = func(f discovery.Found) { got = append(got, f) }
	m, err := discovery.New(a)
	if err != nil {
		t.Fatal(err)
	}
	r := recordOf(t.Name() + "b")
	m.See(r.TXT(), b.FabricPort, netip.MustParseAddr("127.0.0.1"))
	if len(got) != 0 {
		t.Errorf("told of %+v: our own loopback would answer", got)
	}
	m.See(r.TXT(), b.FabricPort, netip.MustParseAddr("127.0.0.1"), one)
	if len(got) != 1 || !slices.Equal(got[0].FabricAddrs, []string{"192.168.1.1:7422"}) {
		t.Errorf("told of %+v, want the address on the LAN", got)
	}
}

// Nothing has to be set: a node that nobody is known to hears strangers until its table is full.
func TestFullTableOfWhoKnowsNobody(t *testing.T) {
	t.Parallel()
	a := config(t, t.Name())
	a.Known, a.Interfaces = nil, []string{"none-such0"}
	told := 0
	a.OnFound = func(discovery.Found) { told++ }
	m, err := discovery.New(a)
	if err != nil {
		t.Fatal(err)
	}
	for i := range discovery.MaxNodes + 1 {
		m.See(recordOf(fmt.Sprint(t.Name(), i)).TXT(), 7422, one)
	}
	if told != discovery.MaxNodes {
		t.Errorf("told of %d nodes, want %d", told, discovery.MaxNodes)
	}
}

func TestInterfacesOfTheEnvironment(t *testing.T) {
	for list, want := range map[string][]string{"": nil, " ,": nil, "eth0": {"eth0"}, "eth0, wlan0,": {"eth0", "wlan0"}} {
		t.Setenv(discovery.EnvInterfaces, list)
		cfg := config(t, t.Name())
		cfg.Interfaces = nil
		got, err := discovery.Interfaces(cfg)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s=%q: %q, error %v, want %q", discovery.EnvInterfaces, list, got, err, want)
		}
	}
}

func TestNoInterfaceIsAProblemWithAHint(t *testing.T) {
	t.Parallel()
	a := config(t, t.Name())
	a.Interfaces = []string{"none-such0"}
	logged := make(chan struct{}, 16)
	a.Logger = logTo(logged)
	m, _, stop := run(t, a)
	select {
	case <-logged:
	case <-time.After(patience):
		t.Fatal("nothing is logged")
	}
	err := m.Problem()
	if err == nil {
		t.Fatal("no problem")
	}
	if hint := hintOf(err); hint == "" {
		t.Errorf("%v has no hint", err)
	}
	stop()
}

// BenchmarkFound measures the time from when both run to when each has found the other. The
// median is over its iterations: -benchtime 20x.
func BenchmarkFound(b *testing.B) {
	var took []time.Duration
	for b.Loop() {
		name := rand.Text()
		x, y := config(b, name+"x"), config(b, name+"y")
		_, foundX, stopX := run(b, x)
		_, foundY, stopY := run(b, y)
		start := time.Now()
		await(b, foundX, y)
		await(b, foundY, x)
		took = append(took, time.Since(start))
		stopX()
		stopY()
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "median-ms")
	b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "max-ms")
}
