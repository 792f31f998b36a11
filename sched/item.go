package sched

import (
	"slices"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// item is what the host knows of one task of its queue.
type item struct {
	id      bus.TaskID
	k       *keyQueue
	seq     uint64 // 0 until it is stored
	since   time.Time
	open    bool
	claim   Claim
	claimAt time.Time
	due     time.Time // since or until when it is back in the queue; zero until its message was given out
	sweeps  int       // that saw it delivered and unclaimed
	// avoid are the workers that gave it back, or declined it, and until when they do not get it again.
	avoid    map[bus.NodeID]time.Time
	declined int
	need     Need
	at       bus.NodeID    // that runs it, as far as is known
	began    time.Time     // there
	charged  time.Duration // to its user, until it is known how long it took
	// straight is set while it runs without having been in the queue.
	straight *straight
}

// expect tells that a task of this node is about to be stored. Whoever gets it is handed it at once, for
// the store waits a moment for what is not there yet.
func (h *host) expect(key bus.Key, id bus.TaskID, need Need) {
	h.do(func() {
		if h.items[id] == nil {
			h.add(key, id, 0, need)
		}
	})
}

// missed tells that what was expected is not stored, as far as is known.
func (h *host) missed(id bus.TaskID) {
	h.do(func() {
		if it := h.items[id]; it != nil && it.open && it.seq == 0 {
			h.forget(it)
		}
	})
}

func (h *host) stored(key bus.Key, id bus.TaskID, seq uint64, need Need) {
	it := h.items[id]
	switch {
	case it == nil:
		h.add(key, id, seq, need)
	case it.straight != nil:
		h.enqueued(it, seq)
	case it.seq == 0: // expected
		it.seq = seq
		if it.open {
			it.k.misses, it.k.hold = 0, time.Time{}
			h.dispatch(h.n.now())
		}
	case !it.open: // an earlier copy, which has ended
		h.forget(it)
		h.add(key, id, seq, need)
	}
}

func (h *host) add(key bus.Key, id bus.TaskID, seq uint64, need Need) {
	it := h.insert(key, id, seq, need)
	it.k.misses, it.k.hold = 0, time.Time{}
	if c, ok := h.early[id]; ok {
		delete(h.early, id)
		h.claimed(c)
	}
	h.dispatch(h.n.now())
}

// insert notes a task at the end of its queue.
func (h *host) insert(key bus.Key, id bus.TaskID, seq uint64, need Need) *item {
	k := h.keyQueue(key)
	it := &item{id: id, k: k, seq: seq, since: h.n.now(), open: true, need: need}
	if need.Warm != "" && h.warm.of(need.Affinity) == "" && !h.n.off(ProtectAffinity) {
		h.warm.put(need.Affinity, need.Warm)
	}
	h.items[id] = it
	k.open = append(k.open, it)
	k.nOpen++
	k.idleFrom = time.Time{}
	return it
}

func (h *host) claimed(c Claim) {
	it := h.items[c.Task]
	if it == nil {
		if c.State.Terminal() || c.State == "" {
			delete(h.early, c.Task)
		} else if len(h.early) < earlyClaims {
			h.early[c.Task] = c
		}
		return
	}
	if it.straight != nil && c.Seq == 0 {
		h.onStraight(it, c)
		return
	}
	if it.straight != nil { // claimed from the queue, before word came that it is there
		h.leaves(it)
	}
	waits := it.open && it.seq > 0
	if it.open {
		it.open = false
		it.k.nOpen--
		it.k.claims++
		it.k.misses = 0
		var choice *chosen
		for id, g := range h.answers {
			if g.k == it.k && id.node == c.Worker {
				choice = g.choice
				h.settle(id)
				break
			}
		}
		h.chose(it, c, choice)
	}
	before := it.claim.Worker
	it.claim, it.claimAt = c, h.n.now()
	switch {
	case c.State == bus.StateRunning:
		h.sits(it, c.Worker)
	case c.State.Terminal():
		h.rises(it, c.State == bus.StateDone)
		h.forget(it)
		if waits { // it was cancelled, or its deadline passed, and nobody may ever fetch it who would settle it
			if err := h.n.fx.Discard(h.q, it.seq); err != nil {
				h.n.log.Debug("discard what has ended", "task", it.id, "err", err)
			}
		}
	case c.State == "": // declined: as if it had never been handed over
		h.declined(it, before)
		h.comesBack(it, holdBackFor)
	case c.State == bus.StateQueued: // given back
		h.avoid(it, c.Worker, avoidFor)
		h.comesBack(it, giveBackDelay(c.Attempt))
		it.sweeps = -1 - c.Attempt // it comes back after a delay
	}
}

// avoid keeps it from a worker for a while.
func (h *host) avoid(it *item, worker bus.NodeID, d time.Duration) {
	if it.avoid == nil {
		it.avoid = map[bus.NodeID]time.Time{}
	}
	it.avoid[worker] = h.n.now().Add(d)
}

// declined notes that worker did not want what it was handed. Others that are free shall get it first, and if there
// are none, the worker may know more by then: it did not hear its submitter, mostly.
func (h *host) declined(it *item, worker bus.NodeID) {
	if worker == "" {
		return
	}
	it.declined++
	h.avoid(it, worker, min(time.Duration(it.declined)*declineFor, avoidFor))
}

func (h *host) forget(it *item) {
	if h.items[it.id] != it {
		return // another was first
	}
	h.rises(it, false)
	switch {
	case it.open:
		it.open = false
		it.k.nOpen--
	case it.straight != nil:
		it.k.past--
	default:
		it.k.claims--
	}
	delete(h.items, it.id)
}

// comesBack makes a claimed task available again, after a while. Its queue gives out what comes back before all else, and
// of that what is due first.
func (h *host) comesBack(it *item, after time.Duration) { h.reopen(it, h.n.now().Add(after)) }

// reopen makes a claimed task available again, in the place that it has in its queue: by when it is due, or, where that
// is zero, as one that was just stored. In another order here a slot would be handed another task than Match chose for
// it, one that it may just have given back itself.
func (h *host) reopen(it *item, due time.Time) {
	if it.open {
		return
	}
	h.rises(it, false)
	it.open, it.sweeps, it.claim = true, 0, Claim{}
	it.k.claims--
	it.k.nOpen++
	it.k.misses, it.k.hold = 0, time.Time{}
	rest := slices.DeleteFunc(it.k.open, func(o *item) bool { return o == it }) // it may still be in there from before
	it.due = due
	at := slices.IndexFunc(rest, func(o *item) bool { return !due.IsZero() && (o.due.IsZero() || due.Before(o.due)) })
	if at < 0 {
		at = len(rest)
	}
	it.k.open = slices.Insert(rest, at, it)
	h.dispatch(h.n.now())
}
