package sched_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched/internal/sim"
)

const maxFailures = 3

// A task at which every engine hangs, or fails, is given up after three attempts, wherever they were, and
// whatever became of the hosts meanwhile. The error says so, and what to do.
func TestEnginesThatHangAtATask(t *testing.T) {
	t.Parallel()
	hangs := script{MS: 100, Hang: everywhere}
	slow := script{MS: 100, Hang: everywhere, Slow: true}
	late := script{MS: 100, Hang: everywhere, Late: true}
	fails := script{MS: 100, Retry: everywhere, Few: true}
	both := func(from int, sc script) func(*swarm) {
		return func(s *swarm) {
			s.elected()
			s.submit(from, sc)
			s.enqueue(from, sc)
		}
	}
	for name, c := range map[string]struct {
		setup setup
		play  func(*swarm)
	}{
		"alone":                           {setup{nodes: 1}, both(0, hangs)},
		"alone, in mid-answer":            {setup{nodes: 1, slots: 1}, both(0, late)}, // one by one: neither waits behind the other
		"alone, slow to return":           {setup{nodes: 1}, both(0, slow)},
		"alone, failing":                  {setup{nodes: 1}, both(0, fails)},
		"two nodes":                       {setup{nodes: 2}, both(1, hangs)},
		"two nodes, failing":              {setup{nodes: 2}, both(1, fails)},
		"one worker":                      {withSlots(2, parts(3, theWorker)), both(theSubmitter, hangs)},
		"one worker, slow to return":      {withSlots(2, parts(3, theWorker)), both(theSubmitter, slow)},
		"the host dies between, and goes": {parts(5, theWorker), hostsDie(hangs)},
		"so it does while it is slow":     {parts(5, theWorker), hostsDie(slow)},
		"what is told is lost": {withSlots(2, parts(4, theWorker, theOther)), func(s *swarm) {
			s.net.SetDrop(func(m sim.Traffic) bool { return strings.HasSuffix(m.Subject, ".runs") })
			both(theSubmitter, hangs)(s)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(t, c.setup, func(s *swarm) {
				c.play(s)
				if !s.until(40*time.Second, s.over) {
					s.note("not over after 40 s")
				}
				for _, k := range s.tasks {
					if n := len(s.ledger.of(k.id)); n != maxFailures {
						s.note("task %s ran %d times, want %d", k.id, n, maxFailures)
					}
					info, err := s.nodes[k.from].now().node.Task(context.Background(), k.id)
					if err != nil || info.Error == nil || info.Error.Code != bus.CodeDead ||
						!strings.HasPrefix(info.Error.Message, "gave up after 3 attempts, on myco-") {
						s.note("task %s: %+v, error %v", k.id, info, err)
						continue
					}
					if k.durable != strings.Contains(info.Error.Hint, "myco dead retry "+string(k.id)) || info.Error.Hint == "" {
						s.note("task %s: the next command is %q", k.id, info.Error.Hint)
					}
				}
			})
		})
	}
}

// hostsDie has the host die while the first attempt hangs, and while the second does.
func hostsDie(sc script) func(*swarm) {
	return func(s *swarm) {
		s.elected()
		k := s.enqueue(theSubmitter, sc)
		for n := range 2 {
			s.until(20*time.Second, func() bool { return len(s.ledger.of(k.id)) > n })
			s.running(k)
			time.Sleep(500 * time.Millisecond)
			h := s.host()
			s.kill(h)
			time.Sleep(time.Second)
			s.restart(h)
		}
	}
}

// Who feeds a task tells of the failures of which nobody else knows any more.
func TestFailuresOutliveTheirWorker(t *testing.T) {
	t.Parallel()
	play(t, parts(3, theWorker), func(s *swarm) {
		s.elected()
		k := s.enqueue(theSubmitter, script{MS: 100, Hang: everywhere})
		s.until(20*time.Second, func() bool { return len(s.ledger.of(k.id)) == 2 })
		time.Sleep(500 * time.Millisecond)
		s.kill(theHost, theWorker) // which counts as a crash
		time.Sleep(time.Second)
		s.restart(theHost)
		s.restart(theWorker)
		s.until(40*time.Second, s.over)
		if n := len(s.ledger.of(k.id)); n != maxFailures+1 {
			s.note("task %s ran %d times, want %d", k.id, n, maxFailures+1)
		}
	})
}

