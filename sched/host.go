package sched

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Times of the queue host.
const (
	answerFor  = 5 * time.Millisecond    // an answer without a claim is given to the next best
	askedFor   = 1100 * time.Millisecond // a request for work that is older is gone
	sweepEvery = 100 * time.Millisecond  // finds what is stored and unclaimed
	idleSweeps = 10                      // one sweep in so many is made while nothing is known to be there
	missMost   = 100 * time.Millisecond  // the longest pause after fetches that found nothing
	silentFor  = 1500 * time.Millisecond // a claim that its live worker no longer reports
	avoidFor   = 2 * time.Second         // a worker that gave a task back does not get it again at once
)

// host is the queue host of one term: it knows what is stored and who asks, and answers. It
// only makes things quick: what it forgets, the sweep and the workers' own look find.
type host struct {
	// counts is what the last sweep found, for heartbeats.
	counts atomic.Pointer[[]bus.QueueCount]

	n    *Node
	q    QueueID
	done chan struct{}
	wg   sync.WaitGroup
	stp  []func()
	once sync.Once
	busy atomic.Bool // something is in the queue, as far as is known

	mu      sync.Mutex // of everything below; see do
	over    bool
	timer   *time.Timer // wakes the loop
	wake    time.Time   // when it does; zero where it does not
	keys    map[bus.Key]*keyQueue
	items   map[bus.TaskID]*item
	early   map[bus.TaskID]Claim // claims heard before their message
	asking  map[slotID]*asking
	answers map[slotID]*given // handed over, and not claimed yet
}

type slotID struct {
	node  bus.NodeID
	class string
	slot  int
}

type asking struct {
	nextMsg
	to   string // where the slot waits
	boot string // the start of its node, as it was last heard
	at   time.Time
}

func (a *asking) id() slotID { return slotID{a.Node, a.Class, a.Slot} }

type given struct {
	k  *keyQueue
	at time.Time
}

// keyQueue is what the host knows of one key.
type keyQueue struct {
	key    bus.Key
	ready  bool    // fetchable
	adding bool    // is being made so
	open   []*item // oldest first; those no longer open are skipped
	nOpen  int
	extra  int // found by the sweep, unknown which
	given  int // answers under way
	claims int
	hold   time.Time // nothing is answered until then, after misses
	handed time.Time // the last message
	misses int
}

type item struct {
	id      bus.TaskID
	k       *keyQueue
	seq     uint64 // 0 until it is stored
	since   time.Time
	open    bool
	claim   Claim
	claimAt time.Time
	sweeps  int // that saw it delivered and unclaimed
	avoid   bus.NodeID
	avoidAt time.Time
}

func newHost(n *Node, q QueueID) *host {
	return &host{
		n: n, q: q, timer: time.NewTimer(time.Hour), done: make(chan struct{}), keys: map[bus.Key]*keyQueue{},
		items: map[bus.TaskID]*item{}, early: map[bus.TaskID]Claim{}, asking: map[slotID]*asking{}, answers: map[slotID]*given{},
	}
}

func (h *host) start(ctx context.Context) error {
	stop, err := h.n.fx.Watch(h.q,
		func(key bus.Key, id bus.TaskID, seq uint64) { h.do(func() { h.stored(key, id, seq) }) },
		func(c Claim) { h.do(func() { h.claimed(c) }) })
	if err != nil {
		return err
	}
	h.stp = append(h.stp, stop)
	h.wg.Go(h.loop)
	h.wg.Go(func() { h.sweeper(ctx) })
	return nil
}

// stop ends the host's goroutines. The queue stays until it is dropped.
func (h *host) stop() {
	h.once.Do(func() {
		for _, stop := range h.stp {
			stop()
		}
		h.mu.Lock()
		h.over = true
		h.mu.Unlock()
		close(h.done)
	})
	h.wg.Wait()
}

// dropLater removes the queue of a term that is over, once those who hold claims in it have
// had time to commit elsewhere. What was open in it is fed to the new host by its submitters.
func (h *host) dropLater() {
	h.n.bg.run(func() {
		select {
		case <-time.After(dropAfter):
		case <-h.n.bg.done:
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), openWithin)
		defer cancel()
		if err := h.n.fx.Drop(ctx, h.q); err != nil {
			h.n.log.Warn("drop queue", "term", h.q.Term, "err", err)
		}
	})
}

