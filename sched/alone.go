package sched

import "github.com/mycoswarm/mycoswarm/bus"

// alone reports whether no other node was heard of late.
func (m *members) alone() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, self := m.peers[m.self]
	return len(m.peers) == boolInt(self)
}

// lone reports whether there is no other node that could be lost: none was heard, or all are lost.
func (m *members) lone() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, p := range m.peers {
		if id != m.self && p.State != bus.NodeLost {
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
