package daemon

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/internal/identity"
	"github.com/mycoswarm/mycoswarm/node"
)

// addrsFor is how long this machine's addresses are taken to be what they were. To list them asks the
// kernel about each network interface by itself, and each heartbeat tells the first of them.
const addrsFor = 2 * time.Second

// ownAddrs keeps this machine's addresses. Its zero value is ready.
type ownAddrs struct {
	mu   sync.Mutex
	read time.Time
	all  []netip.Addr
}

// get returns what list returned not long ago, or does now: the addresses as of node.Addrs.
func (o *ownAddrs) get(list func(context.Context) []netip.Addr) []netip.Addr {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.all == nil || time.Since(o.read) >= addrsFor {
		o.all, o.read = list(context.Background()), time.Now()
	}
	return o.all
}

// ownAddrs lists this machine's addresses, the best first.
func (d *Daemon) ownAddrs() []netip.Addr { return d.own.get(node.Addrs) }

// addrsOf are the addresses, HOST:PORT, at which other machines reach what listens on addr, the
// best first. On a machine without a network they are those of loopback.
func (d *Daemon) addrsOf(addr string) []string {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil || !ap.Addr().IsUnspecified() {
		return []string{addr}
	}
	var out []string
	for _, ip := range d.ownAddrs() {
		if ip.Is4() || ap.Addr().Is6() {
			out = append(out, netip.AddrPortFrom(ip, ap.Port()).String())
		}
	}
	if len(out) == 0 { // it has IPv6 alone, and addr is of IPv4
		return []string{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), ap.Port()).String()}
	}
	return out[:min(len(out), identity.MaxAddrs)]
}
