package sched

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// What members know, for those who ask. Each of these takes mu for itself.

// view returns a snapshot.
func (m *members) view() View {
	m.mu.Lock()
	defer m.mu.Unlock()
	v := View{Self: m.self, Peers: make(map[bus.NodeID]Peer, len(m.peers)), left: maps.Clone(m.left)}
	for id, p := range m.peers {
		p.Left = p.gone
		v.Peers[id] = p.Peer
	}
	return v
}

// whoLeft returns the nodes that said goodbye and were not heard since, sorted.
func (m *members) whoLeft() []bus.NodeID {
	m.mu.Lock()
	defer m.mu.Unlock()
	left := slices.Collect(maps.Keys(m.left))
	for id, p := range m.peers {
		if p.gone {
			left = append(left, id)
		}
	}
	slices.Sort(left)
	return left
}

// state returns the state of a peer, as a View has it, without a copy of that: it is asked for on busy paths, as
// alive and runningAt are.
func (m *members) state(id bus.NodeID) bus.NodeState {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.peers[id]; p != nil {
		return p.State
	}
	return bus.NodeLost
}

// infoOf returns what a peer told of itself; of one that is not known, its id.
func (m *members) infoOf(id bus.NodeID) bus.NodeInfo {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.peers[id]; p != nil {
		i := p.Info
		i.Wire = p.Beat.Wire
		return i
	}
	return bus.NodeInfo{ID: id}
}

// infos returns what each peer told of itself, with its state as seen from here, in no order.
func (m *members) infos() []bus.NodeInfo {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]bus.NodeInfo, 0, len(m.peers))
	for id, p := range m.peers {
		i := p.Info
		if i.ID == "" {
			i = bus.NodeInfo{ID: id, Name: string(id)}
		}
		i.State, i.Seen, i.Wire, i.Busy = p.State, p.Seen, p.Beat.Wire, max(i.Busy, 0)
		if i.State == bus.NodeLost { // what it was at goes on elsewhere
			i.Busy = 0
		}
		out = append(out, i)
	}
	return out
}

func (m *members) alive(id bus.NodeID) bool { return m.state(id).Live() }

// met reports whether a node is there, and was long enough to have asked for what it has missed.
func (m *members) met(id bus.NodeID, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.peers[id]
	return p != nil && p.Live() && p.routed && now.Sub(p.upAt) > askedBy
}

// saidBye reports whether a node said goodbye, and was not heard since.
func (m *members) saidBye(id bus.NodeID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.peers[id]
	return p != nil && p.gone
}

// unheard stands for a start of a node that this process has not heard.
const unheard = "?"

// crashOf returns what became of an attempt with its worker: nothing where that lives or said goodbye.
func (m *members) crashOf(worker bus.NodeID, attempt int) []Crash {
	if m.alive(worker) || m.saidBye(worker) {
		return nil
	}
	return []Crash{{worker, attempt, cmp.Or(m.boot(worker), unheard)}}
}

// name returns what a peer is called, for people; empty where it has not told that.
func (m *members) name(id bus.NodeID) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.peers[id]; p != nil {
		return p.Info.Name
	}
	return ""
}

// boot returns the start that a peer was last heard of.
func (m *members) boot(id bus.NodeID) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.peers[id]; p != nil {
		return p.Beat.Boot
	}
	return ""
}

func (m *members) runningAt(task bus.TaskID) (bus.NodeID, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, p := range m.peers {
		if !p.Live() || id == m.self {
			continue
		}
		for _, r := range p.Beat.Running {
			if r.Task == task {
				return id, true
			}
		}
	}
	return "", false
}

// sees returns the nodes that a peer hears, by its last heartbeat.
func (m *members) sees(id bus.NodeID) []bus.NodeID {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.peers[id]; p != nil {
		return slices.Clone(p.Beat.Sees)
	}
	return nil
}

// reports tells whether node's beats after since still name task as running.
func (m *members) reports(node bus.NodeID, task bus.TaskID, since time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.peers[node]
	if p == nil {
		return false
	}
	if p.Seen.Sub(since) < silentFor {
		return true // nothing newer was heard
	}
	for _, r := range p.Beat.Running {
		if r.Task == task {
			return true
		}
	}
	return false
}

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
