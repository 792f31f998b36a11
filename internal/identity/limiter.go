package identity

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/mycoswarm/mycoswarm/internal/protect"
)

const (
	// badAttempts wrong tokens from one source are answered at once, then one every
	// badEvery. The secret has 128 bits: this spares logs and processor, it is not
	// what keeps guesses out.
	badAttempts = 10
	badEvery    = 6 * time.Second
	maxSources  = 1024
)

// limiter counts wrong attempts by source: an IPv4 address or an IPv6 /64, which is a site. Of the /64 that this machine
// is in, each address counts by itself: else one guest of the household would have all of it refused.
type limiter struct {
	mu      sync.Mutex
	sources map[netip.Prefix]*rate.Limiter
}

func newLimiter() *limiter {
	return &limiter{sources: make(map[netip.Prefix]*rate.Limiter)}
}

// blocked reports whether the source has used up its attempts.
func (l *limiter) blocked(source netip.Prefix, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, ok := l.sources[source]
	return ok && r.TokensAt(now) < 1 && !protect.Guesses.Off()
}

// bad counts a wrong attempt.
func (l *limiter) bad(source netip.Prefix, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, ok := l.sources[source]
	if !ok {
		if len(l.sources) >= maxSources {
			l.forget(now)
		}
		r = rate.NewLimiter(rate.Every(badEvery), badAttempts)
		l.sources[source] = r
	}
	r.AllowN(now, 1)
}

// forget drops the sources that have been quiet, and all when none has.
func (l *limiter) forget(now time.Time) {
	for s, r := range l.sources {
		if r.TokensAt(now) >= badAttempts {
			delete(l.sources, s)
		}
	}
	if len(l.sources) >= maxSources {
		clear(l.sources)
	}
}

// sourceOf gives what the limiter counts by where a connection came in at local.
func sourceOf(remote, local net.Addr) netip.Prefix {
	if site := siteOf(remote); site.Addr().Is4() || !site.Contains(hostOf(local)) {
		return site
	}
	ip := hostOf(remote)
	return netip.PrefixFrom(ip, ip.BitLen())
}

// siteOf gives the addresses that one machine may have of its own choice with that of addr: an IPv4 address or an IPv6 /64.
func siteOf(addr net.Addr) netip.Prefix {
	ip := hostOf(addr)
	p, _ := ip.Prefix(min(ip.BitLen(), 64))
	return p
}

// addressIn is siteOf for the one address.
func addressIn(addr net.Addr) netip.Prefix {
	ip := hostOf(addr)
	p, _ := ip.Prefix(ip.BitLen())
	return p
}

// hostOf gives the IP address of addr; the zero Addr where it has none.
func hostOf(addr net.Addr) netip.Addr {
	ap, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}
