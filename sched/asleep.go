package sched

import (
	"context"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// askAwake is for how long after it woke a process waits for the others' answers before it writes an end. Who was lost
// meanwhile is known by then.
const askAwake = 2 * lostAfter

// stamp notes that left is left of j's deadline at now.
func (n *Node) stamp(j *Job, left time.Duration, now time.Time) {
	j.LeftMS, j.Stamp = left.Milliseconds(), now
	if j.Task.Timeout != 0 {
		j.here, j.slept = true, n.cfg.Slept()
	}
}

// left is Job.left, without the time in which this machine was suspended since it has stamped j: the clock by which
// it counts stood still. What came from elsewhere, or from a disk, is counted by wall clocks.
func (n *Node) left(j *Job, now time.Time) (time.Duration, bool) {
	left, has := j.left(now)
	return left - n.sleptSince(j), has
}

func (n *Node) sleptSince(j *Job) time.Duration {
	if !j.here {
		return 0
	}
	return max(n.cfg.Slept()-j.slept, 0)
}

// expired reports whether the deadline of j has passed at now.
func (n *Node) expired(j *Job, now time.Time) bool {
	left, has := n.left(j, now)
	return has && left <= 0
}

// endedAsleep reports whether a durable task was ended by another while this process was stopped, or the machine
// suspended. Everybody who was there before is asked for that, for what is heard of them at first may be as old as the
// gap. After it this node is host only where it is still followed.
func (w *worker) endedAsleep(ctx context.Context, a *attempt) bool {
	if !a.job.Durable() || w.n.off(ProtectAskAwake) {
		return false
	}
	for ctx.Err() == nil {
		woke, ok := w.n.members.wokeSince(a.began)
		if !ok || w.n.now().Sub(woke) > askAwake {
			return false
		}
		f, ended, answered := w.n.askEndOf(ctx, a.job.Task.ID)
		if ended {
			w.settle(ctx, a, f)
			return true
		}
		if w.n.abreast(answered) {
			return false
		}
		w.pause(ctx)
	}
	return false
}

// abreast reports whether all live peers are among answered, and this node follows the latest host of whom they told.
func (n *Node) abreast(answered map[bus.NodeID]bool) bool {
	v := n.members.view()
	for _, id := range v.Live() {
		if id != n.cfg.ID && !answered[id] && v.Peers[id].State != bus.NodeIncompatible {
			return false
		}
	}
	q, ok := n.queue.get()
	return ok && q.Term >= n.members.term(0)
}
