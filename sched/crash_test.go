package sched_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched/internal/sim"
)

// story is what happens around a crash: three nodes, each with one part.
const (
	asSubmitter = 1
	asHost      = 0
	asWorker    = 2
)

// tellsNothing are effects that are asked for all the time and change nothing.
func tellsNothing(s sim.Step) bool {
	switch s.Op {
	case "Routes", "Counts", "Progress", "Keys", "Term", "Crashed", "Load", "Old", "Subscribe", "Watch", "WatchKept", "Fetch", "Await":
		return true
	}
	return strings.HasSuffix(s.Subject, ".heartbeat") || strings.HasSuffix(s.Subject, ".next") || strings.HasPrefix(s.Subject, "swarm.task.") &&
		!strings.HasSuffix(s.Subject, ".cancel")
}

// crashAt kills a node at the k-th step that it takes, and counts its steps.
type crashAt struct {
	mu    sync.Mutex
	steps int
	at    int
	ops   []string
	dead  chan struct{}
}

func (c *crashAt) step(victim int) func(sim.Step) bool {
	return func(s sim.Step) bool {
		if s.Node != nodeID(victim) || tellsNothing(s) {
			return false
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.steps++
		c.ops = append(c.ops, s.Op)
		if c.steps != c.at {
			return false
		}
		close(c.dead)
		return true
	}
}

// crashStory has a durable, an attached, a failing and a cancelled task go their way, with the
// victim crashing at its k-th step and coming back a second later.
func crashStory(victim int, c *crashAt) func(*swarm) {
	return func(s *swarm) {
		c.dead = make(chan struct{})
		s.net.SetCrash(c.step(victim))
		s.wg.Go(func() {
			select {
			case <-c.dead:
				time.Sleep(time.Second)
			case <-time.After(6 * time.Second):
			}
			s.net.SetCrash(nil)
			s.restart(victim)
		})
		s.elected()
		s.submit(asSubmitter, script{MS: 40, Chunks: 2})
		s.wg.Go(func() { s.enqueue(asSubmitter, script{MS: 40, Chunks: 2}) })
		s.wg.Go(func() { s.enqueue(asSubmitter, script{MS: 20, Fail: true}) })
		s.wg.Go(func() {
			if k := s.enqueue(asSubmitter, script{MS: 2000}); k.accepted {
				time.Sleep(60 * time.Millisecond)
				_ = s.cancel(asSubmitter, k.id)
			}
		})
		time.Sleep(6 * time.Second)
	}
}

// TestCrashAtEveryStep crashes the submitter, the host and the worker before and after each of
// their effects.
func TestCrashAtEveryStep(t *testing.T) {
	t.Parallel()
	for name, victim := range map[string]int{"submitter": asSubmitter, "host": asHost, "worker": asWorker} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := setup{nodes: 3, slots: 4, seed: 1, rank: map[int]int{asHost: 1}, twoEnds: true, work: func(i int) bool { return i == asWorker }}
			var count crashAt
			for _, b := range simulate(t, c, crashStory(victim, &count)) {
				t.Errorf("without a crash: %s", b)
			}
			if count.steps < 10 {
				t.Fatalf("%d steps: %v", count.steps, count.ops)
			}
			t.Logf("%d steps: %v", count.steps, count.ops)
			for k := 1; k <= count.steps; k++ {
				at := crashAt{at: k}
				for _, b := range simulate(t, c, crashStory(victim, &at)) {
					t.Errorf("crash at step %d, %s: %s", k, at.ops[len(at.ops)-1], b)
				}
			}
		})
	}
}

// TestPoisonSaysNothing has a task end machines that do not say so themselves: they stay away, or have lost
// their journals. It is run by three of them, and then is dead.
func TestPoisonSaysNothing(t *testing.T) {
	t.Parallel()
	for name, play := range map[string]func(*swarm){
		"they stay away": func(s *swarm) {
			s.elected()
			k := s.enqueue(theSubmitter, script{MS: 60, Poison: true})
			s.until(time.Minute, func() bool { return len(s.ledger.of(k.id)) == 3 })
			for _, n := range s.nodes {
				n.gone = !n.m.Running()
			}
			time.Sleep(2 * time.Minute)
			if s.over() {
				s.note("task %s has ended, and a worker of it may return", k.id)
			}
			s.tellsHeld(k)
			if !s.until(2*time.Minute, s.over) {
				s.note("task %s has no end 4 minutes after the last of its workers died: %v", k.id, s.ledger.of(k.id))
			}
		},
		"they have lost their journals": func(s *swarm) {
			s.elected()
			k := s.enqueue(theSubmitter, script{MS: 60, Poison: true})
			for range 10 {
				time.Sleep(4 * time.Second)
				for i, n := range s.nodes {
					if !n.m.Running() {
						n.m.LoseJournal()
						s.restart(i)
					}
				}
			}
			if !s.over() {
				s.note("task %s has no end: %v", k.id, s.ledger.of(k.id))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(2) {
				c := parts(6, theWorker, theOther, 4, 5)
				c.seed = seed + 1
				for _, b := range simulate(t, c, play) {
					t.Errorf("seed %d: %s", c.seed, b)
				}
			}
		})
	}
}

