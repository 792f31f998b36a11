package iface_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/mycoswarm/mycoswarm/node/internal/iface"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// named makes an interface with multicast and the given addresses; "lo" is loopback and, as
// on Linux, without multicast.
func named(name string, addrs ...string) iface.Interface {
	i := iface.Interface{Name: name, Loopback: name == "lo", Multicast: name != "lo"}
	for _, a := range addrs {
		i.Addrs = append(i.Addrs, netip.MustParseAddr(a))
	}
	return i
}

func TestChoose(t *testing.T) {
	t.Parallel()
	lo := named("lo", "127.0.0.1", "::1")
	eth := named("eth0", "192.168.1.5", "fe80::1")
	wlan := named("wlan0", "192.168.2.5")
	docker := named("docker0", "172.17.0.1")
	veth := named("veth1", "10.0.0.1")
	cable := named("vethaf3", "fe80::2")
	tunnel := iface.Interface{Name: "tun0", Addrs: []netip.Addr{netip.MustParseAddr("10.8.0.2")}}
	for _, c := range []struct {
		name string
		all  []iface.Interface
		want []string
		got  string
	}{
		{"LAN", []iface.Interface{lo, eth, wlan}, nil, "eth0 wlan0"},
		{"with containers", []iface.Interface{lo, docker, cable, eth, named("br-1", "172.18.0.1"), named("virbr0", "192.168.122.1"), named("podman0", "10.88.0.1")}, nil, "eth0"},
		{"with virtual machines", []iface.Interface{lo, named("vboxnet0", "192.168.56.1"), named("vmnet8", "192.168.80.1"), eth, named("incusbr0", "10.5.0.1")}, nil, "eth0"},
		{"on Windows", []iface.Interface{named("Ethernet", "192.168.1.5"), named("VMware Network Adapter VMnet1", "192.168.9.1"), named("VirtualBox Host-Only Network", "192.168.56.1")}, nil, "Ethernet"},
		{"IPv6 only", []iface.Interface{lo, named("eth0", "fd00::1")}, nil, "eth0"},
		{"link-local IPv6 cannot be dialled", []iface.Interface{lo, named("eth0", "fe80::1")}, nil, "lo"},
		{"no multicast", []iface.Interface{lo, tunnel}, nil, "lo"},
		{"namespace", []iface.Interface{lo, veth}, nil, "veth1"},
		{"containers without a LAN", []iface.Interface{lo, docker, cable}, nil, "lo"},
		{"loopback only", []iface.Interface{lo}, nil, "lo"},
		{"none", nil, nil, ""},
		{"asked for", []iface.Interface{lo, eth, docker}, []string{"docker0"}, "docker0"},
		{"asked for two", []iface.Interface{lo, eth, docker}, []string{"docker0", "lo"}, "lo docker0"},
		{"asked for, not there", []iface.Interface{lo, eth}, []string{"eth1"}, ""},
		{"asked for loopback", []iface.Interface{lo, eth}, []string{iface.Loopback}, "lo"},
		{"asked for, without an address", []iface.Interface{lo, named("eth9")}, []string{"eth9"}, "eth9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var names []string
			for _, i := range iface.Choose(c.all, c.want) {
				names = append(names, i.Name)
			}
			if got := strings.Join(names, " "); got != c.got {
				t.Errorf("chose %q, want %q", got, c.got)
			}
		})
	}
}

func TestDialable(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]bool{
		"192.168.1.5": true, "127.0.0.1": true, "169.254.1.1": true, "fd00::1": true, "2001:db8::1": true,
		"0.0.0.0": false, "255.255.255.255": false, "224.0.0.251": false, "fe80::1": false, "ff02::fb": false, "::": false,
	} {
		if got := iface.Dialable(netip.MustParseAddr(addr)); got != want {
			t.Errorf("Dialable(%s) = %t", addr, got)
		}
	}
}

func TestListHasLoopback(t *testing.T) {
	t.Parallel()
	all, err := iface.List()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(all, func(i iface.Interface) bool { return i.Loopback && len(i.Addrs) > 0 }) {
		t.Errorf("no loopback in %+v", all)
	}
}