// Where one engine hangs at a task, or fails, another has it next; at the latest the last attempt waits for one
// that is busy.
func TestEngineThatHangsGivesWay(t *testing.T) {
	t.Parallel()
	for name, sc := range map[string]script{
		"hangs":                 {MS: 100, Hang: string(nodeID(theWorker))},
		"hangs, slow to return": {MS: 100, Hang: string(nodeID(theWorker)), Slow: true},
		"fails":                 {MS: 100, Retry: string(nodeID(theWorker)), Few: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(t, withSlots(2, parts(4, theWorker, theOther)), func(s *swarm) {
				s.elected()
				var back atomic.Int64 // by the node whose engine fails
				s.net.SetDrop(func(m sim.Traffic) bool {
					if m.Op == "Nak" && m.From == nodeID(theWorker) {
						back.Add(1)
					}
					return false
				})
				s.enqueue(theSubmitter, script{MS: 30_000}, pin(nodeID(theOther)))
				s.enqueue(theSubmitter, script{MS: 30_000}, pin(nodeID(theOther)))
				for range 2 {
					s.submit(theSubmitter, sc)
					s.enqueue(theSubmitter, sc)
				}
				s.until(60*time.Second, s.over)
				if n := back.Load(); n > 100 { // it looks by itself now and then, and is handed nothing
					s.note("the node whose engine failed gave tasks back %d times in a minute", n)
				}
				for _, k := range s.tasks {
					if n := len(s.ledger.of(k.id)); n > maxFailures {
						s.note("task %s ran %d times: %v", k.id, n, s.ledger.of(k.id))
					}
				}
			})
		})
	}
}

// An engine that fails at once is free before those that work: it does not get the task once more while they are busy
// for a while.
func TestEngineThatFailsDoesNotTakeAll(t *testing.T) {
	t.Parallel()
	for _, give := range []func(*swarm, script) *tracked{
		func(s *swarm, sc script) *tracked { return s.enqueue(theSubmitter, sc) },
		func(s *swarm, sc script) *tracked { return s.submit(theSubmitter, sc) },
	} {
		play(t, parts(4, theWorker, theOther), func(s *swarm) {
			s.elected()
			busy := s.running(give(s, script{MS: 6000}))
			failing := theWorker
			if busy == theWorker {
				failing = theOther
			}
			k := give(s, script{MS: 10, Retry: string(nodeID(failing)), Few: true})
			s.until(20*time.Second, s.over)
			if rs := s.ledger.of(k.id); len(rs) != 2 || rs[0].node != nodeID(failing) || rs[1].node != nodeID(busy) {
				s.note("task %s: %v, want it once on node %d, and then on %d", k.id, rs, failing, busy)
			}
		})
	}
}

// What other failures bring back is tried as often as before; and an attempt that waits behind another has
// not hung.
func TestWhatIsNoFailure(t *testing.T) {
	t.Parallel()
	t.Run("another cause", func(t *testing.T) {
		t.Parallel()
		play(t, setup{nodes: 1}, func(s *swarm) {
			s.elected()
			k := s.submit(0, script{MS: 10, Retry: everywhere})
			s.until(40*time.Second, s.over)
			if n := len(s.ledger.of(k.id)); n != maxAttempts {
				s.note("task %s ran %d times, want %d", k.id, n, maxAttempts)
			}
		})
	})
	t.Run("behind another", func(t *testing.T) {
		t.Parallel()
		play(t, setup{nodes: 1, slots: 2}, func(s *swarm) {
			s.elected()
			s.submit(0, script{MS: 22_000, Chunks: 60})
			time.Sleep(time.Second)
			k := s.submit(0, script{MS: 10, Hang: everywhere})
			time.Sleep(19 * time.Second)
			if n := len(s.ledger.of(k.id)); n <= maxFailures || s.over() {
				s.note("task %s ran %d times while another wrote, want more", k.id, n)
			}
			s.until(40*time.Second, s.over)
		})
	})
}

