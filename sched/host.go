package sched

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Times of the queue host.
const (
	answerFor   = 5 * time.Millisecond    // an answer without a claim is given to the next best
	askedFor    = 1100 * time.Millisecond // a request for work that is older is gone
	sweepEvery  = 100 * time.Millisecond  // finds what is stored and unclaimed
	missMost    = 100 * time.Millisecond  // the longest pause after fetches that found nothing
	silentFor   = 1500 * time.Millisecond // a claim that its live worker no longer reports
	avoidFor    = 2 * time.Second         // a worker that gave a task back does not get it again at once
	declineFor  = 500 * time.Millisecond  // nor one that declined it; each time longer, up to avoidFor
	earlyClaims = 10_000                  // claims that are heard before their messages
)

// host is the queue host of one term: it knows what is stored and who asks, and answers. It
// only makes things quick: what it forgets, the sweep and the workers' own look find.
type host struct {
	// counts is what the last sweep found, for heartbeats.
	counts atomic.Pointer[[]bus.QueueCount]

	n   *Node
	q   QueueID
	ctx context.Context // ends with stop
	end context.CancelFunc
	wg  sync.WaitGroup

	unwatch func() // what start began to watch; nil before

	busy atomic.Bool // something is in the queue, as far as is known
	// resting is set while the sweeper waits for longer than sweepEvery, until stirred.
	resting atomic.Bool
	stirred chan struct{}

	mu      sync.Mutex // of everything below; see do
	over    bool
	timer   *time.Timer // wakes the loop
	wake    time.Time   // when it does; zero where it does not
	keys    map[bus.Key]*keyQueue
	items   map[bus.TaskID]*item
	again   time.Time            // when a task waits no longer for a better node; zero where none does
	early   map[bus.TaskID]Claim // claims heard before their message
	asking  map[slotID]*asking
	answers map[slotID]*given // handed over, and not claimed yet
	seats   map[seatID]*seatState
	warm    *warm
	usage   usage

	// What dispatch uses again and again.
	scratch []QueueHead
	queues  []*keyQueue
	waiting []HeadItem
	classes []string
	seatAt  map[seatID]int
	boots   []string
	free    []freeSlot
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
	k      *keyQueue
	at     time.Time
	choice *chosen
}

// keyQueue is what the host knows of one key.
type keyQueue struct {
	key    bus.Key
	ready  bool    // fetchable
	adding bool    // is being made so, or no longer so
	open   []*item // oldest first; those no longer open are skipped
	nOpen  int
	extra  int // found by the sweep, unknown which
	given  int // answers under way
	claims int
	// past counts those that run without having been in the queue.
	past   int
	hold   time.Time // nothing is answered until then, after misses
	handed time.Time // the last message
	misses int
	// idleFrom is since when the sweeps have found nothing of it; zero where they do.
	idleFrom time.Time
}

func newHost(n *Node, q QueueID) *host {
	ctx, end := context.WithCancel(context.Background())
	return &host{
		n: n, q: q, ctx: ctx, end: end, timer: time.NewTimer(time.Hour), stirred: make(chan struct{}, 1),
		keys:    map[bus.Key]*keyQueue{},
		items:   map[bus.TaskID]*item{},
		early:   map[bus.TaskID]Claim{},
		asking:  map[slotID]*asking{},
		answers: map[slotID]*given{},
		seats:   map[seatID]*seatState{},
		seatAt:  map[seatID]int{},
		warm:    newWarm(), usage: newUsage(),
	}
}

func (h *host) start() error {
	stop, err := h.n.fx.Watch(h.q,
		func(key bus.Key, id bus.TaskID, seq uint64, need Need) { h.do(func() { h.stored(key, id, seq, need) }) },
		func(c Claim) { h.do(func() { h.claimed(c) }) })
	if err != nil {
		return err
	}
	h.unwatch = stop
	h.wg.Go(h.loop)
	h.wg.Go(h.sweeper)
	return nil
}

// stop ends the host's goroutines. The queue stays until it is dropped.
func (h *host) stop() {
	h.mu.Lock()
	over := h.over
	h.over = true
	h.mu.Unlock()
	if !over && h.unwatch != nil {
		h.unwatch()
	}
	h.end()
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
	if len(h.items) > 0 && h.resting.CompareAndSwap(true, false) {
		poke(h.stirred)
	}
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
		case <-h.ctx.Done():
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
	if !h.again.IsZero() {
		return max(h.again.Sub(now), time.Millisecond)
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
		ctx, cancel := context.WithTimeout(h.ctx, openWithin)
		defer cancel()
		err := h.n.fx.AddKey(ctx, h.q, k.key)
		if err != nil && h.ctx.Err() == nil {
			h.n.log.Warn("add work queue", "key", k.key, "err", err)
		}
		h.do(func() {
			k.ready, k.adding = err == nil, false // else the sweep tries again
			h.dispatch(h.n.now())
		})
	})
}
