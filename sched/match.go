package sched

import (
	"slices"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// QueueHead is the front of one work queue.
type QueueHead struct {
	Key    bus.Key
	Open   int       // how many tasks may be fetched
	Oldest time.Time // since when the first of them waits
	// Items are the first of them, in the order in which they are delivered, as far as that is known.
	Items []HeadItem
	// Used is how much slot time the user whose queue this is has had, see usage.
	Used time.Duration
}

// HeadItem is one task at the front of a queue.
type HeadItem struct {
	Task  bus.TaskID
	Since time.Time
	Need  Need
	// Avoid are the nodes that do not get it: that which has just given it back, and what Node.spares says.
	Avoid []bus.NodeID
	// Warm is the node that answered its conversation last.
	Warm bus.NodeID
}

// Rules are the owner's wishes for Match.
type Rules struct {
	// Hold is how long a task may wait for a much better node that is busy, while another is idle.
	Hold time.Duration
	// Reserved is how many slots of a node with two or more batch work never takes.
	Reserved int
}

// Answer gives a queue's head to a slot.
type Answer struct {
	Head, Item, Seat int // indexes: of the heads, of the head's items, of the seats
}

// rules are this node's, where it is queue host.
func (n *Node) rules() Rules {
	r := Rules{Hold: max(n.cfg.Hold, 0), Reserved: max(n.cfg.Reserved, 0)}
	if n.off(ProtectReserved) {
		r.Reserved = 0
	}
	return r
}

// matching is Match at work.
type matching struct {
	heads []QueueHead
	seats []Seat
	rules Rules
	now   time.Time
	at    []choice // by head
	asks  []Tender // of the next task of each
	some  []int    // the seats that count: those with a free slot, or soon with one
	costs []time.Duration
	held  map[int]int
	again time.Time // the first end of a hold
}

// choice is what the next task of a head would get.
type choice struct {
	item   int // how many of the head were given
	seat   int // -1: none
	loaded bool
	next   HeadItem
}

// cannot is the cost of what a seat cannot have.
const cannot = time.Duration(-1)

// Match gives open tasks to free slots. The next task is that of the lane, priority and user whose turn
// it is: interactive before batch; then what has waited longest, where a step of priority and a loaded
// model count as waiting; then, within a lane and priority, who has used least. It gets the seat with
// the lowest bid. seats are changed: what is given counts as busy. again is when the first task that
// waits for a better node waits no more; zero where none does.
func Match(heads []QueueHead, seats []Seat, rules Rules, now time.Time) (out []Answer, again time.Time) {
	m := matching{heads: heads, seats: seats, rules: rules, now: now}
	free := 0
	for i := range seats {
		free += seats[i].Free
		if seats[i].Free > 0 || seats[i].Soon > 0 && seats[i].Soon <= rules.Hold {
			m.some = append(m.some, i)
		}
	}
	if free == 0 {
		return nil, again
	}
	m.at, m.asks, m.costs = make([]choice, len(heads)), make([]Tender, len(heads)), make([]time.Duration, len(heads)*len(m.some))
	for i := range heads {
		m.asks[i] = Tender{Key: heads[i].Key, Pace: PaceOf(heads[i].Key, seats)}
		m.ask(i)
		m.choose(i)
	}
	for ; free > 0; free-- {
		h := m.next()
		if h < 0 {
			break
		}
		out = append(out, Answer{h, m.at[h].item, m.at[h].seat})
		m.give(h)
	}
	return out, m.again
}

// give notes that head h's next task has its seat, and what follows for the others.
func (m *matching) give(h int) {
	seat := m.at[h].seat
	s := &m.seats[seat]
	s.Free--
	s.Busy++
	s.Ahead = slices.Clone(s.Ahead) // who asks why sees it as it was
	s.before(m.heads[h].Key.Model, 0)
	if m.heads[h].Key.Lane == bus.Batch {
		s.Batch++
	}
	m.charge(h, s)
	last := m.at[h].next
	m.at[h].item++
	if n := m.item(h); n.Need == last.Need && slices.Equal(n.Avoid, last.Avoid) && n.Warm == last.Warm {
		m.at[h].next = n // the same bids
	} else {
		m.ask(h)
	}
	for k, i := range m.some {
		if i != seat {
			continue
		}
		for o := range m.heads {
			m.bid(o, k)
		}
	}
	for o := range m.at {
		if o == h || m.at[o].seat == seat {
			m.choose(o)
		}
	}
}

// charge counts what head h's user is given as used.
func (m *matching) charge(h int, s *Seat) {
	key := &m.heads[h].Key
	if key.Share == 0 {
		return
	}
	for o := range m.heads {
		if m.heads[o].Key.Share == key.Share {
			m.heads[o].Used += s.stay(key.Model)
		}
	}
}

// stay is how long a task of a model takes at s, or is taken to.
func (s *Seat) stay(model string) time.Duration {
	if d := s.Stays[model]; d > 0 {
		return d
	}
	return guessStay
}

// item is the next task of head h: nothing is known of one that is not listed.
func (m *matching) item(h int) HeadItem {
	if k := m.at[h].item; k < len(m.heads[h].Items) {
		return m.heads[h].Items[k]
	}
	return HeadItem{Since: m.now}
}

// ask gets all bids for head h's next task.
func (m *matching) ask(h int) {
	next := m.item(h)
	m.at[h].next = next
	m.asks[h].Need, m.asks[h].Warm = next.Need, next.Warm
	for k := range m.some {
		m.bid(h, k)
	}
}

// bid gets that of one seat.
func (m *matching) bid(h, k int) {
	head, s, item := &m.heads[h], &m.seats[m.some[k]], &m.at[h].next
	cost := &m.costs[h*len(m.some)+k]
	*cost = cannot
	if s.Class != head.Key.Class || slices.Contains(item.Avoid, s.Node) {
		return
	}
	if head.Key.Lane == bus.Batch && s.Free > 0 && !m.rules.takesBatch(s) {
		return
	}
	if b := BidFor(&m.asks[h], s); b.Not == "" {
		*cost = b.Cost
	}
}

// next returns the head whose turn it is, -1 where none can be given.
func (m *matching) next() int {
	best := -1
	for i := range m.heads {
		if m.at[i].seat >= 0 && (best < 0 || m.before(i, best)) {
			best = i
		}
	}
	if best < 0 {
		return best
	}
	// Of its lane and priority, who has used least, and of what that one has sent the oldest.
	top := &m.heads[best]
	for i := range m.heads {
		h := &m.heads[i]
		if m.at[i].seat < 0 || h.Key.Lane != top.Key.Lane || h.Key.Priority != top.Key.Priority || h.Key.Share == top.Key.Share {
			continue
		}
		if more := m.served(i) - m.served(best); more < 0 || more == 0 && h.Key.Share == m.heads[best].Key.Share && m.before(i, best) {
			best = i
		}
	}
	return best
}

// before reports whether head x is more urgent than y, whoever they are of.
func (m *matching) before(x, y int) bool {
	a, b := &m.heads[x], &m.heads[y]
	if i, j := a.Key.Lane == bus.Interactive, b.Key.Lane == bus.Interactive; i != j {
		return i
	}
	return m.age(x) > m.age(y)
}

func (m *matching) age(i int) time.Duration {
	h := &m.heads[i]
	age := m.now.Sub(h.Oldest) + time.Duration(h.Key.Priority)*priorityStep
	if m.at[i].loaded {
		age += loadedBonus
	}
	return age
}

// served is what a head's user has had; a loaded model counts as if it were less.
func (m *matching) served(i int) time.Duration {
	if m.at[i].loaded {
		return m.heads[i].Used - loadedBonus
	}
	return m.heads[i].Used
}

// choose finds the seat of head h's next task.
func (m *matching) choose(h int) {
	c := &m.at[h]
	c.seat, c.loaded = -1, false
	if c.item >= m.heads[h].Open {
		return
	}
	var best, soonCost time.Duration
	soon := -1
	for k, i := range m.some {
		cost, s := m.costs[h*len(m.some)+k], &m.seats[i]
		switch {
		case cost == cannot || s.Free == 0 && s.Soon == 0:
		case s.Free == 0:
			// Those that wait for it already go before.
			if cost += s.Soon + time.Duration(m.held[i])*s.Stay; soon < 0 || cost < soonCost {
				soon, soonCost = i, cost
			}
		case c.seat < 0 || cost < best || cost == best && prefers(s, &m.seats[c.seat]):
			c.seat, best = i, cost
		}
	}
	if c.seat < 0 {
		return
	}
	if soon >= 0 && m.waits(c.next, soon, soonCost, best) {
		c.seat = -1
		return
	}
	c.loaded = BidFor(&m.asks[h], &m.seats[c.seat]).Loaded
}

// waits reports whether a task waits for a busy seat, rather than to go to an idle one now.
func (m *matching) waits(item HeadItem, soon int, soonCost, cost time.Duration) bool {
	until := item.Since.Add(m.rules.Hold)
	freeAt := m.now.Add(m.seats[soon].Soon + time.Duration(m.held[soon])*m.seats[soon].Stay)
	if soonCost*holdTimes > cost || cost-soonCost < holdGain || freeAt.After(until) {
		return false
	}
	if m.held == nil {
		m.held = map[int]int{}
	}
	m.held[soon]++
	if m.again.IsZero() || until.Before(m.again) {
		m.again = until
	}
	return true
}

// takesBatch reports whether batch work may have a free slot of s.
func (r Rules) takesBatch(s *Seat) bool {
	return s.Slots < 2 || s.Batch < max(1, s.Slots-r.Reserved)
}

// prefers reports whether of two seats with the same bid x is taken: who has more free, then the lower
// id.
func prefers(x, y *Seat) bool {
	if x.Free != y.Free {
		return x.Free > y.Free
	}
	return x.Node < y.Node
}
