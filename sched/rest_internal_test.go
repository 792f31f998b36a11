package sched

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// A host looks into its queue once a second while nothing is there, and at once as often as ever when
// something comes.
func TestSweeperRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &quiet{}
		n := q.node()
		h := newHost(n, QueueID{n.cfg.ID, 1})
		h.wg.Go(h.sweeper)
		defer h.stop()
		in := func(d time.Duration) int64 {
			q.counts.Store(0)
			time.Sleep(d)
			synctest.Wait()
			return q.counts.Load()
		}
		in(250 * time.Millisecond)
		if got := in(10 * time.Second); got != 10 {
			t.Errorf("%d sweeps of nothing in 10 s, want 10", got)
		}
		if !h.resting.Load() {
			t.Error("the sweeper does not rest while nothing is there")
		}
		it := &item{k: &keyQueue{}}
		for range 20 { // what comes and goes at once puts off no sweep
			h.do(func() { h.items["one"] = it })
			synctest.Wait()
			h.do(func() { delete(h.items, "one") })
			time.Sleep(90 * time.Millisecond)
		}
		if got := q.counts.Load(); got < 11 {
			t.Errorf("%d sweeps while tasks came and went, want one a second at least", got)
		}
		h.do(func() { h.items["one"] = it })
		if got := in(time.Second + time.Millisecond); got < 10 || got > 11 {
			t.Errorf("%d sweeps in a second with something in the queue, want 10", got)
		}
	})
}

// The loops of an outbox in which nothing is open look once a second, and what opens stirs them.
func TestOutboxRests(t *testing.T) {
	opens := map[string]func(*outbox){
		"an entry":     func(o *outbox) { o.open(&entry{job: Job{Task: bus.Task{ID: "one"}}}) },
		"an end heard": func(o *outbox) { o.hear(Final{Task: "one"}) },
		"nothing":      nil,
	}
	for name, open := range opens {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := &quiet{}
				o := q.node().outbox
				ctx, cancel := context.WithCancel(t.Context())
				var feeds, cares atomic.Int64
				for n, p := range map[*atomic.Int64]*pace{&feeds: &o.feeds, &cares: &o.cares} {
					go func() {
						for o.next(ctx, p, nil) {
							n.Add(1)
						}
					}()
				}
				time.Sleep(10*time.Second + time.Millisecond)
				if f, c := feeds.Load(), cares.Load(); f != 10 || c != 10 {
					t.Errorf("looked %d and %d times in 10 s while nothing was open, want 10", f, c)
				}
				want := int64(10)
				if open != nil {
					o.mu.Lock()
					open(o)
					o.mu.Unlock()
					want += int64(time.Second/careEvery) - 1 // the first when careEvery has passed
				}
				time.Sleep(time.Second - careEvery/2)
				if f, c := feeds.Load(), cares.Load(); f != want || c != want {
					t.Errorf("looked %d and %d times in all a second later, want %d", f, c, want)
				}
				cancel()
			})
		})
	}
}

// A look takes as long as there is something to look at: ends that wait for a custodian which is away for weeks, too.
func TestLooksLessOftenAtVeryMany(t *testing.T) {
	t.Parallel()
	q := &quiet{}
	o := q.node().outbox
	const many = 50_000
	for i := range many {
		o.standing[bus.TaskID(strconv.Itoa(i))] = &standing{}
	}
	if d := o.untilLook(); d != many*lookFor {
		t.Errorf("with %d ends to hand back it looks after %v, want %v", many, d, many*lookFor)
	}
}

// wired is a quiet node's wire with routes that the test sets, and counts how often they are read.
type wired struct {
	quiet
	to   atomic.Pointer[bus.NodeID]
	read atomic.Int64
}

func (w *wired) Routes() map[bus.NodeID]bool {
	w.read.Add(1)
	if id := w.to.Load(); id != nil {
		return map[bus.NodeID]bool{*id: true}
	}
	return nil
}

func (*wired) Old(context.Context) ([]QueueID, error) { return nil, nil }

