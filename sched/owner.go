package sched

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// refuseAfter is how long an attached task is open at least before it is refused: what was handed to a
// node in the moment when it was closed may be about to run.
const refuseAfter = time.Second

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

// refuse ends tasks that wait for a node to which they are pinned, where it will not run them: whoever asked
// is told why, as if it were asked now. Where that node was put out of the swarm, which is for good, it ends all of
// them, once it has heard who else keeps them; where its owner keeps it since they were submitted, attached ones, and a durable one waits.
func (o *outbox) refuse(ctx context.Context, now time.Time) {
	if now.Sub(o.n.start) < listenFirst || now.Before(o.endAfter) {
		return // there may be no route yet to who knows better
	}
	var pinned []Job
	o.mu.Lock()
	for id, e := range o.entries {
		if e.key.Pin != "" && e.key.Pin != o.n.cfg.ID && now.Sub(e.born) > refuseAfter && o.heard[id] == nil {
			pinned = append(pinned, e.job)
		}
	}
	for id, k := range o.keptOpen { // a custodian does so while the submitter is away
		if pin := k.job.Task.Node; pin != "" && pin != o.n.cfg.ID && o.entries[id] == nil && o.heard[id] == nil && o.orphaned(k) {
			pinned = append(pinned, k.job)
		}
	}
	o.mu.Unlock()
	if len(pinned) == 0 {
		return
	}
	nodes := o.n.Nodes()
	names := map[bus.NodeID]string{} // of those that were put out, empty for the others
	putOut := func(id bus.NodeID) string {
		name, known := names[id]
		if !known {
			if n, out := o.n.cfg.PutOut(id); out {
				name = cmp.Or(n, string(id))
			}
			names[id] = name
		}
		return name
	}
	why := map[bus.TaskID]*bus.Error{}
	pinned = slices.DeleteFunc(pinned, func(j Job) bool {
		if _, runs := o.runningAt(j.Task.ID); runs {
			return true
		}
		key := bus.KeyOf(&j.Task)
		switch name := putOut(key.Pin); {
		case name != "" && o.waits(&j, putOut, now):
		case name != "":
			why[j.Task.ID] = bus.Errorf(bus.CodeNoWorker, "node %s was put out of the swarm, and the task is for that node alone", name).
				WithHint("leave the node open, without --node, or name another: myco swarm")
		case !j.Durable() && !o.n.off(ProtectOwner) && len(keptBy(key, nodes, o.n.cfg.ID)) > 0:
			why[j.Task.ID] = noWorker(j.Task, nodes, o.n.cfg.ID)
		}
		return why[j.Task.ID] == nil
	})
	o.endAll(ctx, pinned, func(j *Job) Final {
		return Final{State: bus.StateFailed, Error: why[j.Task.ID], Attempt: o.attempts(j)}
	})
}

// refuses reports whether this node runs no tasks of a type for submitter at present: its owner keeps
// it. What the swarm was told counts. A host hands over none but what it has not yet heard of.
func (w *worker) refuses(submitter bus.NodeID, typ string) bool {
	i := w.n.members.infoOf(w.n.cfg.ID)
	return i.ClosedTo(submitter, typ) && !w.n.off(ProtectOwner)
}

// openKeys are the queues in which tasks of this node wait, as far as it knows.
func (o *outbox) openKeys() map[bus.Key]bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	keys := map[bus.Key]bool{}
	for _, e := range o.entries {
		keys[o.n.shared(e.key, &e.job)] = true
	}
	return keys
}
