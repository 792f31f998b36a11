package node

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/mycoswarm/mycoswarm/node/internal/iface"
)

func TestAddrs(t *testing.T) {
	t.Parallel()
	addrs := func(all ...string) (out []netip.Addr) {
		for _, a := range all {
			out = append(out, netip.MustParseAddr(a))
		}
		return out
	}
	lo := iface.Interface{Name: "lo", Loopback: true, Addrs: addrs("127.0.0.1", "::1")}
	docker := iface.Interface{Name: "docker0", Addrs: addrs("172.17.0.1")}
	hostOnly := iface.Interface{Name: "bridge100", Addrs: addrs("192.168.64.1")} // of macOS, and of a LAN by its name
	machines := iface.Interface{Name: "vboxnet0", Addrs: addrs("192.168.56.1")}
	wifi := iface.Interface{Name: "wlan0", Addrs: addrs("192.168.1.7", "fe80::7", "fd00::7", "2001:db8::7")}
	tunnel := iface.Interface{Name: "tailscale0", PointToPoint: true, Addrs: addrs("10.8.0.2")}
	cable := iface.Interface{Name: "enp3s0", Addrs: addrs("169.254.3.2", "fe80::3")}
	public := iface.Interface{Name: "eth0", Addrs: addrs("203.0.113.9")}
	for _, tc := range []struct {
		name   string
		all    []iface.Interface
		beyond string
		want   []netip.Addr
	}{
		{"no network", []iface.Interface{lo}, "", addrs("127.0.0.1")},
		{
			"a laptop with containers",
			[]iface.Interface{lo, docker, hostOnly, wifi},
			"192.168.1.7",
			addrs("192.168.1.7", "192.168.64.1", "fd00::7", "2001:db8::7", "172.17.0.1"),
		},
		{"virtual machines, and no route out", []iface.Interface{lo, machines, wifi}, "", addrs("192.168.1.7", "fd00::7", "2001:db8::7", "192.168.56.1")},
		{"all goes through a tunnel", []iface.Interface{lo, tunnel, wifi}, "10.8.0.2", addrs("192.168.1.7", "fd00::7", "10.8.0.2", "2001:db8::7")},
		{"a rented server", []iface.Interface{lo, public, docker}, "203.0.113.9", addrs("203.0.113.9", "172.17.0.1")},
		{"a cable between two machines", []iface.Interface{lo, docker, cable}, "", addrs("169.254.3.2", "172.17.0.1")},
		{"a cable, and a LAN", []iface.Interface{lo, cable, wifi}, "", addrs("192.168.1.7", "fd00::7", "2001:db8::7", "169.254.3.2")},
		{"containers alone", []iface.Interface{lo, docker}, "172.17.0.1", addrs("172.17.0.1")},
	} {
		var beyond netip.Addr
		if tc.beyond != "" {
			beyond = netip.MustParseAddr(tc.beyond)
		}
		if got := rankAddrs(tc.all, beyond); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}
