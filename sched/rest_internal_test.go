package sched

import (
	"context"
	"slices"
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
		h.wg.Go(func() { h.sweeper(t.Context()) })
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

// A node that has nobody to lose reads its routes less often, until somebody is heard.
func TestLoneNodePollsLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &quiet{}
		n := q.node()
		if !n.members.lone() {
			t.Error("not lone, and nobody was heard")
		}
		n.members.hear(bus.Heartbeat{Node: n.cfg.ID, Boot: "x", Seq: 1, Wire: bus.ThisWire()})
		if !n.members.lone() {
			t.Error("not lone, and only itself was heard")
		}
		other := bus.Heartbeat{Node: "myco-bbbbbbbbbbbb", Boot: "y", Seq: 1, Wire: bus.ThisWire()}
		if !n.members.hear(other) || n.members.lone() {
			t.Error("lone, or not kicked, when another is heard")
		}
		n.members.bye(other)
		if !n.members.lone() {
			t.Error("not lone, and the other has left")
		}
		other.Seq = 2
		if !n.members.hear(other) || n.members.lone() {
			t.Error("lone, or not kicked, when the other is back")
		}
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
