package discovery

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/grandcat/zeroconf"

	"github.com/mycoswarm/mycoswarm/node/internal/iface"
)

// domain is the one of multicast DNS.
const domain = "local."

// announcement is this node's record, on the air.
type announcement struct {
	servers []*zeroconf.Server
	since   time.Time
}

// settle is the least age of a registration that is shut down. Before its goroutines have
// begun, Shutdown counts them while they are still signing on: it would not wait for them.
const settle = 250 * time.Millisecond

// announce registers this node on the interfaces. Those of loopback get a registration of
// their own, as their address has to be named; for the others it is looked up when answering,
// so that each network learns the address it can reach.
func announce(cfg Config, on []iface.Interface) (*announcement, error) {
	var lan, loopback []iface.Interface
	for _, i := range on {
		if i.Loopback {
			loopback = append(loopback, i)
		} else {
			lan = append(lan, i)
		}
	}
	a := &announcement{}
	var failed error
	for _, group := range [][]iface.Interface{lan, loopback} {
		if len(group) == 0 {
			continue
		}
		server, err := register(cfg, group)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		a.servers = append(a.servers, server)
	}
	if len(a.servers) == 0 {
		return nil, failed
	}
	a.since = time.Now()
	return a, nil
}

func register(cfg Config, on []iface.Interface) (*zeroconf.Server, error) {
	short := strings.TrimPrefix(string(cfg.NodeID), "myco-")
	if cfg.Start != "" {
		short += "-" + cfg.Start
	}
	server, err := zeroconf.RegisterProxy(cfg.Host+"-"+short, Service, domain, cfg.FabricPort,
		"myco-"+short, fixedAddrs(on), cfg.record().TXT(), netInterfaces(on))
	if err != nil {
		return nil, fmt.Errorf("announce on %s: %w", strings.Join(names(on), ", "), err)
	}
	return server, nil
}

// fixedAddrs returns the addresses to name in the announcement; nil lets them be looked up.
// Windows does not tell where a question came in, so that nothing could be looked up.
func fixedAddrs(on []iface.Interface) []string {
	if !on[0].Loopback && runtime.GOOS != "windows" {
		return nil
	}
	var addrs []string
	for _, i := range on {
		for _, a := range i.Addrs {
			if iface.Dialable(a) && (a.Is4() || !i.Loopback) {
				addrs = append(addrs, a.String())
			}
		}
	}
	return addrs
}

// stop takes the announcement back, which takes a quarter of a second where it is a new one.
func (a *announcement) stop() {
	if a == nil {
		return
	}
	<-time.After(settle - time.Since(a.since))
	for _, s := range a.servers {
		s.Shutdown()
	}
}

// Bounds of one round. zeroconf keeps all that it hears until the round ends, and with each record every address of its
// packet: 300 packets that somebody on the LAN made up to that end were 2 GiB.
const (
	maxHeard   = 4 * maxNodes // records
	maxHeardOf = 256          // addresses of one: a host of containers may have a hundred on one interface
)

// errFlood ends a round early.
var errFlood = errors.New("somebody on the network makes up more records than a swarm has")

// browse asks for nodes and hands over what answers, until length has passed or ctx ended, or until
// it is errFlood. It is an error if it could not listen at all; it returns in time all the same. see
// may be called by two goroutines at once.
func browse(ctx context.Context, on []iface.Interface, length time.Duration, see func(txt []string, port int, addrs []netip.Addr)) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	var heard atomic.Int64
	var wg sync.WaitGroup
	var failed error
	listening := false
	for _, ip := range []zeroconf.IPType{zeroconf.IPv4, zeroconf.IPv6} {
		if ip == zeroconf.IPv6 && !speaksIPv6(on) {
			continue
		}
		resolver, err := zeroconf.NewResolver(zeroconf.SelectIPTraffic(ip), zeroconf.SelectIfaces(netInterfaces(on)))
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		// An unread channel would hold the resolver for ever: it is read until it is closed,
		// which is when ctx ends, even if Browse fails.
		entries := make(chan *zeroconf.ServiceEntry, 64)
		wg.Go(func() {
			for e := range entries {
				if heard.Add(1) > maxHeard || len(e.AddrIPv4)+len(e.AddrIPv6) > maxHeardOf {
					end(errFlood)
					continue
				}
				see(e.Text, e.Port, addrsOf(e))
			}
		})
		if err := resolver.Browse(ctx, Service, domain, entries); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		listening = true
	}
	<-ctx.Done()
	wg.Wait()
	switch {
	case errors.Is(context.Cause(ctx), errFlood):
		return errFlood
	case listening:
		return nil
	}
	return fmt.Errorf("listen on %s: %w", strings.Join(names(on), ", "), failed)
}

// speaksIPv6 reports whether IPv6 may find more nodes than IPv4: not on loopback, whose
// IPv6 has no multicast route.
func speaksIPv6(on []iface.Interface) bool {
	for _, i := range on {
		if !i.Loopback && i.HasIPv6() {
			return true
		}
	}
	return false
}

func addrsOf(e *zeroconf.ServiceEntry) []netip.Addr {
	var addrs []netip.Addr
	for _, ips := range [][]net.IP{e.AddrIPv4, e.AddrIPv6} {
		for _, ip := range ips {
			if a, ok := netip.AddrFromSlice(ip); ok {
				addrs = append(addrs, a.Unmap())
			}
		}
	}
	return addrs
}

// netInterfaces returns what zeroconf wants to know of interfaces: name and index.
func netInterfaces(on []iface.Interface) []net.Interface {
	list := make([]net.Interface, 0, len(on))
	for _, i := range on {
		list = append(list, net.Interface{Index: i.Index, Name: i.Name})
	}
	return list
}
