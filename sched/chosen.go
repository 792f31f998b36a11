package sched

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// chosenMost is how many decisions a host remembers.
const chosenMost = 1000

// chosen is why a slot was given a task: what its host saw then. It is told in words when somebody asks.
type chosen struct {
	task    bus.TaskID
	key     bus.Key
	need    Need
	warm    bus.NodeID
	avoid   []bus.NodeID // which were not to get it, see HeadItem
	at      time.Time
	waited  time.Duration
	node    bus.NodeID
	attempt int
	seats   []Seat // shared, not changed; nil where the slot has found the task itself
	rules   Rules
	before  *chosen // guarded by choices.mu: the one before, for this attempt may have been claimed to end the task
}

// choices are the decisions of this process, the latest two of each task. They outlive its time as host.
type choices struct {
	mu    sync.Mutex
	by    map[bus.TaskID]*chosen
	order []*chosen // oldest first; some may be replaced
}

func (c *choices) put(x *chosen) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.by[x.task]; old != nil && old != x {
		x.before, old.before = old, nil
	}
	c.by[x.task] = x
	c.order = append(c.order, x)
	if len(c.order) > chosenMost {
		if old := c.order[0]; c.by[old.task] == old {
			delete(c.by, old.task)
		}
		c.order[0], c.order = nil, c.order[1:]
	}
}

// of returns what is remembered of a task, the latest first.
func (c *choices) of(id bus.TaskID) (all []*chosen) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for x := c.by[id]; x != nil; x = x.before {
		all = append(all, x)
	}
	return all
}

// chose notes that c's worker has it, for what the host saw when it gave that a task of this queue.
func (h *host) chose(it *item, c Claim, x *chosen) {
	if x == nil {
		x = &chosen{at: h.n.now()}
	}
	x.task, x.key, x.need, x.node, x.attempt = it.id, it.k.key, it.need, c.Worker, c.Attempt
	head := h.headItem(it)
	x.warm, x.avoid, x.waited = head.Warm, head.Avoid, x.at.Sub(it.since)
	h.n.choices.put(x)
}

// why tells of a task that waits in this host's queue what it would get now.
func (h *host) why(id bus.TaskID) (w *bus.Why) {
	h.do(func() {
		it := h.items[id]
		if it == nil || !it.open {
			return
		}
		now, head := h.n.now(), h.headItem(it)
		x := chosen{
			task: id, key: it.k.key, need: it.need, warm: head.Warm, avoid: head.Avoid, at: now, waited: now.Sub(it.since),
			seats: h.seatsFor([]QueueHead{{Key: it.k.key}}, now), rules: h.n.rules(),
		}
		w = x.why(h.n.cfg.ID)
	})
	if w != nil {
		w.Note = cmp.Or(givenBack(h.lastOf(id)), w.Note)
	}
	return w
}

// why puts a decision into words.
func (x *chosen) why(by bus.NodeID) *bus.Why {
	w := &bus.Why{
		Task: x.task, By: by, At: x.at, Waited: max(x.waited, 0), NodeID: x.node, Attempt: x.attempt, PromptTokens: x.need.Prompt,
		Bids: []bus.NodeBid{},
	}
	switch {
	case x.seats == nil:
		w.Note = "the node has found the task in the queue by itself: nothing was compared"
	case x.node == "":
		w.Note = "it waits: this is how it stands now"
	}
	tender := Tender{Key: x.key, Need: x.need, Warm: x.warm, Pace: PaceOf(x.key, x.seats)}
	var won *Seat
	var best time.Duration // its bid
	for i := range x.seats {
		if s := &x.seats[i]; s.Class == x.key.Class && s.Node == x.node {
			won, best = s, BidFor(&tender, s).Cost
		}
	}
	for i := range x.seats {
		s := &x.seats[i]
		if s.Class != x.key.Class {
			continue
		}
		bid, terms := Explain(&tender, s)
		b := bus.NodeBid{NodeID: s.Node, Chosen: s == won, Bid: bid.Cost}
		if s.Info != nil {
			b.Name = s.Info.Name
		}
		for _, t := range terms {
			b.Terms = append(b.Terms, bus.BidTerm{Cost: t.Cost, Why: t.Why, Last: t.Last})
		}
		if !b.Chosen {
			b.Not = cmp.Or(x.cannot(s, bid), x.loses(s, bid.Cost, won, best))
		}
		w.Bids = append(w.Bids, b)
	}
	slices.SortFunc(w.Bids, func(a, b bus.NodeBid) int {
		return cmp.Or(boolInt(b.Chosen)-boolInt(a.Chosen), boolInt(b.Bid > 0)-boolInt(a.Bid > 0), cmp.Compare(a.Bid, b.Bid), cmp.Compare(a.NodeID, b.NodeID))
	})
	return w
}