// do runs f with what the host knows, in the caller's goroutine: a task passes here on its way,
// and should not wait for another goroutine to wake. f calls effects that do not wait.
func (h *host) do(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over {
		return
	}
	f()
	h.busy.Store(len(h.items) > 0)
	now := h.n.now()
	if next := h.nextTick(now); next > 0 && (h.wake.IsZero() || now.Add(next).Before(h.wake)) {
		h.wake = now.Add(next)
		h.timer.Reset(next)
	}
}

// loop waits for answers and pauses to run out.
func (h *host) loop() {
	defer h.timer.Stop()
	for {
		select {
		case <-h.timer.C:
			h.do(func() {
				h.wake = time.Time{}
				h.expireAnswers(h.n.now())
				h.dispatch(h.n.now())
			})
		case <-h.done:
			return
		}
	}
}

// nextTick tells when an answer or a pause runs out.
func (h *host) nextTick(now time.Time) time.Duration {
	if len(h.answers) > 0 {
		return time.Millisecond
	}
	for _, k := range h.keys {
		if k.nOpen > 0 && now.Before(k.hold) {
			return max(k.hold.Sub(now), time.Millisecond)
		}
	}
	return 0
}

func (h *host) keyQueue(key bus.Key) *keyQueue {
	k := h.keys[key]
	if k != nil {
		return k
	}
	k = &keyQueue{key: key}
	h.keys[key] = k
	h.addKey(k)
	return k
}

// addKey makes a key fetchable, in the background.
func (h *host) addKey(k *keyQueue) {
	k.adding = true
	h.wg.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), openWithin)
		defer cancel()
		err := h.n.fx.AddKey(ctx, h.q, k.key)
		if err != nil {
			h.n.log.Warn("add work queue", "key", k.key, "err", err)
		}
		h.do(func() {
			k.ready, k.adding = err == nil, false // else the sweep tries again
			h.dispatch(h.n.now())
		})
	})
}