// A node that hears all others reads its routes four times a second. It reads them often where one has closed, is not
// there, or its node is silent, and learns as fast as ever that the node is lost.
func TestSettledNodeReadsRoutesLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, closed, other := &wired{}, make(chan struct{}, 1), bus.NodeID("myco-bbbbbbbbbbbb")
		var news atomic.Int64
		n := New(Config{
			ID: "myco-aaaaaaaaaaaa", Rank: -1, RouteClosed: closed, News: func() { news.Add(1) },
			Info: func() bus.NodeInfo { return bus.NodeInfo{} }, Load: func() Load { return Load{} },
		}, Effects{Wire: w, Queues: w})
		ctx, cancel := context.WithCancel(t.Context())
		var loops sync.WaitGroup
		loops.Go(func() { _ = n.electLoop(ctx) })
		var silent atomic.Bool
		var seq atomic.Uint64
		beat := func(i *bus.NodeInfo) { // of who hosts
			n.hearBeat(bus.Heartbeat{Node: other, Boot: "y", Seq: seq.Add(1), Term: 1, Host: other, Wire: bus.ThisWire(), Info: i})
		}
		loops.Go(func() {
			for ctx.Err() == nil {
				if !silent.Load() {
					beat(nil)
				}
				time.Sleep(beatEvery)
			}
		})
		in := func(d time.Duration, least, most int64, when string) {
			t.Helper()
			before := w.read.Load()
			time.Sleep(d)
			synctest.Wait()
			if got := w.read.Load() - before; got < least || got > most {
				t.Errorf("%s it reads its routes %d times in %v, want %d to %d", when, got, d, least, most)
			}
		}
		in(700*time.Millisecond, 27, 29, "before there is a route")
		w.to.Store(&other)
		in(pollEvery, 1, 1, "as it comes")
		in(10*time.Second, 39, 41, "at rest")
		time.Sleep(pollEvery / 2) // between two looks
		was := news.Load()
		beat(&bus.NodeInfo{ID: other, Models: []bus.ModelInfo{{Name: "m"}}})
		synctest.Wait()
		if got := news.Load() - was; got != 1 {
			t.Errorf("news of a node's models came %d times with its heartbeat, want 1", got)
		}
		closed <- struct{}{}
		in(closedFor, 39, 41, "once a route has closed")
		in(10*time.Second, 39, 41, "as it is there again")
		closed <- struct{}{}
		w.to.Store(nil)
		time.Sleep(2*pollEvery + time.Millisecond)
		if n.members.alive(other) {
			t.Error("a node whose route has closed is not lost after two looks")
		}
		n.members.mu.Lock()
		n.members.peers[other].gone = true // it must be heard, and kicks
		n.members.mu.Unlock()
		w.to.Store(&other)
		time.Sleep(time.Second)
		synctest.Wait()
		in(2*time.Second, 7, 9, "once it is back")
		w.to.Store(nil) // and nobody says so
		time.Sleep(restPoll + pollEvery + time.Millisecond)
		if n.members.alive(other) {
			t.Error("a node whose route has closed in silence is not lost by the second look")
		}
		time.Sleep(time.Second)
		w.to.Store(&other)
		time.Sleep(time.Second)
		silent.Store(true)
		time.Sleep(suspectAfter + restPoll)
		in(time.Second, 39, 41, "when a node is silent")
		cancel()
		loops.Wait()
		n.bg.end()
	})
}

// What is to be said in one moment is said from one goroutine a moment later, and what comes after that too.
func TestRenewalsLeaveTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var all []string
		said := func() []string {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(all)
		}
		bg := newBackground()
		r := &together{bg: bg, send: func(m Msg) {
			mu.Lock()
			defer mu.Unlock()
			all = append(all, m.Reply)
		}}
		want := []string{}
		for round := range 3 {
			for _, slot := range []string{"a", "b", "c"} {
				r.add(Msg{Reply: slot})
				want = append(want, slot)
			}
			time.Sleep(togetherFor / 2)
			synctest.Wait()
			if len(said()) != 3*round {
				t.Errorf("said %v before the rest could come", said())
			}
			time.Sleep(togetherFor / 2)
			synctest.Wait()
			if !slices.Equal(said(), want) {
				t.Errorf("said %v, want %v", said(), want)
			}
		}
		r.add(Msg{Reply: "at the end"})
		bg.end()
		if len(said()) != len(want)+1 {
			t.Errorf("said %v, want what came at the end too", said())
		}
	})
}

