package sched

import (
	"slices"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Peer is what is known of one node.
type Peer struct {
	Beat  bus.Heartbeat
	Info  bus.NodeInfo
	State bus.NodeState
	Seen  time.Time
	// Skew is how much its clock is ahead of this node's, to within the time of a heartbeat's way.
	Skew time.Duration
	// Left tells that it said goodbye, and was not heard since.
	Left bool
}

// Live reports whether p counts as there, if perhaps slow. One that does not speak this node's
// protocol is not: it is as if behind a link that is down.
func (p Peer) Live() bool { return p.State.Live() }

// View is what a node knows of the swarm at one moment, itself included.
type View struct {
	Self  bus.NodeID
	Peers map[bus.NodeID]Peer
	left  map[bus.NodeID]bool
}

// Left reports whether a node said goodbye and was not heard since, also where it is no peer any more, for that is long ago.
func (v View) Left(id bus.NodeID) bool { return v.Peers[id].Left || v.left[id] }

// Live returns the ids of the live peers, sorted.
func (v View) Live() []bus.NodeID {
	var ids []bus.NodeID
	for id, p := range v.Peers {
		if p.Live() {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Alive reports whether id is a live node.
func (v View) Alive(id bus.NodeID) bool {
	p, ok := v.Peers[id]
	return ok && p.Live()
}
