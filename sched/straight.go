package sched

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// straight is a task that was handed to a slot past the queue, as long as it runs. What the queue is
// good for, to have the task once more when its worker is lost, the host does itself: both are in the
// same memory, and so is the entry of its submitter.
type straight struct {
	job    func() []byte // its message
	choice *chosen       // until it is claimed
	back   bool          // it is on its way into the queue
}

// offer hands an attached task of this node that nobody has run straight to a slot that waits, and
// reports whether one has it. The store would take longer to keep a message and give it out again than
// all the rest takes.
func (h *host) offer(key bus.Key, need Need, j *Job, message func() []byte) (taken bool) {
	id := j.Task.ID
	fresh := h.n.isFresh(id)
	var to *asking
	var it *item
	h.do(func() {
		if has := h.items[id]; has != nil {
			taken = has.straight != nil
		} else if fresh && j.Blob == nil && len(h.asking) > 0 {
			it = h.insert(key, id, 0, need)
			if to = h.take(it, message); to == nil {
				h.forget(it)
			}
		}
	})
	if to == nil {
		return taken
	}
	r := firstRun(to.Node, to.to, Delivery{})
	d := Delivery{Key: key}
	if h.n.worker.isSlot(to.to) { // not by the node's name, which another process may have too
		d.Job = j.copied()
	} else {
		d.Data = message()
	}
	err := h.n.fx.Direct(h.q, id, d, to.to, r.head(id, Delivery{Key: key}), marshal(r))
	if err == nil {
		return true
	}
	if !errors.Is(err, ErrConflict) {
		h.n.log.Debug("hand over", "key", key, "to", to.Node, "err", err)
	}
	h.do(func() {
		h.forget(it)
		if h.asking[to.id()] == nil {
			h.asking[to.id()] = to
		}
	})
	return false
}

// copied returns a copy of j of which a handler may write over the payload: the next one gets j's.
func (j *Job) copied() *Job {
	own := *j
	own.Task = j.Task.Copied()
	return &own
}

// take gives the task of it the slot that is best for it, nil where that does not wait, or something
// else has its turn first.
func (h *host) take(it *item, message func() []byte) *asking {
	now := h.n.now()
	heads, answers, seen, _ := h.match(now)
	for _, a := range answers {
		if items := heads[a.Head].Items; a.Item >= len(items) || items[a.Item].Task != it.id {
			continue
		}
		to := h.takeFree(a.Seat)
		delete(h.asking, to.id())
		choice := seen
		it.open, it.straight = false, &straight{job: message, choice: &choice}
		it.k.nOpen--
		it.k.past++
		it.claim, it.claimAt = Claim{Task: it.id, State: bus.StateRunning, Worker: to.Node, Attempt: 1, Key: it.k.key}, now
		return to
	}
	return nil
}

// onStraight notes a claim of a task that was handed over past the queue.
func (h *host) onStraight(it *item, c Claim) {
	before := it.claim.Worker
	it.claim, it.claimAt = c, h.n.now()
	switch {
	case c.State == bus.StateRunning:
		if it.straight.choice != nil { // a worker may claim once more what it has
			h.chose(it, c, it.straight.choice)
			it.straight.choice = nil
		}
		h.sits(it, c.Worker)
	case c.State.Terminal():
		h.rises(it, c.State == bus.StateDone)
		h.forget(it)
	case c.State == "": // declined
		h.declined(it, before)
		h.enqueue(it, holdBackFor, nil)
	case c.State == bus.StateQueued: // given back
		h.avoid(it, c.Worker, avoidFor)
		h.enqueue(it, giveBackDelay(c.Attempt), nil)
	}
}

// giveBackDelay is how long a task that a worker gave back stays with nobody.
func giveBackDelay(attempt int) time.Duration {
	return time.Duration(min(100*attempt, 1000)) * time.Millisecond
}

