package sched

import (
	"slices"

	"github.com/mycoswarm/mycoswarm/bus"
)

// canRunFor reports whether any of nodes can run what submitter sends, and is not kept by its owner.
func canRunFor(key bus.Key, nodes []bus.NodeInfo, submitter bus.NodeID) bool {
	open := slices.DeleteFunc(slices.Clone(nodes), func(n bus.NodeInfo) bool { return n.ClosedTo(submitter, key.Class) })
	_, ok := CanRun(key, open)
	return ok
}

// keptBy tells which nodes would run key for submitter, if their owners did not keep them; empty where
// none would.
func keptBy(key bus.Key, nodes []bus.NodeInfo, submitter bus.NodeID) (who []string) {
	for _, n := range nodes {
		if n.ClosedTo(submitter, key.Class) && n.State.Live() && wouldRun(n, key) {
			who = append(who, "node "+n.Name+" is "+n.Owner.String())
		}
	}
	return who
}

// refuses reports whether this node runs no tasks of a type for submitter at present: its owner keeps
// it. What the swarm was told counts. A host of an earlier version hands over such tasks, and so does
// each host what is pinned here.
func (w *worker) refuses(submitter bus.NodeID, typ string) bool {
	i, _ := w.n.members.infoOf(w.n.cfg.ID)
	return i.ClosedTo(submitter, typ) && !w.n.off(ProtectOwner)
}

// openKeys are the queues in which tasks of this node wait, as far as it knows.
func (o *outbox) openKeys() map[bus.Key]bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	keys := map[bus.Key]bool{}
	for _, e := range o.entries {
		keys[e.key] = true
	}
	return keys
}
