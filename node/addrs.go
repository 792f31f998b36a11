package node

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"slices"

	"github.com/mycoswarm/mycoswarm/node/internal/iface"
)

// Addrs lists the addresses at which others reach this machine, the best first: those of a LAN, then of
// tunnels, then public ones, then those that an IPv4 interface gives itself where no router gives it one, and those of
// containers and virtual machines last; among equals IPv4 before IPv6, and that of the default route before all. On a
// machine without a network it is loopback alone.
func Addrs(ctx context.Context) []netip.Addr {
	all, err := iface.List()
	if err != nil {
		all = nil
	}
	beyond, _ := netip.AddrFromSlice(leavesFrom(ctx))
	return rankAddrs(all, beyond.Unmap())
}

// rankAddrs is Addrs for these interfaces; beyond is the address of the default route, invalid where there is none.
func rankAddrs(all []iface.Interface, beyond netip.Addr) []netip.Addr {
	type ranked struct {
		ip   netip.Addr
		rank int
	}
	var found []ranked
	for _, i := range all {
		for _, ip := range i.Addrs {
			if i.Loopback || ip.IsLoopback() || !iface.Dialable(ip) {
				continue
			}
			r := ranked{ip: ip}
			for bit, worse := range []bool{ip != beyond, ip.Is6(), i.PointToPoint, !ip.IsPrivate(), ip.IsLinkLocalUnicast(), iface.Virtual(i.Name)} {
				if worse {
					r.rank |= 1 << bit
				}
			}
			found = append(found, r)
		}
	}
	slices.SortStableFunc(found, func(a, b ranked) int { return cmp.Compare(a.rank, b.rank) })
	var out []netip.Addr
	for _, f := range found {
		out = append(out, f.ip)
	}
	if len(out) == 0 {
		out = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	}
	return out
}

// leavesFrom is the address from which this machine would speak to one that is not on its LAN, or nil.
// Nothing is sent: to connect a UDP socket is to ask for the route.
func leavesFrom(ctx context.Context) net.IP {
	c, err := new(net.Dialer).DialContext(ctx, "udp4", "198.51.100.1:9") // of RFC 5737, which is nobody's
	if err != nil {
		return nil // there is no such route
	}
	defer c.Close()
	if a, ok := c.LocalAddr().(*net.UDPAddr); ok {
		return a.IP
	}
	return nil
}