// overtaken is the queue of a host in which one task waits. Another, t1, has ended.
type overtaken struct{ queueOfOne }

func (*overtaken) Counts(context.Context, QueueID) ([]KeyCount, error) {
	return []KeyCount{{Key: oneKey, Pending: 1}}, nil
}

func (*overtaken) GetClaim(_ context.Context, _ QueueID, id bus.TaskID) ([]byte, uint64, error) {
	if id != "t1" {
		return nil, 0, ErrNotFound
	}
	return marshal(Record{State: bus.StateDone}), 1, nil
}

// A host hears that a task was stored when that has ended already: it lists it no longer than until it looks, though others
// wait in the queue.
func TestEndOvertakesWhatWasStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := &overtaken{}
		n := New(Config{ID: "myco-00000000000a"}, Effects{Wire: q, Queues: q})
		h := newHost(n, QueueID{n.cfg.ID, 1})
		t.Cleanup(h.stop)
		h.do(func() {
			h.claimed(Claim{Task: "t1", State: bus.StateDone, Worker: oneWorker, Attempt: 1, Key: oneKey})
			h.stored(oneKey, "t1", 1, Need{})
			h.stored(oneKey, "t2", 2, Need{})
		})
		time.Sleep(time.Second)
		h.sweepOnce()
		h.do(func() {
			if h.items["t1"] != nil || h.items["t2"] == nil || h.keys[oneKey].nOpen != 1 {
				t.Errorf("%d are open, and of them the one that has ended is %v; want the other alone", h.keys[oneKey].nOpen, h.items["t1"] != nil)
			}
		})
	})
}

// moments are those in which a node that began at began looks at its routes and asks its handlers.
type moments struct {
	wired
	began time.Time
	seen  chan time.Duration
}

func (m *moments) saw() {
	select {
	case m.seen <- time.Since(m.began):
	default:
	}
}

func (m *moments) Routes() map[bus.NodeID]bool { m.saw(); return m.wired.Routes() }

func (m *moments) Capability(context.Context) (bus.Capability, error) {
	m.saw()
	return bus.Capability{Type: "work"}, nil
}

func (*moments) Handle(context.Context, *bus.Task, bus.Emit) (any, error) { return nil, nil }

// The loops of a node at rest, which began one after the other, wake the process in the same moments, and not each in its own.
func TestLoopsAtRestWakeTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, other := &moments{began: time.Now(), seen: make(chan time.Duration, 1000)}, bus.NodeID("myco-bbbbbbbbbbbb")
		m.to.Store(&other)
		time.Sleep(33 * time.Millisecond)
		n := New(Config{
			ID: "myco-aaaaaaaaaaaa", Rank: -1, Began: m.began,
			Info: func() bus.NodeInfo { return bus.NodeInfo{} }, Load: func() Load { return Load{} },
		}, Effects{Wire: m, Queues: m})
		n.worker.pools["work"] = &pool{typ: "work", handler: m}
		ctx, cancel := context.WithCancel(t.Context())
		var loops sync.WaitGroup
		for _, loop := range []func(context.Context) error{n.electLoop, n.worker.run} {
			loops.Go(func() { _ = loop(ctx) })
			time.Sleep(44 * time.Millisecond)
		}
		for seq := range uint64(15) {
			n.hearBeat(bus.Heartbeat{Node: other, Boot: "y", Seq: 1 + seq, Term: 1, Host: other, Wire: bus.ThisWire()})
			if time.Sleep(beatEvery); seq == 8 {
				for len(m.seen) > 0 { // what was before it was at rest
					<-m.seen
				}
			}
		}
		cancel()
		loops.Wait()
		n.bg.end()
		close(m.seen)
		looks := 0
		for at := range m.seen {
			if looks++; at%capEvery != 0 {
				t.Errorf("a loop has looked %v after the process began, want whole multiples of %v", at, capEvery)
			}
		}
		if looks < 8 {
			t.Errorf("%d looks in 1.2 s, want four a second of each of two loops", looks)
		}
	})
}
