package sched

import (
	"context"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// askAwake is for how long after it woke a process waits for the others' answers before it writes an end. A machine that is
// opened may take some seconds until it has its network, and has lost all others by then.
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

// wokeLately reports whether this process woke from a gap after t, and so short a time ago that others may have ended what it
// does not know of.
func (n *Node) wokeLately(t time.Time) bool {
	woke, ok := n.members.wokeSince(t)
	return ok && n.now().Sub(woke) <= askAwake && !n.off(ProtectAskAwake)
}

// abreast reports whether all peers that were there before this process woke are among answered, and it follows the latest
// host of whom they told.
func (n *Node) abreast(answered map[bus.NodeID]bool) bool {
	if n.members.lostAwake() {
		return false
	}
	v := n.members.view()
	for _, id := range v.Live() {
		if id != n.cfg.ID && !answered[id] && v.Peers[id].State != bus.NodeIncompatible {
			return false
		}
	}
	q, ok := n.queue.get()
	return ok && q.Term >= n.members.term()
}

// endedAsleep reports whether a durable task was ended by another while this process was stopped, or the machine
// suspended. Everybody who was there before is asked for that, for what is heard of them at first may be as old as the
// gap. After it this node is host only where it is still followed.
func (w *worker) endedAsleep(ctx context.Context, a *attempt) bool {
	f, ended := w.n.endedMeanwhile(ctx, a.job, a.began)
	if ended {
		w.settle(ctx, a, f)
	}
	return ended
}

// endedMeanwhile returns the end of a durable task that another has written, where this process woke from a gap after t.
func (n *Node) endedMeanwhile(ctx context.Context, j *Job, t time.Time) (f Final, ended bool) {
	for j.Durable() && ctx.Err() == nil && n.wokeLately(t) {
		var answered map[bus.NodeID]bool
		if f, ended, answered = n.rounds.ask(ctx, j.Task.ID); ended || n.abreast(answered) {
			break
		}
	}
	return f, ended
}

// rounds asks all nodes for the ends of tasks, with one question for all that wait, and the next retryWait after its answers:
// each has every node send a heartbeat to all, and very many tasks may end in the moment in which a machine is opened.
type rounds struct {
	n *Node

	mu     sync.Mutex
	asking bool
	next   *round // not asked yet
}

// round is one question. What it learns is written before done is closed, and not changed then.
type round struct {
	ids      []bus.TaskID
	done     chan struct{}
	ended    map[bus.TaskID]Final
	answered map[bus.NodeID]bool
}

// ask returns the end of a task, if another knows one, and who has answered. It may be called again at once.
func (r *rounds) ask(ctx context.Context, id bus.TaskID) (f Final, ended bool, answered map[bus.NodeID]bool) {
	r.mu.Lock()
	if r.next == nil {
		r.next = &round{done: make(chan struct{}), ended: map[bus.TaskID]Final{}}
	}
	mine := r.next
	mine.ids = append(mine.ids, id)
	if !r.asking {
		r.asking = true
		r.n.bg.run(r.run)
	}
	r.mu.Unlock()
	select {
	case <-mine.done:
	case <-r.n.bg.done: // the Node ends
		r.n.worker.pause(ctx)
		return f, false, nil
	case <-ctx.Done():
		return f, false, nil
	}
	f, ended = mine.ended[id]
	return f, ended, mine.answered
}

// run asks until nobody waits.
func (r *rounds) run() {
	for {
		r.mu.Lock()
		now := r.next
		r.next, r.asking = nil, now != nil
		r.mu.Unlock()
		if now == nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), syncWithin)
		var mu sync.Mutex // the question may be asked in parts
		var err error
		now.answered, err = r.n.sync(ctx, now.ids, func(f Final) {
			mu.Lock()
			defer mu.Unlock()
			now.ended[f.Task] = f
		})
		cancel()
		if err != nil {
			r.n.log.Debug("not all nodes answered whether tasks have ended", "asked", len(now.ids), "err", err)
		}
		close(now.done)
		select {
		case <-time.After(retryWait):
		case <-r.n.bg.done:
		}
	}
}
