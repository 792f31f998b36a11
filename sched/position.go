package sched

import (
	"context"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// position is where a task stands in its host's queue.
type position struct {
	// Position is 1 for the task that is next, as far as can be told.
	Position int `json:"position"`
	// WaitMS is about how long it waits, in milliseconds; 0 where that is not known.
	WaitMS int64 `json:"wait_ms,omitempty"`
	// Last tells why who had it last gave it back.
	Last string `json:"last,omitempty"`
}

// positionOf returns where a task stands that is open here; nil where it is not.
func (h *host) positionOf(id bus.TaskID) (p *position) {
	h.do(func() {
		it := h.items[id]
		if it == nil || !it.open {
			return
		}
		now := h.n.now()
		seats := h.seatsFor([]QueueHead{{Key: it.k.key}}, now)
		p = &position{Position: 1}
		for _, k := range h.keys {
			if k.nOpen > 0 && compete(k.key, it.k.key, seats) {
				p.Position += h.before(k, it)
			}
		}
		p.WaitMS = waitFor(it.k.key, p.Position, seats).Milliseconds()
	})
	if p != nil {
		p.Last = h.lastOf(id)
	}
	return p
}

// lastOf tells why the worker that had a task last gave it back; empty where none has.
func (h *host) lastOf(id bus.TaskID) string {
	ctx, cancel := context.WithTimeout(context.Background(), effectWait)
	defer cancel()
	rec, _, err := h.n.fx.readRecord(ctx, h.q, id)
	if err != nil || rec.State != bus.StateQueued {
		return ""
	}
	return rec.Why
}

// before counts the tasks of k that go before it. Users of one lane and priority take turns.
func (h *host) before(k *keyQueue, it *item) (n int) {
	a, b := k.key, it.k.key
	switch {
	case a.Lane != b.Lane:
		if a.Lane == bus.Interactive {
			return k.nOpen
		}
		return 0
	case a.Priority != b.Priority:
		if a.Priority > b.Priority {
			return k.nOpen
		}
		return 0
	case a.Share != b.Share:
		// As many as its own user has before it, and one more where that has used more.
		own := 0
		for _, o := range it.k.open {
			if o == it {
				break
			}
			if o.open {
				own++
			}
		}
		if h.usage.by[a.Share] < h.usage.by[b.Share] {
			own++
		}
		return min(k.nOpen, own)
	}
	for _, o := range k.open {
		if o != it && o.open && o.since.Before(it.since) {
			n++
		}
	}
	return n
}

// compete reports whether two keys may want the same slot.
func compete(a, b bus.Key, seats []Seat) bool {
	if a.Class != b.Class {
		return false
	}
	of, beside := Tender{Key: a}, Tender{Key: b}
	for i := range seats {
		if BidFor(&of, &seats[i]).Not == "" && BidFor(&beside, &seats[i]).Not == "" {
			return true
		}
	}
	return false
}

// waitFor estimates how long the task at a position waits, by how long tasks take on the nodes that can
// have it; 0 where that is not known.
func waitFor(key bus.Key, position int, seats []Seat) time.Duration {
	of, perSecond := Tender{Key: key}, 0.0
	for i := range seats {
		s := &seats[i]
		if BidFor(&of, s).Not != "" {
			continue
		}
		if s.Free > 0 && position == 1 {
			return 0
		}
		if d := s.Stays[key.Model]; d > 0 {
			perSecond += float64(max(s.Slots, 1)) / d.Seconds()
		}
	}
	if perSecond == 0 {
		return 0
	}
	return time.Duration(float64(position) / perSecond * float64(time.Second))
}

// Queued tells where a task stands in the queue, 1 for the next, and about how long it waits, 0 where
// that is not known. ok is false where it is in no queue: it runs, has ended, or is unknown.
func (n *Node) Queued(ctx context.Context, id bus.TaskID) (position int, wait time.Duration, ok bool) {
	t, err := n.Task(ctx, id)
	if err != nil || t.State != bus.StateQueued || t.Position == 0 {
		return 0, 0, false
	}
	return t.Position, t.Wait, true
}
