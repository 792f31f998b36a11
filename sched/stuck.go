package sched

import (
	"context"
	"slices"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// How long an attached task waits that no node can run. What an owner has taken out of the swarm, a node or a model, only the
// owner puts back; what stops, is lost or has no engine at present mostly comes back by itself. See decision 31.
const (
	ownerFor  = 5 * time.Second
	awayFor   = 5 * time.Minute
	stuckEach = time.Second // it is looked for such tasks so often
)

// endStuck ends attached tasks that have waited for nodes that could run them for as long as that is of use: whoever asked is
// told why, as if it were asked now.
func (o *outbox) endStuck(ctx context.Context, now time.Time) {
	if now.Sub(o.looked) < stuckEach || now.Sub(o.n.start) < listenFirst {
		return
	}
	o.looked = now
	why := map[bus.TaskID]*bus.Error{}
	var nodes []bus.NodeInfo
	var over []Job
	for _, j := range o.stuck(now) {
		if nodes == nil {
			nodes = o.n.Nodes()
		}
		if _, err := Place(j.Task, nodes, o.n.cfg.ID, o.n.cfg.DefaultModel, false); err != nil {
			why[j.Task.ID] = bus.AsError(err)
			over = append(over, j)
		}
	}
	o.endAll(ctx, over, func(j *Job) Final {
		return Final{State: bus.StateFailed, Error: why[j.Task.ID], Attempt: o.attempts(j)}
	})
}

// stuck notes since when attached tasks are open that no node can run, and returns those that have been for too long.
func (o *outbox) stuck(now time.Time) (over []Job) {
	var nodes []bus.NodeInfo
	most := map[bus.Key]time.Duration{} // 0 where a node can run it
	o.mu.Lock()
	defer o.mu.Unlock()
	for id, e := range o.entries {
		if e.job.Durable() || now.Sub(e.born) < refuseAfter {
			continue
		}
		m, known := most[e.key]
		if !known {
			if nodes == nil {
				nodes = o.n.Nodes()
			}
			m = stuckMost(e.key, nodes, o.n.cfg.ID, now)
			most[e.key] = m
		}
		if m > 0 {
			if _, runs := o.runningAt(id); runs {
				m = 0
			}
		}
		if m == 0 {
			e.stuck, e.stuckMost = time.Time{}, 0
			continue
		}
		// The others were there while this process slept, perhaps; and who waited for a node that has come back, and looks for
		// its engine still, has not waited for its owner.
		if _, woke := o.n.members.wokeSince(e.stuck); e.stuck.IsZero() || woke || m < e.stuckMost {
			e.stuck = now
		}
		if e.stuckMost = m; now.Sub(e.stuck) >= m {
			over = append(over, e.job)
		}
	}
	return over
}

// stuckMost is how long a task of submitter may wait since none of nodes can run it; 0 where one can.
func stuckMost(key bus.Key, nodes []bus.NodeInfo, submitter bus.NodeID, now time.Time) time.Duration {
	if canRunFor(key, nodes, submitter) {
		return 0
	}
	owned := false
	for _, n := range nodes {
		switch {
		case removedAt(n, key):
			owned = true
		case !wouldRun(n, key):
		case n.State == bus.NodeDraining && n.Stops, !n.State.Live() && now.Sub(n.Seen) < awayFor:
			return awayFor
		case n.State == bus.NodeDraining || n.ClosedTo(submitter, key.Class):
			owned = true
		}
	}
	if owned {
		return ownerFor
	}
	return awayFor
}

// removedAt reports whether n had the model of key, and tells that it is there no more: it has an engine, and that has said so.
func removedAt(n bus.NodeInfo, key bus.Key) bool {
	return n.State.Live() && (key.Pin == "" || key.Pin == n.ID) && key.Model != "" &&
		slices.ContainsFunc(n.Removed, func(m string) bool { return bus.SameModel(m, key.Model) })
}
