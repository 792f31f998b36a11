package daemon

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/bus/fabric"
	"github.com/mycoswarm/mycoswarm/internal/config"
	"github.com/mycoswarm/mycoswarm/internal/identity"
	"github.com/mycoswarm/mycoswarm/node/discovery"
)

func TestStrangersDoNotFillTheLog(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := strangers{log: slog.New(slog.NewTextHandler(&out, nil))}
	for i := range 10 * strangersMost {
		for range 2 {
			s.tell(discovery.Found{NodeID: "myco-0", SwarmID: fmt.Sprint(i), JoinAddrs: []string{"192.0.2.1:7423"}})
		}
	}
	if n := strings.Count(out.String(), "\n"); n != strangersMost+1 || len(s.told) != strangersMost {
		t.Errorf("%d lines of %d swarms kept, want %d", n, len(s.told), strangersMost)
	}
}

// A swarm of many machines is one to join.
func TestSwarmsAreToldOfOnce(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := strangers{log: slog.New(slog.NewTextHandler(&out, nil))}
	heard := []discovery.Found{
		{NodeID: "myco-1", SwarmID: "a", JoinAddrs: []string{"192.0.2.1:7423"}},
		{NodeID: "myco-2", SwarmID: "b", JoinAddrs: []string{"192.0.2.2:7423"}},
		{NodeID: "myco-3", SwarmID: "a", JoinAddrs: []string{"192.0.2.3:7423"}},
	}
	for _, f := range heard {
		s.tell(f)
	}
	if n := strings.Count(out.String(), "\n"); n != 2 {
		t.Errorf("%d lines in the log:\n%s", n, out.String())
	}
	if got := fmt.Sprint(swarmsOf(heard)); got != "[a (2 machines, myco-1 among them) at 192.0.2.1:7423 b (myco-2) at 192.0.2.2:7423]" {
		t.Errorf("nearby: %s", got)
	}
}

// A node that was put out hears its swarm go on: that is no other one, which it could join.
func TestOwnSwarmIsNotForeign(t *testing.T) {
	t.Parallel()
	own := identity.SwarmID("0123456789abcdef")
	isMember := func(fingerprint string) bool { return fingerprint == "member" }
	for what, c := range map[string]struct {
		found discovery.Found
		want  bool
	}{
		"another swarm":          {discovery.Found{SwarmID: "ba9876543210", JoinAddrs: []string{"192.0.2.1:7423"}}, true},
		"no way to join it":      {discovery.Found{SwarmID: "ba9876543210"}, false},
		"a member":               {discovery.Found{SwarmID: "ba9876543210", Fingerprint: "member", JoinAddrs: []string{"192.0.2.1:7423"}}, false},
		"of this, and no member": {discovery.Found{SwarmID: "0123456789ab", JoinAddrs: []string{"192.0.2.1:7423"}}, false},
	} {
		if got := isForeign(c.found, own, isMember); got != c.want {
			t.Errorf("%s: foreign %t, want %t", what, got, c.want)
		}
	}
}

