package discovery

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/mycoswarm/mycoswarm/node/internal/iface"
)

const (
	// expiry is how long a node that is heard no more stays in the table: four rounds.
	expiry = 4 * roundMax
	// again is how long after telling of a node it is worth telling of it once more.
	again = roundMax / 2
	// The table is bounded, as anybody on the LAN can fill it. A node that the owner knows
	// takes the place of a stranger, and a new address that of the one heard longest ago.
	maxNodes = 256
	maxAddrs = 16
)

// sighting is one record that was heard.
type sighting struct {
	record Record
	port   int
	addrs  []netip.Addr
}

// table holds the nodes that were heard of late. It is not safe for concurrent use. Nodes are
// told apart by their whole fingerprint, for anybody can make a key with the first 12 digits
// of another's.
type table struct {
	nodes map[string]*neighbour
	known func(fingerprint string) bool
}

type neighbour struct {
	record Record
	port   int
	addrs  map[netip.Addr]time.Time // when each was heard
	at     time.Time
	told   time.Time
}

func newTable(known func(fingerprint string) bool) *table {
	return &table{nodes: map[string]*neighbour{}, known: known}
}

// see takes in s, heard at now. It reports whether the owner should be told: the node is new
// or changed, or was not told of for a while.
func (t *table) see(s sighting, now time.Time) (f Found, tell bool) {
	addrs := slices.DeleteFunc(slices.Clone(s.addrs), func(a netip.Addr) bool { return !iface.Dialable(a) })
	if len(addrs) == 0 || s.port < 1 || s.port > 65535 {
		return Found{}, false
	}
	t.expire(now)
	n := t.nodes[s.record.Fingerprint]
	changed := n == nil || n.record != s.record || n.port != s.port
	if n == nil {
		if len(t.nodes) >= maxNodes && (!t.known(s.record.Fingerprint) || !t.makeRoom()) {
			return Found{}, false
		}
		n = &neighbour{addrs: map[netip.Addr]time.Time{}}
		t.nodes[s.record.Fingerprint] = n
	}
	n.record, n.port, n.at = s.record, s.port, now
	for _, a := range addrs {
		if _, known := n.addrs[a]; !known {
			changed = true
			if len(n.addrs) >= maxAddrs {
				delete(n.addrs, oldest(n.addrs))
			}
		}
		n.addrs[a] = now
	}
	if !changed && now.Sub(n.told) < again {
		return Found{}, false
	}
	n.told = now
	return n.found(), true
}

// makeRoom forgets the stranger heard longest ago, and reports whether there was one.
func (t *table) makeRoom() bool {
	strangers := map[string]time.Time{}
	for fp, n := range t.nodes {
		if !t.known(fp) {
			strangers[fp] = n.at
		}
	}
	if len(strangers) == 0 {
		return false
	}
	delete(t.nodes, oldest(strangers))
	return true
}

// oldest returns the key with the earliest time; the map is not empty.
func oldest[K comparable](at map[K]time.Time) (first K) {
	var when time.Time
	for k, t := range at {
		if when.IsZero() || t.Before(when) {
			first, when = k, t
		}
	}
	return first
}

// expire forgets nodes and addresses that were not heard of late.
func (t *table) expire(now time.Time) {
	old := func(at time.Time) bool { return now.Sub(at) >= expiry }
	maps.DeleteFunc(t.nodes, func(_ string, n *neighbour) bool { return old(n.at) })
	for _, n := range t.nodes {
		maps.DeleteFunc(n.addrs, func(_ netip.Addr, at time.Time) bool { return old(at) })
	}
}

// list returns the nodes heard of late, by id.
func (t *table) list(now time.Time) []Found {
	t.expire(now)
	found := make([]Found, 0, len(t.nodes))
	for _, n := range t.nodes {
		if len(n.addrs) > 0 {
			found = append(found, n.found())
		}
	}
	slices.SortFunc(found, func(a, b Found) int { return cmp.Compare(a.Fingerprint, b.Fingerprint) })
	return found
}

func (n *neighbour) found() Found {
	// IPv4 sorts before IPv6.
	addrs := slices.SortedFunc(maps.Keys(n.addrs), netip.Addr.Compare)
	at := func(port int) []string {
		hosts := make([]string, 0, len(addrs))
		for _, a := range addrs {
			hosts = append(hosts, netip.AddrPortFrom(a, uint16(port)).String())
		}
		return hosts
	}
	f := Found{
		NodeID:      n.record.NodeID,
		Fingerprint: n.record.Fingerprint,
		SwarmID:     n.record.SwarmID,
		Version:     n.record.Version,
		FabricAddrs: at(n.port),
		At:          n.at,
	}
	if n.record.JoinPort != 0 {
		f.JoinAddrs = at(n.record.JoinPort)
	}
	return f
}