// enqueue puts a task that was handed over past the queue into it, after a while. first is asked before that:
// it takes the task from its worker, and reports whether there is still something to do.
func (h *host) enqueue(it *item, after time.Duration, first func(context.Context) bool) {
	if it.straight.back || h.n.off(ProtectEnqueue) {
		return
	}
	it.straight.back = true
	h.rises(it, false)
	job := it.straight.job
	h.wg.Go(func() {
		select {
		case <-time.After(after):
		case <-h.ctx.Done():
			return
		}
		ctx, cancel := context.WithTimeout(h.ctx, openWithin)
		defer cancel()
		if first != nil && !first(ctx) {
			h.do(func() { h.forget(it) })
			return
		}
		if err := h.n.fx.Feed(ctx, h.q, it.k.key, it.id, it.need, job()); err != nil {
			h.n.log.Debug("put a task back into the queue", "task", it.id, "err", err)
			h.do(func() { h.forget(it) }) // its submitter asks for it, and feeds it
		}
	})
}

// enqueued notes that a task that was handed over past the queue is in it.
func (h *host) enqueued(it *item, seq uint64) {
	h.leaves(it)
	it.seq = seq
	h.reopen(it, time.Time{})
}

// leaves makes of a task that was handed over past the queue one that was claimed from it.
func (h *host) leaves(it *item) {
	it.straight = nil
	it.k.past--
	it.k.claims++
}

// unseat returns what takes a run past the queue from its worker: its record says that the task waits, so
// that whoever gets it next takes over. crashed is what the worker's loss counts as.
func (h *host) unseat(c Claim, why string, crashed []Crash) func(context.Context) bool {
	return func(ctx context.Context) bool {
		for ctx.Err() == nil {
			rec, rev, err := h.n.fx.readRecord(ctx, h.q, c.Task)
			if errors.Is(err, ErrNotFound) {
				return true // declined
			}
			if err != nil || rec.State.Terminal() {
				return false
			}
			if rec.State == bus.StateQueued {
				return true
			}
			rec.State, rec.Why = bus.StateQueued, why
			rec.Crashes = mergeCrashes(rec.Crashes, crashed)
			head := Claim{Task: c.Task, State: rec.State, Worker: rec.Worker, Attempt: rec.Attempt, Key: c.Key}
			if _, err = h.n.fx.UpdateClaim(ctx, h.q, head, marshal(rec), rev, nil); err == nil {
				return true
			}
		}
		return false
	}
}

// offerTo brings the message of an attached task to its queue's host, and reports whether that has it.
func (o *outbox) offerTo(ctx context.Context, q QueueID, key bus.Key, need Need, job []byte) bool {
	replies, done, err := o.n.asker.ask(bus.SubjectOffer(q.Host), marshal(offerMsg{Term: q.Term, Key: key.String(), Need: need.String(), Job: job}))
	if err != nil {
		o.n.log.Debug("offer", "host", q.Host, "err", err)
		return false
	}
	defer done()
	select {
	case <-replies.come:
		return slices.ContainsFunc(replies.take(), func(m Msg) bool { return string(m.Data) == offerTaken })
	case <-ctx.Done():
		return false
	}
}

// onOffer takes in an attached task of another node: a slot that waits gets it, or the queue.
func (n *Node) onOffer(ctx context.Context, m Msg) {
	var r offerMsg
	h := n.host()
	if h == nil || bus.Unmarshal(m.Data, &r) != nil || r.Term != h.q.Term {
		return // whoever asks tries again, and may have heard by then who is host
	}
	key, err1 := bus.ParseKey(r.Key)
	j := &Job{}
	err2 := bus.Unmarshal(r.Job, j)
	if err1 != nil || err2 != nil || j.Durable() || j.Task.ID.Validate() != nil {
		return
	}
	id, need := j.Task.ID, ParseNeed(r.Need)
	answer := func() {
		if err := n.fx.Publish(Msg{Subject: m.Reply, Data: []byte(offerTaken)}); err != nil {
			n.log.Debug("answer an offer", "task", id, "err", err)
		}
	}
	if h.offer(key, need, j, func() []byte { return r.Job }) {
		answer()
		return
	}
	h.expect(key, id, need)
	n.bg.run(func() {
		ctx, cancel := context.WithTimeout(ctx, feedWait)
		defer cancel()
		if err := n.fx.Feed(ctx, h.q, key, id, need, r.Job); err != nil {
			h.missed(id)
			n.log.Debug("feed", "task", id, "err", err)
			return
		}
		answer()
	})
}