// tellsHeld checks that any node tells why a task is neither run nor ended.
func (s *swarm) tellsHeld(k *tracked) {
	const want = "held back: it may still run on myco-"
	for _, n := range s.nodes {
		if !n.m.Running() {
			continue
		}
		p := n.now()
		if i, err := p.node.Task(p.life, k.id); err != nil || i.Position != 0 || !strings.HasPrefix(i.Warning, want) || !strings.Contains(i.Warning, "has been away for 2m") {
			s.note("node %d shows task %s as %s, warning %q, error %v", n.i, k.id, i.State, i.Warning, err)
		}
		if w, err := p.node.Why(p.life, k.id); err != nil || !strings.HasPrefix(w.Note, want) {
			s.note("node %d tells why of task %s %q, error %v", n.i, k.id, w.Note, err)
		}
	}
}

// A machine that is alone counts the processes that a task has ended: its journal names those before the last.
func TestPoisonOnAMachineAlone(t *testing.T) {
	t.Parallel()
	play(t, setup{nodes: 1}, func(s *swarm) {
		s.elected()
		k := s.enqueue(0, script{MS: 60, Poison: true})
		if end := s.untilDead(0, k.id); end.State != bus.StateDead || end.Attempts != maxCrashes {
			s.note("the task is %+v after %d runs", end, len(s.ledger.of(k.id)))
		}
	})
}

// All machines lose their processes with each run of a task, as with the power. What the journal of its worker names
// counts for the others too.
func TestPoisonWhileAllRestart(t *testing.T) {
	t.Parallel()
	play(t, parts(4, theWorker, theOther), func(s *swarm) {
		s.elected()
		s.nodes[theOther].now().node.Drain(true)
		k := s.enqueue(theSubmitter, script{MS: 60, Poison: true})
		for run := 1; run <= maxCrashes; run++ {
			if !s.until(time.Minute, func() bool {
				return len(s.ledger.of(k.id)) == run && !s.runsSomething(theWorker) && !s.runsSomething(theOther)
			}) {
				s.note("task %s ran %d times, want %d", k.id, len(s.ledger.of(k.id)), run)
				return
			}
			s.kill(theHost, theSubmitter, theWorker, theOther)
			drained := theOther
			if run > 1 { // the last of them is another's
				drained = theWorker
			}
			s.restart(drained)
			s.nodes[drained].now().node.Drain(true)
			s.awake()
		}
		if end := s.untilDead(theSubmitter, k.id); end.State != bus.StateDead || end.Attempts != maxCrashes {
			s.note("the task is %+v after %d runs", end, len(s.ledger.of(k.id)))
		}
	})
}

// The host and the submitter die, and workers start. One node alone knows of a crash: it tells them before they get
// the task.
func TestWhoLivesTellsOfCrashes(t *testing.T) {
	t.Parallel()
	workers := []int{theWorker, 4, 5, 6}
	play(t, parts(7, workers...), func(s *swarm) {
		s.elected()
		s.kill(workers[1:]...)
		k := s.enqueue(theSubmitter, script{MS: 60, Poison: true})
		s.until(time.Minute, func() bool { return !s.nodes[theWorker].m.Running() })
		time.Sleep(500 * time.Millisecond) // its host has told
		s.kill(theHost, theSubmitter)
		for _, i := range append(workers[1:], theSubmitter) {
			s.restart(i)
		}
		time.Sleep(30 * time.Second)
		if n := len(s.ledger.of(k.id)); n != maxCrashes {
			s.note("task %s ran %d times, want %d: %v", k.id, n, maxCrashes, s.ledger.of(k.id))
		}
	})
}
