package sched

import "github.com/mycoswarm/mycoswarm/bus"

// alone reports whether no other node was heard of late.
func (m *members) alone() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, self := m.peers[m.self]
	return len(m.peers) == boolInt(self)
}

// settled reports whether all other nodes are lost, or are heard and have a route.
func (m *members) settled() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	for id, p := range m.peers {
		if id != m.self && p.State != bus.NodeLost && (!p.routed || p.misses > 0 || now.Sub(p.Seen) > 2*beatEvery) {
			return false
		}
	}
	return true
}

// newsCount counts the changes in what infos tells.
func (m *members) newsCount() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.news
}
