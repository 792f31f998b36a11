package sched

import (
	"maps"
	"slices"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// settle ends an answer.
func (h *host) settle(id slotID) {
	if g := h.answers[id]; g != nil {
		g.k.given--
		delete(h.answers, id)
	}
}

func (h *host) expireAnswers(now time.Time) {
	for id, g := range h.answers {
		if now.Sub(g.at) > answerFor {
			h.settle(id)
		}
	}
}

// onNext takes a request for work.
func (n *Node) onNext(m Msg) {
	h := n.host()
	var r nextMsg
	if h == nil || bus.Unmarshal(m.Data, &r) != nil {
		return
	}
	h.asked(&asking{nextMsg: r, to: m.Reply})
}

// asked notes a free slot.
func (h *host) asked(a *asking) {
	h.do(func() {
		id := a.id()
		if g := h.answers[id]; g != nil && a.Missed {
			k := g.k
			k.hold = h.n.now().Add(min(missMost, time.Millisecond<<min(k.misses, 7)))
			k.misses++
		}
		h.settle(id)
		a.at, a.boot = h.n.now(), h.n.members.boot(a.Node)
		h.asking[id] = a
		h.seat(a.Node, a.Class).told = a
		h.dispatch(h.n.now())
	})
}

// dispatch answers whoever asks, while there is something for them.
func (h *host) dispatch(now time.Time) {
	var answers []Answer
	var seen chosen
	_, answers, seen, h.again = h.match(now)
	for _, a := range answers {
		k := h.queues[a.Head]
		as := h.takeFree(a.Seat)
		id := as.id()
		delete(h.asking, id)
		choice := seen
		h.answers[id] = &given{k: k, at: now, choice: &choice}
		k.given++
		k.handed = now
		if err := h.n.fx.Hand(h.q, k.key, as.to, h.grant(as)); err != nil {
			h.n.log.Debug("hand over", "key", k.key, "to", id.node, "err", err)
		}
	}
}

// match runs Match over what is known now. seen is what it went by, for those who ask why.
func (h *host) match(now time.Time) (heads []QueueHead, answers []Answer, seen chosen, again time.Time) {
	if len(h.asking) == 0 {
		return nil, nil, seen, again
	}
	if heads = h.heads(now); len(heads) == 0 {
		return nil, nil, seen, again
	}
	seats := h.seatsFor(heads, now)
	if len(h.free) == 0 {
		return heads, nil, seen, again
	}
	h.fill(heads, seats)
	seen = chosen{at: now, seats: slices.Clone(seats), rules: h.n.rules()} // Match changes seats
	answers, again = Match(heads, seats, seen.rules, now)
	return heads, answers, seen, again
}

// heads returns the queues from which something may be fetched, and notes them in h.queues.
func (h *host) heads(now time.Time) []QueueHead {
	heads := h.scratch[:0]
	h.queues = h.queues[:0]
	for _, k := range h.keys {
		if need := k.need(now); need > 0 {
			heads = append(heads, QueueHead{Key: k.key, Open: need, Oldest: k.oldest(now)})
			h.queues = append(h.queues, k)
		}
	}
	h.scratch = heads
	h.usage.fill(heads, now)
	return heads
}

// fill lists the first tasks of each head, as many as slots ask. Those that are under way to a slot
// already are the oldest. One that none of these slots may have is passed over: who is handed it declines it, and gets the
// next while it is on its way back.
func (h *host) fill(heads []QueueHead, seats []Seat) {
	h.waiting = h.waiting[:0]
	for i := range heads {
		k, from := h.queues[i], len(h.waiting)
		skip := k.given
		for _, it := range k.open {
			if len(h.waiting)-from == min(heads[i].Open, len(h.free)) {
				break
			}
			if !it.open {
				continue
			}
			if skip--; skip >= 0 {
				continue
			}
			if h.spared(it, seats) {
				heads[i].Open--
				continue
			}
			h.waiting = append(h.waiting, h.headItem(it))
		}
		heads[i].Items = h.waiting[from:len(h.waiting):len(h.waiting)]
	}
}

// spared reports whether it waits for a node whose engine has not failed at it, and none of those has a free slot.
func (h *host) spared(it *item, seats []Seat) bool {
	failed := h.n.spares(it.id, it.k.key, it.need.From)
	return len(failed) > 0 && !slices.ContainsFunc(h.free, func(f freeSlot) bool {
		s := &seats[f.seat]
		if s.Class != it.k.key.Class || s.Info == nil || slices.Contains(failed, s.Node) {
			return false
		}
		can, _ := Runs(*s.Info, it.k.key)
		return can
	})
}

func (h *host) headItem(it *item) HeadItem {
	x := HeadItem{Task: it.id, Since: it.since, Need: it.need, Warm: h.warm.of(it.need.Affinity)}
	x.Avoid = h.n.spares(it.id, it.k.key, it.need.From)
	for _, node := range slices.Sorted(maps.Keys(it.avoid)) {
		if h.n.now().Before(it.avoid[node]) {
			x.Avoid = append(x.Avoid, node)
		}
	}
	return x
}

func (k *keyQueue) need(now time.Time) int {
	if !k.ready || k.misses > 0 && now.Before(k.hold) {
		return 0
	}
	return k.nOpen + k.extra - k.given
}

func (k *keyQueue) oldest(now time.Time) time.Time {
	for len(k.open) > 0 && !k.open[0].open {
		k.open = k.open[1:]
	}
	if len(k.open) == 0 {
		return now
	}
	return k.open[0].since
}
