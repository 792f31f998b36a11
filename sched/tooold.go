package sched

import (
	"cmp"

	"github.com/mycoswarm/mycoswarm/bus"
)

// key is the work queue that j belongs to.
func (j *Job) key() bus.Key {
	k := bus.KeyOf(&j.Task)
	k.Large = k.Large || j.Blob != nil
	return k
}

// tooOld returns a node that keeps the tasks of key from running until it is upgraded: the queue host,
// or one that would run them. It knows nothing of what is too large for a message.
func tooOld(key bus.Key, nodes []bus.NodeInfo) (old bus.NodeInfo, is bool) {
	if !key.Large {
		return old, false
	}
	small := key
	small.Large = false
	for _, n := range nodes {
		if n.Wire.Blobs() || !n.State.Live() {
			continue
		}
		if n.QueueHost {
			return n, true
		}
		if can, _ := Runs(n, small); can && !is {
			old, is = n, true
		}
	}
	return old, is
}

// hostTooOld reports whether the queue host among nodes cannot hand out the tasks of key.
func hostTooOld(key bus.Key, nodes []bus.NodeInfo) bool {
	old, is := tooOld(key, nodes)
	return is && old.QueueHost
}

// tooOldFor is why what is too large for a message does not go to a node.
func tooOldFor(what string, n bus.NodeInfo) *bus.Error {
	name, version := cmp.Or(n.Name, string(n.ID)), cmp.Or(n.Version, "of an earlier version")
	return bus.Errorf(bus.CodeTooLarge, "the %s is over %d KiB, and node %s (mycod %s) takes no more", what, bus.MaxInline>>10, name, version).
		WithHint("upgrade mycod on %s", name)
}

// oldSubmitter returns j's submitter, where that lives and could not show a result that is too large
// for a message.
func (n *Node) oldSubmitter(j *Job) (bus.NodeInfo, bool) {
	i, state := n.members.infoOf(j.Submitter)
	return i, state.Live() && !i.Wire.Blobs()
}
