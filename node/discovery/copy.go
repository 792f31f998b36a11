package discovery

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/mycoswarm/mycoswarm/node/internal/iface"
)

// maxCopies bounds what anybody on the LAN can make up.
const maxCopies = 16

// Copies returns where a record of this very node was heard from of late that this process did
// not send, HOST:PORT of its fabric: another may run with the same key. Like everything heard
// it is a hint.
func (m *MDNS) Copies() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.copies, func(_ string, at time.Time) bool { return time.Since(at) >= expiry })
	return slices.Sorted(maps.Keys(m.copies))
}

// elsewhere returns the addresses of a record of this node that are not its own. A record of
// this process has its own port, and addresses of this machine alone.
func (m *MDNS) elsewhere(port int, addrs []netip.Addr) (out []string) {
	own := map[netip.Addr]bool{}
	if port == m.cfg.FabricPort {
		all, err := iface.List()
		if err != nil {
			return nil
		}
		for _, i := range all {
			for _, a := range i.Addrs {
				own[a] = true
			}
		}
	}
	for _, a := range addrs {
		if !own[a] && iface.Dialable(a) && port > 0 && port <= 65535 {
			out = append(out, netip.AddrPortFrom(a, uint16(port)).String())
		}
	}
	return out
}

func (m *MDNS) seeCopy(addrs []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.copies == nil {
		m.copies = map[string]time.Time{}
	}
	for _, a := range addrs {
		if _, known := m.copies[a]; known || len(m.copies) < maxCopies {
			m.copies[a] = time.Now()
		}
	}
}
