//go:build e2e && linux

package e2e_test

import (
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/grandcat/zeroconf"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
	"github.com/mycoswarm/mycoswarm/node/discovery"
)

// interfaceOf is the interface of this machine with addr.
func interfaceOf(t *testing.T, addr netip.Addr) net.Interface {
	t.Helper()
	list, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range list {
		addrs, err := i.Addrs()
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr() == addr {
				return i
			}
		}
	}
	t.Fatalf("no interface has %s", addr)
	return net.Interface{}
}

// announce answers for a node over mDNS, until the test ends.
func announce(t *testing.T, on net.Interface, name string, at *net.TCPAddr, txt []string) {
	t.Helper()
	server, err := zeroconf.RegisterProxy(name, discovery.Service, "local.", at.Port, name, []string{at.IP.String()}, txt, []net.Interface{on})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
}

// malformed are records that are none.
func malformed(fp string) [][]string {
	id := "id=myco-" + fp[:12]
	return [][]string{
		{},
		{""},
		{"txtvers=9", id, "fp=" + fp},
		{"txtvers=1", id, "fp=" + fp[:63], "swarm=", "ver="},
		{"txtvers=1", "id=myco-000000000000", "fp=" + fp, "swarm=", "ver="},
		{"txtvers=1", id, "fp=" + fp, "swarm=../../../etc/passwd", "ver=1"},
		{"txtvers=1", id, "fp=" + fp, "swarm=", "ver=\x1b[2J\x1b]0;x\x07"},
		{"txtvers=1", id, "fp=" + fp, "swarm=", "ver=1", "join=-1"},
		{"txtvers=1", id, "fp=" + fp, "swarm=", "ver=1", "join=65536"},
		{"\x00\xff\xfe", "=", "==", "txtvers"},
	}
}

// packets are sent to the group as they are.
func packets() [][]byte {
	noise := make([]byte, 1400)
	rand.Read(noise)
	question := []byte{0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0}
	return [][]byte{
		{},
		{0},
		question, noise, noise[:12],
		append(question[:12:12], 0xc0, 0x0c, 0, 16, 0, 1, 0, 0, 0, 1, 0xff, 0xff),       // a name that points to itself
		append(question[:12:12], 0xc0, 0xff, 0, 12, 0, 1, 0, 0, 0, 1, 0, 2, 0xc0, 0x0c), // beyond the end
		append([]byte{0, 0, 0x84, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, noise[:200]...),
	}
}

// TestSpoofedRecords has a rogue on the LAN answer for a member, for the swarm, and with nonsense,
// while a node that knows no address looks for the others. It finds them, and the rogue learns nothing.
func TestSpoofedRecords(t *testing.T) {
	s := harness.NewLAN(t, programs)
	a := s.Found(t, "a")
	b := s.Join(t, a, "b")
	harness.Settle(t, a, b)
	invitation := a.Invite(t)
	swarm := a.View(t).Swarm.ID
	b.Stop(t)
	if err := os.Remove(filepath.Join(b.Dir, "peers.json")); err != nil {
		t.Fatal(err)
	}

	gateway := netip.MustParseAddrPort(s.EngineAddr()).Addr()
	on, at := interfaceOf(t, gateway), netip.AddrPortFrom(gateway, 0).String()
	key := newKey(t)
	cfg := func(cert tls.Certificate) *tls.Config {
		return &tls.Config{
			Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAnyClientCert, InsecureSkipVerify: true,
			NextProtos: []string{"myco-join/1", "myco-start/1"},
		}
	}
	record := func(fp, swarm string, port int) []string {
		r := discovery.Record{NodeID: bus.NodeID("myco-" + fp[:12]), Fingerprint: fp, SwarmID: swarm[:12], Version: "1", JoinPort: port}
		return r.TXT()
	}
	ofA := fingerprint(t, keyOf(t, a).Public())
	asA := startRogue(t, at, cfg(nodeCert(t, key)))
	asACert := startRogue(t, at, cfg(withoutKey(nodeCert(t, keyOf(t, a)), key)))
	mute := startRogue(t, at, nil)
	own := startRogue(t, at, cfg(nodeCert(t, key)))
	rogues := map[string]*rogue{"a member at another address": asA, "a member, with its certificate": asACert, "a member, without TLS": mute}
	count := 0
	for what, r := range rogues {
		announce(t, on, fmt.Sprintf("rogue-%d", len(what)), r.addr, record(ofA, swarm, r.addr.Port))
		count++
	}
	ownFP := fingerprint(t, key.Public())
	announce(t, on, "rogue-own", own.addr, record(ownFP, swarm, own.addr.Port))
	count++
	for i, txt := range malformed(ownFP) {
		announce(t, on, fmt.Sprintf("rogue-bad-%d", i), own.addr, txt)
		count++
	}
	conn, err := net.DialUDP("udp4", &net.UDPAddr{IP: gateway.AsSlice()}, &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: 5353})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, p := range packets() {
		if _, err := conn.Write(p); err != nil {
			t.Fatal(err)
		}
		count++
	}

	b.Start(t)
	c := s.Node(t, "c")
	c.Start(t, "--join", invitation)
	harness.Settle(t, a, b, c)
	met := 0
	for what, r := range rogues {
		r.await(t, what, 1) // the hint was followed: else the test would test nothing
		r.learntNothing(t, what, swarm, invitation, string(b.Info.NodeID), string(c.Info.NodeID))
		met += len(r.heard())
	}
	own.learntNothing(t, "a stranger of the swarm's id", swarm, invitation)
	if k := len(own.heard()); k > 0 {
		t.Errorf("a stranger was dialled %d times: it is no member", k)
	}
	var v members
	a.JSON(t, &v, "nodes")
	if len(v.Nodes) != 3 {
		t.Errorf("members %+v, want a, b and c", v.Nodes)
	}
	harness.Settle(t, a, b, c)
	reach(t, "spoof", count, fmt.Sprintf("%d records and packets; the rogue was dialled %d times, and shown 0 certificates; a node that knew no address found the swarm", count, met))
}
