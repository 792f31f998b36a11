package sched

import (
	"context"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// supervise gives back the work of workers that are gone.
func (h *host) supervise() {
	if !h.busy.Load() || !h.n.members.awake() || h.n.off(ProtectSupervise) {
		return // what this process has not heard says nothing about the others
	}
	h.do(func() {
		now := h.n.now()
		for _, it := range h.items {
			if it.open || it.claim.State != bus.StateRunning {
				continue // nobody has it, or it is on its way back
			}
			if !h.n.members.alive(it.claim.Worker) {
				h.giveBack(it, "worker lost", h.n.members.crashOf(it.claim.Worker, it.claim.Attempt))
			} else if now.Sub(it.claimAt) > silentFor && !h.n.members.reports(it.claim.Worker, it.id, it.claimAt) {
				h.giveBack(it, "worker no longer reports it", nil)
			}
		}
	})
}

// heard looks at a worker's beat for attempts that ended with an earlier process of it.
func (h *host) heard(b bus.Heartbeat) {
	if len(b.Crashed) == 0 {
		return
	}
	h.do(func() {
		for id, attempt := range b.Crashed {
			if it := h.items[id]; it != nil && !it.open && it.claim.State == bus.StateRunning && it.claim.Worker == b.Node && it.claim.Attempt <= attempt {
				h.giveBack(it, "worker restarted", []Crash{{Node: b.Node, Attempt: it.claim.Attempt}})
			}
		}
	})
}

// giveBack frees a claimed delivery on its worker's behalf, which has crashed or not. The claim stays as
// it is: the next worker replaces it by compare-and-set.
func (h *host) giveBack(it *item, why string, crashed []Crash) {
	c := it.claim
	if it.straight != nil && it.straight.back {
		return // it is on its way into the queue
	}
	for _, x := range crashed {
		h.n.tellCrash(it.id, x)
	}
	h.n.log.Info("give back", "task", it.id, "worker", c.Worker, "attempt", c.Attempt, "why", why)
	h.n.cfg.Meter.AttemptLost()
	if it.straight != nil {
		h.enqueue(it, 0, h.unseat(c, why, crashed))
		return
	}
	if err := h.n.fx.Nak(c.Ack, 0); err != nil {
		h.n.log.Warn("give back", "task", it.id, "err", err)
	}
	h.comesBack(it, 0)
}

// sweeper compares what the host knows with what its queue holds.
func (h *host) sweeper() {
	t := time.NewTimer(sweepEvery)
	defer t.Stop()
	var last time.Time
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-h.stirred:
		case <-t.C:
			if h.busy.Load() || h.n.now().Sub(last) >= restEvery {
				last = h.n.now()
				h.sweepOnce()
			}
		}
		t.Reset(h.untilSweep(last))
	}
}

func (h *host) sweepOnce() {
	ctx, cancel := context.WithTimeout(h.ctx, openWithin)
	counted := h.n.now()
	counts, err := h.n.fx.Counts(ctx, h.q)
	cancel()
	if err != nil {
		h.n.log.Debug("sweep", "err", err)
		return
	}
	asked := h.n.now()
	var gone []bus.TaskID
	h.do(func() {
		h.sweep(counts, asked)
		gone = h.mayBeGone(counts, counted, asked)
	})
	for _, id := range gone {
		if !h.isOver(id) {
			continue
		}
		h.do(func() {
			if it := h.items[id]; it != nil && it.open {
				h.forget(it)
			}
		})
	}
}

// mayBeGone returns the open tasks of keys of which the queue, counted from the time counted on, holds fewer than are known
// here: word of one may have come after that of its end. As long as it is listed a slot is handed the next one in its place,
// and that one's slot nothing. What came since is not in the count, and is no reason to look at all that wait.
func (h *host) mayBeGone(counts []KeyCount, counted, asked time.Time) (ids []bus.TaskID) {
	for _, c := range counts {
		k := h.keys[c.Key]
		if k == nil || c.Pending+c.Unacked >= k.claims+k.nOpen {
			continue
		}
		from, since := len(ids), 0
		for _, it := range k.open {
			switch {
			case !it.open:
			case it.since.After(counted):
				since++
			case asked.Sub(it.since) > 2*sweepEvery:
				ids = append(ids, it.id)
			}
		}
		if c.Pending+c.Unacked >= k.claims+k.nOpen-since {
			ids = ids[:from]
		}
	}
	return ids
}

// isOver reports whether the record of a task says that it has ended.
func (h *host) isOver(id bus.TaskID) bool {
	ctx, cancel := context.WithTimeout(h.ctx, effectWait)
	defer cancel()
	rec, _, err := h.n.fx.readRecord(ctx, h.q, id)
	return err == nil && rec.State.Terminal()
}

// untilSweep returns how long to wait for the next sweep. Where nothing is known to be there, what comes
// before that stirs the sweeper.
func (h *host) untilSweep(last time.Time) time.Duration {
	h.resting.Store(true)
	if h.busy.Load() {
		h.resting.Store(false)
		return sweepEvery
	}
	return max(0, restEvery-h.n.now().Sub(last))
}

func (h *host) sweep(counts []KeyCount, asked time.Time) {
	var tired []*keyQueue
	for _, c := range counts {
		total := c.Pending + c.Unacked
		if h.keys[c.Key] == nil && total == 0 {
			continue // it was counted before it was dropped
		}
		k := h.keyQueue(c.Key)
		if !k.ready && !k.adding {
			h.addKey(k)
		}
		if total == 0 {
			h.dropPhantoms(k, asked)
		}
		if k.tired(total, asked) {
			tired = append(tired, k)
		}
		k.extra = max(0, total-k.claims-k.nOpen)
		for _, it := range k.open {
			// Delivered, by the consumer's count, and not claimed: its worker died between.
			if !it.open || it.seq == 0 || it.seq > c.DeliveredSeq {
				continue
			}
			if asked.Sub(k.handed) < 2*sweepEvery {
				continue // it may be the one that was handed over, whose claim is on its way
			}
			if it.sweeps++; it.sweeps == 2 || it.sweeps > 2 && it.sweeps%5 == 0 {
				k.misses, k.hold = 0, time.Time{}
				if err := h.n.fx.Free(h.q, c, it.seq); err != nil {
					h.n.log.Debug("free a delivery", "task", it.id, "err", err)
				}
			}
		}
	}
	h.dropKeys(tired)
	now := h.n.now()
	h.dispatch(now)
	for _, k := range h.keys {
		k.extra = 0 // one try a sweep
	}
	h.count()
	for id, c := range h.early {
		if !h.n.members.alive(c.Worker) {
			delete(h.early, id)
		}
	}
}

// dropPhantoms forgets open items of a key whose queue is empty, but for those that are newer
// than the count.
func (h *host) dropPhantoms(k *keyQueue, asked time.Time) {
	for _, it := range k.open {
		if it.open && asked.Sub(it.since) > 2*sweepEvery {
			h.forget(it)
		}
	}
}