// cannot tells why s could not have the task; empty where it could.
func (x *chosen) cannot(s *Seat, bid Bid) string {
	switch {
	case x.key.Pin != "" && x.key.Pin != s.Node:
		return pinnedTo(x.nameOf(x.key.Pin))
	case bid.Not != "":
		return bid.Not
	case slices.Contains(x.avoid, s.Node):
		return "it failed at this task, or gave it back, a moment ago"
	case s.Free == 0:
		return noSlot(s)
	case x.key.Lane == bus.Batch && !x.rules.takesBatch(s):
		return "its free slot is kept for interactive work"
	}
	return ""
}

// loses tells why won has the task and not s, which could have it; empty where it waits for both.
func (x *chosen) loses(s *Seat, bid time.Duration, won *Seat, best time.Duration) string {
	switch {
	case won == nil:
		return ""
	case bid > best:
		return "its bid is higher"
	case bid < best || prefers(s, won):
		return "a task before this one went there"
	case s.Free < won.Free:
		return "its bid is the same, and fewer of its slots are free"
	}
	return "its bid is the same, and of such nodes the lower id comes first"
}

// nameOf returns the name that a node had told then, else its id.
func (x *chosen) nameOf(id bus.NodeID) string {
	for i := range x.seats {
		if s := &x.seats[i]; s.Node == id && s.Info != nil && s.Info.Name != "" {
			return s.Info.Name
		}
	}
	return string(id)
}

// noSlot tells why no slot of s could be given the task: all were busy, or none asked for work.
func noSlot(s *Seat) string {
	switch {
	case s.Slots == 0: // it does not tell how many it has, or has not asked this host yet
		return "none of its slots asked for work"
	case s.Busy < s.Slots: // the others may be at work for a host of before
		return fmt.Sprintf("none of its slots asked for work just then: %d of %d have a task of this queue", s.Busy, s.Slots)
	case s.Soon > 0:
		return fmt.Sprintf("no slot is free, one in about %v", s.Soon.Round(time.Millisecond))
	}
	return "no slot is free"
}

// Why tells which node got a task, or would get it, and what each had to offer. Every node is asked: who
// was queue host then knows, while its process lives and until chosenMost others were given away.
func (n *Node) Why(ctx context.Context, id bus.TaskID) (bus.Why, error) {
	if id == "" {
		return bus.Why{}, bus.Errorf(bus.CodeInvalid, "why of no task: want its id")
	}
	var waits *bus.Why
	var decisions []*bus.Why
	var all gathered
	held := ""
	err := n.askAll(ctx, findMsg{ID: id, Why: true}, func(r findReply) {
		held = cmp.Or(held, r.Held)
		all.add(r)
		for _, w := range []*bus.Why{r.Why, r.Decided} {
			switch {
			case w == nil:
			case w.NodeID == "":
				waits = newer(waits, w)
			default:
				decisions = append(decisions, w)
			}
		}
	})
	if err != nil {
		return bus.Why{}, err
	}
	f, known := all.found[id]
	decided := f.decided(decisions)
	switch {
	// A queue may still have a copy of what runs or has ended, fed when its host was new.
	case waits != nil && (!known || f.Info.State == bus.StateQueued):
		waits.Note = cmp.Or(held, waits.Note)
		return *waits, nil
	case decided != nil:
		decided.Note = cmp.Or(decided.Note, n.failedSoFar(id))
		return *decided, nil
	case !known:
		return bus.Why{}, n.errUnknown(id)
	}
	w := bus.Why{Task: id, NodeID: f.Info.NodeID, Attempt: f.Info.Attempts, Bids: []bus.NodeBid{}}
	if f.Unrun && f.Info.Attempts == 0 {
		w.Note = "no node has run it: it ended before, as " + string(f.Info.State)
		return w, nil
	}
	w.Note = fmt.Sprintf("nobody remembers: the queue host that decided is gone, has started anew, or has given away more than %d tasks since", chosenMost)
	if f.Info.State == bus.StateQueued {
		w.Note = cmp.Or(held, "it is not in the queue of a host at present: it is fed again by the node that has it")
	}
	return w, nil
}

// decided returns the latest of ws, but for that of an attempt which was claimed to end the task, and did not run.
func (f *found) decided(ws []*bus.Why) (last *bus.Why) {
	for _, w := range ws {
		if !f.Unrun || w.Attempt <= f.Info.Attempts {
			last = newer(last, w)
		}
	}
	return last
}

// newer returns what was told later of the two; a may be nil.
func newer(a, b *bus.Why) *bus.Why {
	if a == nil || b.At.After(a.At) {
		return b
	}
	return a
}

// whyHere is what this node knows of why: how the task stands in the queue here, and what was decided here, the
// latest first. An answer has room for two of them.
func (n *Node) whyHere(id bus.TaskID) (ws []*bus.Why) {
	if h := n.host(); h != nil {
		if w := h.why(id); w != nil {
			ws = append(ws, w)
		}
	}
	for _, x := range n.choices.of(id) {
		ws = append(ws, x.why(n.cfg.ID))
	}
	return ws
}