// expect tells that a task of this node is about to be stored. Whoever gets it is handed it at once, for
// the store waits a moment for what is not there yet.
func (h *host) expect(key bus.Key, id bus.TaskID) {
	h.do(func() {
		if h.items[id] == nil {
			h.add(key, id, 0)
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

func (h *host) stored(key bus.Key, id bus.TaskID, seq uint64) {
	it := h.items[id]
	switch {
	case it == nil:
		h.add(key, id, seq)
	case it.seq == 0: // expected
		it.seq = seq
		if it.open {
			it.k.misses, it.k.hold = 0, time.Time{}
			h.dispatch(h.n.now())
		}
	case !it.open: // an earlier copy, which has ended
		h.forget(it)
		h.add(key, id, seq)
	}
}

func (h *host) add(key bus.Key, id bus.TaskID, seq uint64) {
	k := h.keyQueue(key)
	it := &item{id: id, k: k, seq: seq, since: h.n.now(), open: true}
	h.items[id] = it
	k.open = append(k.open, it)
	k.nOpen++
	k.misses, k.hold = 0, time.Time{}
	if c, ok := h.early[id]; ok {
		delete(h.early, id)
		h.claimed(c)
	}
	h.dispatch(h.n.now())
}

func (h *host) claimed(c Claim) {
	it := h.items[c.Task]
	if it == nil {
		if c.State.Terminal() || c.State == "" {
			delete(h.early, c.Task)
		} else if len(h.early) < 10_000 {
			h.early[c.Task] = c
		}
		return
	}
	if it.open {
		it.open = false
		it.k.nOpen--
		it.k.claims++
		it.k.misses = 0
		for id, g := range h.answers {
			if g.k == it.k && id.node == c.Worker {
				h.settle(id)
				break
			}
		}
	}
	it.claim, it.claimAt = c, h.n.now()
	switch {
	case c.State.Terminal():
		h.forget(it)
	case c.State == "": // declined: as if it had never been handed over
		h.reopen(it)
	case c.State == bus.StateQueued: // given back
		it.avoid, it.avoidAt = c.Worker, h.n.now()
		h.reopen(it)
		it.sweeps = -1 - c.Attempt // it comes back after a delay
	}
}

func (h *host) forget(it *item) {
	if it.open {
		it.open = false
		it.k.nOpen--
	} else {
		it.k.claims--
	}
	delete(h.items, it.id)
}

// reopen makes a claimed task available again.
func (h *host) reopen(it *item) {
	if it.open {
		return
	}
	it.open, it.sweeps, it.claim = true, 0, Claim{}
	it.k.claims--
	it.k.nOpen++
	it.k.misses, it.k.hold = 0, time.Time{}
	rest := slices.DeleteFunc(it.k.open, func(o *item) bool { return o == it }) // it may still be in there from before
	it.k.open = append([]*item{it}, rest...)
	h.dispatch(h.n.now())
}

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
		h.dispatch(h.n.now())
	})
}

// dispatch answers whoever asks, while there is something for them.
func (h *host) dispatch(now time.Time) {
	var heads []QueueHead
	var queues []*keyQueue
	for _, k := range h.keys {
		if need := k.need(now); need > 0 {
			heads = append(heads, QueueHead{Key: k.key, Open: need, Oldest: k.oldest(now)})
			queues = append(queues, k)
		}
	}
	if len(heads) == 0 || len(h.asking) == 0 {
		return
	}
	asking, slots := h.freeSlots(heads, now)
	for _, a := range Match(heads, slots, now) {
		as, k := asking[a.Slot], queues[a.Head]
		id := as.id()
		delete(h.asking, id)
		h.answers[id] = &given{k: k, at: now}
		k.given++
		k.handed = now
		if err := h.n.fx.Hand(h.q, k.key, as.to, h.grant(as)); err != nil {
			h.n.log.Debug("hand over", "key", k.key, "to", id.node, "err", err)
		}
	}
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

// freeSlots returns the slots that may be answered, of the classes of heads.
func (h *host) freeSlots(heads []QueueHead, now time.Time) (free []*asking, slots []FreeSlot) {
	nodes := map[bus.NodeID]*askingNode{}
	for id, a := range h.asking {
		n := nodes[id.node]
		if n == nil {
			n = &askingNode{h: h, now: now}
			n.info, n.state = h.n.members.infoOf(id.node)
			n.boot = h.n.members.boot(id.node)
			n.can = n.has
			nodes[id.node] = n
		}
		if now.Sub(a.at) > askedFor || !n.state.Live() || a.boot != n.boot {
			delete(h.asking, id)
			continue
		}
		n.free++
		if n.state == bus.NodeReady && slices.ContainsFunc(heads, func(q QueueHead) bool { return q.Key.Class == id.class }) {
			free = append(free, a)
		}
	}
	for _, a := range free {
		n := nodes[a.Node]
		slots = append(slots, FreeSlot{Node: a.Node, Class: a.Class, Slot: a.Slot, Bid: a.Bid, Free: n.free, Has: n.can})
	}
	return free, slots
}

// askingNode is a node whose slots ask, while they are answered.
type askingNode struct {
	h     *host
	now   time.Time
	info  bus.NodeInfo
	state bus.NodeState
	boot  string
	free  int
	can   func(bus.Key) (can, loaded bool) // has, made once
}

func (n *askingNode) has(key bus.Key) (can, loaded bool) {
	can, loaded = Runs(n.info, key)
	if k := n.h.keys[key]; can && k != nil && n.h.avoided(k, n.info.ID, n.now) {
		can = false
	}
	return can, loaded
}

// avoided reports whether the head of k was just given back by node.
func (h *host) avoided(k *keyQueue, node bus.NodeID, now time.Time) bool {
	k.oldest(now)
	return len(k.open) > 0 && k.open[0].avoid == node && now.Sub(k.open[0].avoidAt) < avoidFor
}

// Runs reports whether a node can run key, its version among others, and whether its model is loaded there.
func Runs(n bus.NodeInfo, key bus.Key) (can, loaded bool) {
	if key.Pin != "" && key.Pin != n.ID || key.Large && !n.Wire.Blobs() {
		return false, false
	}
	for _, t := range n.Types {
		if t == key.Class {
			can = true
		}
	}
	if !can || key.Model == "" {
		return can, can
	}
	for _, m := range n.ModelsFor(key.Class) {
		if bus.SameModel(m.Name, key.Model) {
			return true, m.Loaded
		}
	}
	return false, false
}
