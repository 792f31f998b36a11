package sched_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched/internal/sim"
)

// Any node tells why a task went where it did, and where one stands that waits; who forgets says so.
func TestWhyAndPosition(t *testing.T) {
	t.Parallel()
	bad := simulate(t, parts(4, theWorker), func(s *swarm) {
		ctx := context.Background()
		s.elected()
		var all []*tracked
		for range 12 {
			all = append(all, s.enqueue(theSubmitter, script{MS: 2000}))
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(5 * time.Second)
		asked := s.nodes[theSubmitter].now().node
		last := 0
		for _, k := range all {
			i, err := asked.Task(ctx, k.id)
			switch {
			case err != nil:
				s.note("task %s: %v", k.id, err)
			case i.State != bus.StateQueued && i.Position != 0:
				s.note("task %s is %s and has position %d", k.id, i.State, i.Position)
			case i.State == bus.StateQueued && (i.Position <= last || i.Wait <= 0):
				s.note("task %s has position %d after %d, and waits for %v", k.id, i.Position, last, i.Wait)
			}
			last = max(last, i.Position)
		}
		if last < 2 {
			s.note("nothing waits behind another: %d", last)
		}
		if p, wait, ok := asked.Queued(ctx, all[11].id); !ok || p != last || wait <= 0 {
			s.note("the last is queued %v at %d for %v, want %d", ok, p, wait, last)
		}
		for _, k := range []*tracked{all[0], all[11]} { // one that has ended, one that waits
			w, err := asked.Why(ctx, k.id)
			if err != nil || len(w.Bids) != 4 || (w.NodeID == nodeID(theWorker)) != (k == all[0]) || w.By == "" {
				s.note("why %s: %+v, error %v", k.id, w, err)
				continue
			}
			for _, b := range w.Bids {
				if b.NodeID != nodeID(theWorker) && !strings.Contains(b.Not, "does not run tasks") || b.Chosen != (b.NodeID == w.NodeID) {
					s.note("why %s: %+v", k.id, b)
				}
			}
		}
		time.Sleep(25 * time.Second)
		s.kill(theHost)
		s.elected()
		w, err := asked.Why(ctx, all[0].id)
		if err != nil || !strings.Contains(w.Note, "nobody remembers") || len(w.Bids) != 0 || w.NodeID != nodeID(theWorker) {
			s.note("once the host is gone: %+v, error %v", w, err)
		}
		s.restart(theHost)
	})
	for _, b := range bad {
		t.Error(b)
	}
}

// A host that is new has a copy of what runs in its queue, and may have it for a while after the end: who asks then
// is told what was decided, and not that the task waits.
func TestWhyOfAnEndedTaskIsNoWaiting(t *testing.T) {
	t.Parallel()
	play(t, parts(4, theWorker), func(s *swarm) {
		s.elected()
		k := s.submit(theSubmitter, script{MS: 3000})
		s.running(k)
		s.nodes[theHost].now().node.Drain(true) // it hands over, and remembers
		asked := s.nodes[theSubmitter].now().node
		for ended := 0; ended < 100; time.Sleep(5 * time.Millisecond) {
			i, err := asked.Task(context.Background(), k.id)
			if err != nil {
				s.note("%v", err)
				return
			}
			w, err := asked.Why(context.Background(), k.id)
			if err != nil || i.State != bus.StateQueued && w.NodeID != nodeID(theWorker) {
				s.note("why of a task that is %s: %+v, error %v", i.State, w, err)
				return
			}
			if i.State.Terminal() {
				ended++
			}
		}
	})
}

// Of the node that gave a task back, why tells that, and not that another was before it.
func TestWhyOfATaskThatCameBack(t *testing.T) {
	t.Parallel()
	play(t, parts(4, theWorker, theOther), func(s *swarm) {
		s.elected()
		k := s.submit(theSubmitter, script{MS: 20, First: true})
		if !s.until(30*time.Second, func() bool { return len(s.ends(k)) > 0 }) {
			s.note("task %s has no end", k.id)
			return
		}
		w, err := s.nodes[theSubmitter].now().node.Why(context.Background(), k.id)
		if err != nil || w.Attempt != 2 {
			s.note("why: %+v, error %v", w, err)
		}
		for _, b := range w.Bids {
			works := b.NodeID == nodeID(theWorker) || b.NodeID == nodeID(theOther)
			if works && !b.Chosen && b.Not != "it failed at this task, or gave it back, a moment ago" {
				s.note("of who gave it back: %q", b.Not)
			}
		}
	})
}

// What was claimed to end a task is no attempt: why tells of the last that ran, as the task itself does, and that
// none did where the deadline passed before.
func TestWhyCountsNoClaimThatEndsATask(t *testing.T) {
	t.Parallel()
	play(t, parts(3, theWorker), func(s *swarm) {
		s.elected()
		dead := s.submit(theSubmitter, script{MS: 20, Retry: everywhere, Few: true})
		if !s.until(30*time.Second, func() bool { return len(s.ends(dead)) > 0 }) {
			s.note("task %s has no end", dead.id)
			return
		}
		s.running(s.enqueue(theHost, script{MS: 2000}))
		late := s.enqueue(theSubmitter, script{MS: 20}, timeout(time.Second))
		time.Sleep(50 * time.Millisecond)
		s.nodes[theSubmitter].m.Freeze() // which would end it itself
		time.Sleep(2500 * time.Millisecond)
		s.nodes[theSubmitter].m.Continue()
		time.Sleep(2 * time.Second)
		for _, n := range s.nodes {
			p := n.now()
			i, err := p.node.Task(p.life, dead.id)
			w, werr := p.node.Why(p.life, dead.id)
			if err != nil || werr != nil || i.Attempts != 3 || w.Attempt != i.Attempts || w.NodeID != i.NodeID || len(w.Bids) != 3 {
				s.note("node %d tells of %d attempts, %v, and why of attempt %d: %+v, %v", n.i, i.Attempts, err, w.Attempt, w, werr)
			}
			i, err = p.node.Task(p.life, late.id)
			w, werr = p.node.Why(p.life, late.id)
			if err != nil || werr != nil || i.State != bus.StateExpired || i.Attempts != 0 || w.Attempt != 0 || w.NodeID != "" || !strings.HasPrefix(w.Note, "no node has run it") {
				s.note("node %d tells of %s after %d attempts, %v, and why: %+v, %v", n.i, i.State, i.Attempts, err, w, werr)
			}
		}
	})
}

// While nobody answers who has the payload, the task tells what it waits for.
func TestLargeTellsThatItWaits(t *testing.T) {
	t.Parallel()
	play(t, setup{nodes: 4}, func(s *swarm) {
		from, w := mirrored(s)
		s.drain(w)
		s.accept(from, "large")
		s.net.SetDrop(func(t sim.Traffic) bool { return t.Op == "HasBlob" })
		s.nodes[w].now().node.Drain(false)
		const want = "no node that is there has its payload"
		p := s.nodes[from].now()
		if !s.until(10*time.Second, func() bool {
			i, err := p.node.Task(p.life, "large")
			y, yerr := p.node.Why(p.life, "large")
			return err == nil && yerr == nil && strings.Contains(i.Warning, want) && strings.Contains(y.Note, want)
		}) {
			s.note("the task does not tell that its payload is away")
		}
		s.net.SetDrop(nil)
		s.wholeAt(w, "large")
	})
}