// While a task goes again, whoever asks for it learns why.
func TestFailuresAreTold(t *testing.T) {
	t.Parallel()
	play(t, parts(3, theWorker), func(s *swarm) {
		s.elected()
		k := s.submit(theSubmitter, script{MS: 10, Hang: everywhere})
		s.until(20*time.Second, func() bool { return len(s.ledger.of(k.id)) == 2 })
		time.Sleep(time.Second)
		node := s.nodes[theSubmitter].now().node
		info, err := node.Task(context.Background(), k.id)
		if err != nil || !strings.HasPrefix(info.Warning, "attempt 1 failed on "+string(nodeID(theWorker))+": no output for ") ||
			!strings.HasSuffix(info.Warning, `, in the phase "prefill": the engine hangs; after 3 such attempts the task is given up`) {
			s.note("the task is shown as %+v, error %v", info, err)
		}
		w, err := node.Why(context.Background(), k.id)
		if err != nil || w.Note != info.Warning {
			s.note("why: %q, error %v, want %q", w.Note, err, info.Warning)
		}
	})
}

// A task that was handed over past the queue was given back, and was put into the queue behind what waits there: its host
// hands that over first, and does not wait for a node that may have the other.
func TestWhatWasGivenBackWaitsBehindOthers(t *testing.T) {
	t.Parallel()
	play(t, parts(4, theWorker, theOther), func(s *swarm) {
		s.elected()
		time.Sleep(2 * time.Second) // their slots wait
		s.running(s.submit(theSubmitter, script{MS: 4000}))
		s.running(s.submit(theSubmitter, script{MS: 50, First: true}))
		s.submit(theSubmitter, script{MS: 300})
		k := s.submit(theSubmitter, script{MS: 10})
		if !s.until(time.Second, func() bool { return len(s.ends(k)) > 0 }) {
			s.note("a slot is free, and a task waits")
		}
	})
}

// Two nodes gave back a task each, one a while before the other: each goes to the node of the other. What comes back
// to a queue is handed over in the order in which that has it, or each would get its own again.
func TestWhatWasGivenBackIsSwapped(t *testing.T) {
	t.Parallel()
	play(t, parts(4, theWorker, theOther), func(s *swarm) {
		s.elected()
		ks := []*tracked{s.enqueue(theSubmitter, script{MS: 1000, First: true}), s.enqueue(theSubmitter, script{MS: 2000, First: true})}
		s.until(30*time.Second, s.over)
		for _, k := range ks {
			if rs := s.ledger.of(k.id); len(rs) != 2 || rs[0].node == rs[1].node {
				s.note("task %s ran %d times, want once on each node: %v", k.id, len(rs), rs)
			}
		}
	})
}

// A task that waits for the one node whose engine has not failed at it keeps no others from those that have.
func TestOthersGoBeforeWhatIsSpared(t *testing.T) {
	t.Parallel()
	for _, give := range []func(*swarm, script) *tracked{
		func(s *swarm, sc script) *tracked { return s.enqueue(theSubmitter, sc) },
		func(s *swarm, sc script) *tracked { return s.submit(theSubmitter, sc) },
	} {
		play(t, parts(4, theWorker, theOther), func(s *swarm) {
			s.elected()
			busy := s.running(give(s, script{MS: 30_000}))
			k := give(s, script{MS: 100, Retry: everywhere, Few: true})
			s.until(20*time.Second, func() bool { return len(s.ledger.of(k.id)) == maxFailures-1 })
			time.Sleep(3 * time.Second)
			for range 3 {
				o := give(s, script{MS: 100})
				if !s.until(time.Second, func() bool { return s.toldEnds(o) > 0 }) {
					s.note("task %s waits behind one that its node does not get", o.id)
				}
			}
			s.until(40*time.Second, s.over)
			if rs := s.ledger.of(k.id); len(rs) != maxFailures || rs[maxFailures-1].node != nodeID(busy) {
				s.note("task %s is not spared for node %d: %v", k.id, busy, rs)
			}
		})
	}
}