// Anybody on the LAN can announce a member's name with addresses of their own.
func TestHintsDoNotDisplaceWhatMembersSay(t *testing.T) {
	t.Parallel()
	id, err := identity.Open(t.TempDir(), identity.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	routes := map[bus.NodeID]struct{}{}
	tr := &trust{
		id: id, routed: func() map[bus.NodeID]struct{} { return routes },
		addrs: map[bus.NodeID][]string{}, hints: map[bus.NodeID][]string{},
	}
	member := id.NodeID() // any that is in the roster
	dialled := func(addr string) bool {
		return slices.Contains(tr.peers(), fabric.Peer{ID: member, Addr: addr})
	}
	tr.learn(member, "192.0.2.1:7422")
	for i := range 100 {
		var bogus []string
		for j := range 2 * maxHints {
			bogus = append(bogus, fmt.Sprintf("198.51.100.%d:%d", i, 1+j))
		}
		tr.hint(member, bogus...)
	}
	if !dialled("192.0.2.1:7422") || len(tr.peers()) != 1+maxHints {
		t.Errorf("dialled: %v; want what the member said, and %d hints", tr.peers(), maxHints)
	}
	tr.hint(member, "192.0.2.2:7422")
	routes[member] = struct{}{}
	tr.hint(member, "198.51.100.1:1")
	if !dialled("192.0.2.2:7422") || dialled("198.51.100.1:1") {
		t.Errorf("dialled: %v; want the hint from before there was a route", tr.peers())
	}
}

// One address that is none would have the fabric take no new peer of anybody's.
func TestNoMemberSaysWhatCannotBeDialled(t *testing.T) {
	t.Parallel()
	tr := &trust{addrs: map[bus.NodeID][]string{}, path: filepath.Join(t.TempDir(), peersFile)}
	tr.learn("myco-b", "192.0.2.1", ":7422", "192.0.2.1:0", "192.0.2.1:99999", "192.0.2.1:http", "192.0.2.1:-1", "192.0.2.1:7422", "[2001:db8::1]:7422")
	want := []string{"[2001:db8::1]:7422", "192.0.2.1:7422"}
	if !slices.Equal(tr.addrs["myco-b"], want) {
		t.Errorf("learnt %v, want %v", tr.addrs["myco-b"], want)
	}
	// The file may be of a version before.
	if err := os.WriteFile(tr.path, []byte(`{"myco-c":["192.0.2.1:99999","192.0.2.1:7422"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := tr.load(); err != nil || !slices.Equal(tr.addrs["myco-c"], want[1:]) {
		t.Errorf("loaded %v, %v, want %v", tr.addrs["myco-c"], err, want[1:])
	}
}

// The inviter may leave; another node may then have its address, and be a member.
func TestInviterThatLeftIsNotDialled(t *testing.T) {
	t.Parallel()
	given := []string{"192.0.2.1:7422", "10.0.0.1:7422"}
	members := []identity.Member{{Node: "myco-b"}}
	for what, c := range map[string]struct {
		known map[bus.NodeID][]string
		want  []string
	}{
		"nothing known":       {nil, given},
		"a member elsewhere":  {map[bus.NodeID][]string{"myco-b": {"192.0.2.2:7422"}}, given},
		"the inviter, there":  {map[bus.NodeID][]string{"myco-b": {"10.0.0.1:7422"}}, given},
		"the inviter, left":   {map[bus.NodeID][]string{"myco-a": {"10.0.0.1:7422"}}, nil},
		"a member took over":  {map[bus.NodeID][]string{"myco-a": {"10.0.0.1:7422"}, "myco-b": {"192.0.2.1:7422"}}, given},
		"another, which left": {map[bus.NodeID][]string{"myco-c": {"192.0.2.3:7422"}}, given},
	} {
		if got := stillGiven(given, c.known, members); !slices.Equal(got, c.want) {
			t.Errorf("%s: dialled %v, want %v", what, got, c.want)
		}
	}
	// What was kept may be of a version before: with a port that there is not the fabric would take no address at all.
	if got := stillGiven(append([]string{"192.0.2.9:99999"}, given...), nil, members); !slices.Equal(got, given) {
		t.Errorf("dialled %v, want %v", got, given)
	}
}

func TestListeningForOthersIsWarnedOf(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]int{
		"": 0, "127.0.0.1:0": 0, "[::1]:0": 0, "localhost:0": 0, "0.0.0.0:4222": 2, "192.0.2.1:4222": 2, "host.lan:1": 2,
	} {
		var out bytes.Buffer
		d := &Daemon{cfg: config.Config{BusListen: addr, HTTPListen: addr}, log: slog.New(slog.NewTextHandler(&out, nil))}
		d.warnOfPlaintext()
		if got := strings.Count(out.String(), "without encryption"); got != want {
			t.Errorf("%q: %d warnings, want %d", addr, got, want)
		}
	}
}

// listenerAt has an address, and is none.
type listenerAt struct {
	net.Listener
	addr net.Addr
}

func (l listenerAt) Addr() net.Addr { return l.addr }

// What programs of other machines reach is among what a firewall must let through; what is on loopback is not.
func TestListeningForOthersIsToldOf(t *testing.T) {
	t.Parallel()
	any4 := func(port int) net.Listener { return listenerAt{addr: &net.TCPAddr{IP: net.IPv4zero, Port: port}} }
	loopback := listenerAt{addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7890}}
	for _, c := range []struct {
		d    *Daemon
		want []string
	}{
		{&Daemon{info: bus.DaemonInfo{BusURL: "nats://127.0.0.1:4222"}, http: loopback}, nil},
		{
			&Daemon{
				info: bus.DaemonInfo{BusURL: "nats://127.0.0.1:4223"}, cfg: config.Config{BusListen: "0.0.0.0:4223"},
				http: any4(7890), ollama: any4(11434),
			},
			[]string{"NATS 0.0.0.0:4223", "HTTP 0.0.0.0:7890", "HTTP, as Ollama 0.0.0.0:11434"},
		},
	} {
		var got []string
		for _, l := range c.d.programListens() {
			if l.Others {
				got = append(got, l.What+" "+l.Addr)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("others reach %q, want %q", got, c.want)
		}
	}
}

// Who reads the log knows machines by their names, and not by their ids.
func TestRoutesAreToldByName(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	d := &Daemon{log: slog.New(slog.NewTextHandler(&log, nil))}
	var err error
	if d.id, err = identity.Open(t.TempDir(), identity.Options{Name: "tower", Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	tr, there := &trust{d: d}, map[bus.NodeID]struct{}{d.id.NodeID(): {}}
	tr.tellRoutes(nil, there)
	tr.tellRoutes(there, nil)
	for _, want := range []string{"up", "gone"} {
		if want := "msg=\"route is " + want + "\" node=" + string(d.id.NodeID()) + " name=tower\n"; !strings.Contains(log.String(), want) {
			t.Errorf("the log does not tell %q:\n%s", want, log.String())
		}
	}
}
