package sched_test

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched/internal/sim"
)

// A host that was stopped finds in its buffers a task whose deadline has passed, and beside it old heartbeats
// of the submitter, by which that one's clock seems to have been set back. It hears no new one.
func TestDeadlinePassesWhileTheHostIsStopped(t *testing.T) {
	t.Parallel()
	for _, durable := range []bool{false, true} {
		c := parts(2, theHost)
		c.split = true
		play(t, c, func(s *swarm) {
			s.elected()
			s.enqueue(theSubmitter, script{}) // from now on the host's store has the submitter's outbox
			time.Sleep(2 * time.Second)
			s.nodes[theHost].m.Freeze()
			var k *tracked
			if durable {
				k = s.enqueue(theSubmitter, script{}, timeout(1500*time.Millisecond))
			} else {
				k = s.submit(theSubmitter, script{}, timeout(1500*time.Millisecond))
			}
			time.Sleep(300 * time.Millisecond)
			s.net.Link(nodeID(theHost), nodeID(theSubmitter), false) // nor does it hear that the task has ended
			time.Sleep(9 * time.Second)
			s.nodes[theHost].m.Continue()
			time.Sleep(2 * time.Second)
			s.neverBegan(k)
		})
	}
}

// A worker that is handed a task whose deadline has passed ends it, and has not run it.
func TestExpiredBeforeItsFirstRun(t *testing.T) {
	t.Parallel()
	play(t, parts(3, theWorker), func(s *swarm) {
		s.elected()
		for range 4 {
			k := s.submit(theSubmitter, script{}, timeout(time.Nanosecond))
			time.Sleep(2 * time.Second)
			s.neverBegan(k)
			for _, e := range s.ends(k) {
				if e.End.Attempts != 0 || e.End.NodeID != "" {
					s.note("task %s never ran: %+v", k.id, *e.End)
				}
			}
		}
	})
}

// A task that loses its worker, and finds no other until its deadline, is told to have been tried.
func TestExpiredAfterAnAttempt(t *testing.T) {
	t.Parallel()
	play(t, parts(3, theWorker), func(s *swarm) {
		s.elected()
		for _, hand := range []func(int, script, ...option) *tracked{s.submit, s.enqueue} {
			k := hand(theSubmitter, script{MS: 60_000}, timeout(10*time.Second))
			s.running(k)
			s.kill(theWorker)
			if !s.until(30*time.Second, func() bool { return len(s.ends(k)) > 0 }) {
				s.note("task %s has no end", k.id)
				return
			}
			info := s.ends(k)[0].End
			if info.State != bus.StateExpired || info.Attempts != 1 || !strings.Contains(info.Error.Message, "after attempt 1") {
				s.note("task %s had one attempt: %+v, %v", k.id, *info, info.Error)
			}
			s.restart(theWorker)
		}
	})
}

// A task that was given back at once, and finds its deadline in the queue, or is cancelled there, is told to have been tried:
// no heartbeat has told of it.
func TestExpiredAfterItWasGivenBack(t *testing.T) {
	t.Parallel()
	play(t, setup{nodes: 1, slots: 1}, func(s *swarm) {
		s.elected()
		for _, hand := range []func(int, script, ...option) *tracked{s.submit, s.enqueue} {
			k := hand(0, script{Retry: everywhere}, timeout(3*time.Second))
			if !s.until(30*time.Second, func() bool { return len(s.ends(k)) > 0 }) {
				s.note("task %s has no end", k.id)
				return
			}
			info := s.ends(k)[0].End
			if info.State != bus.StateExpired || info.Attempts == 0 || !strings.Contains(info.Error.Message, "after attempt") {
				s.note("task %s had attempts: %+v, %v", k.id, *info, info.Error)
			}
			k = hand(0, script{Retry: everywhere})
			time.Sleep(time.Second)
			if err := s.cancel(0, k.id); err != nil {
				s.note("cancel: %v", err)
			}
			if i, err := s.nodes[0].now().node.Task(context.Background(), k.id); err != nil || i.State != bus.StateCancelled || i.Attempts == 0 {
				s.note("task %s was tried, and cancelled: %+v, %v", k.id, i, err)
			}
		}
	})
}

// A custodian that was stopped counts from when a task was sent to it, and not from when it read it.
func TestDeadlinePassesWhileTheCustodianIsStopped(t *testing.T) {
	t.Parallel()
	play(t, parts(4, theHost), func(s *swarm) {
		s.elected()
		s.enqueue(theSubmitter, script{}) // from now on the host's store has the submitter's outbox
		time.Sleep(2 * time.Second)
		s.nodes[theHost].m.Freeze()
		s.net.SetDrop(func(m sim.Traffic) bool { return m.Op == "Feed" && m.From == nodeID(theSubmitter) })
		k := s.enqueue(theSubmitter, script{}, timeout(1500*time.Millisecond))
		time.Sleep(time.Second)
		s.kill(theSubmitter)
		time.Sleep(time.Second)
		s.nodes[theHost].m.Continue()
		time.Sleep(3 * time.Second)
		s.neverBegan(k)
		s.restart(theSubmitter)
	})
}

// A submitter, or a custodian, is back after the deadline of a task, and before the other, which knows its end: it waits
// for that a moment, before it writes another end, or has a worker write one.
func TestDeadlineHasPassedAtTheStart(t *testing.T) {
	t.Parallel()
	for _, first := range []int{theSubmitter, theHost} {
		for _, comesAfter := range []time.Duration{5 * time.Second, 15 * time.Second} {
			c := parts(4, theWorker)
			c.rank[theSubmitter] = 0 // it may be host, once it is alone
			c.twoEnds = comesAfter > 10*time.Second
			play(t, c, func(s *swarm) {
				second := theHost + theSubmitter - first
				k := s.endedBehind(second, timeout(10*time.Second))
				time.Sleep(20 * time.Second)
				s.restart(first)
				s.handle(first)
				if !c.twoEnds {
					time.Sleep(comesAfter)
					if ends := s.nodes[first].endsAt(k.id); len(ends) > 0 {
						s.note("node %d, which is alone, has it as %+v", first, ends)
					}
					s.restart(second)
					s.endsAs(first, k, bus.StateDone, 10*time.Second)
					return
				}
				s.endsAs(first, k, bus.StateExpired, comesAfter) // it is held, though another may know better
				ends := s.nodes[first].endsAt(k.id)
				if len(ends) > 0 && (ends[0].Error == nil || !strings.Contains(ends[0].Error.Message, "is not known, for "+string(nodeID(second))+" is away")) {
					s.note("it ends with %v", ends[0].Error)
				}
			})
		}
	}
}

// A task that was found on the disk and has time left ends at its deadline, though the machine it is for was put out, and
// who may know its end is away.
func TestDeadlinePassesWhileTheCustodianIsWaitedFor(t *testing.T) {
	t.Parallel()
	var out atomic.Bool
	c := parts(4, theWorker)
	c.twoEnds = true
	c.putOut = func(id bus.NodeID) (string, bool) { return "", out.Load() && id == nodeID(theWorker) }
	play(t, c, func(s *swarm) {
		k := s.endedBehind(theHost, pin(nodeID(theWorker)), timeout(time.Minute))
		out.Store(true)
		s.restart(theSubmitter)
		s.endsAs(theSubmitter, k, bus.StateExpired, time.Until(k.submitted.Add(time.Minute+time.Second)))
	})
}

// endedBehind has node theWorker end a durable task of node theSubmitter, where only keeper learns of that. Then all are
// down, and theWorker for good.
func (s *swarm) endedBehind(keeper int, opts ...option) *tracked {
	s.elected()
	k := s.enqueue(theSubmitter, script{MS: 2000}, opts...)
	s.running(k)
	s.kill(theHost + theSubmitter - keeper)
	if keeper == theHost {
		s.kill(theOther) // else it is host, and knows the end too
	}
	s.endsAs(keeper, k, bus.StateDone, 5*time.Second)
	s.kill(keeper, theOther)
	s.killForGood(theWorker)
	return k
}

// endsAs notes where node i does not have an end of task k in a state within limit, and before any other.
func (s *swarm) endsAs(i int, k *tracked, want bus.TaskState, limit time.Duration) {
	if !s.until(limit, func() bool { return len(s.nodes[i].endsAt(k.id)) > 0 }) || s.nodes[i].endsAt(k.id)[0].State != want {
		s.note("node %d has it as %+v, want %s", i, s.nodes[i].endsAt(k.id), want)
	}
}

// A custodian that answers nothing is asked again for one task, more and more rarely, and not for each:
// deadlines pass meanwhile.
func TestDeadlinePassesWhileNoCustodianAnswers(t *testing.T) {
	t.Parallel()
	play(t, setup{nodes: 2, work: nobody}, func(s *swarm) {
		from := s.another(s.elected())
		var tries atomic.Int32
		s.net.SetDrop(func(m sim.Traffic) bool {
			lost := m.Op == "PutTask" && m.From == nodeID(from) && m.To != m.From && !m.Answer
			if lost {
				tries.Add(1)
			}
			return lost
		})
		const tasks = 20
		s.enqueueAll(from, tasks, script{})
		time.Sleep(time.Minute)
		k := s.enqueue(from, script{}, timeout(2*time.Second))
		began := time.Now()
		if !s.until(5*time.Minute, func() bool { return len(s.ends(k)) > 0 }) {
			s.note("task %s has a deadline, and no end", k.id)
		}
		if took := time.Since(began); took > 4*time.Second {
			s.note("a deadline of 2 s passed after %v", took)
		}
		if n := int(tries.Load()) - tasks - 1; n < 3 || n > 10 {
			s.note("a custodian was tried %d times in a minute, want a few", n)
		}
		s.net.SetDrop(nil)
		if !s.until(time.Minute, func() bool { return len(s.keepers(s.tasks[0].id)) == 2 }) {
			s.note("the custodian answers, and has no copy")
		}
		s.handle(from)
	})
}

// A worker that is stopped after it has decided to run a task looks at the deadline again.
func TestDeadlinePassesWhileTheWorkerIsStopped(t *testing.T) {
	t.Parallel()
	play(t, parts(4, theWorker), func(s *swarm) {
		s.elected()
		stopped := false
		s.net.SetCrash(func(p sim.Step) bool {
			if p.Op == "Begin" && !stopped {
				stopped = true
				s.nodes[theWorker].m.Freeze()
			}
			return false
		})
		k := s.submit(theSubmitter, script{}, timeout(time.Second))
		time.Sleep(2 * time.Second)
		s.nodes[theWorker].m.Continue()
		time.Sleep(2 * time.Second)
		if !stopped {
			s.note("the worker was not stopped")
		}
		s.neverBegan(k)
	})
}

// TestRandomDeadlines plays tasks that all have a deadline while nodes are stopped for long, and cut off.
func TestRandomDeadlines(t *testing.T) {
	t.Parallel()
	random(t, randomSetup, deadlinePlay)
}

func deadlinePlay(s *swarm, r *rand.Rand) {
	s.elected()
	for range 40 {
		i := r.IntN(len(s.nodes))
		n := s.nodes[i]
		sc, late := script{MS: 5 + r.IntN(600), Chunks: r.IntN(5)}, timeout(time.Duration(100+r.IntN(4000))*time.Millisecond)
		switch k := r.IntN(20); {
		case k < 12 && !n.m.Running():
		case k < 6:
			s.submit(i, sc, late)
		case k < 12:
			s.wg.Go(func() { s.enqueue(i, sc, late) })
		case k < 15:
			n.m.Freeze()
			d := time.Duration(r.IntN(12_000)) * time.Millisecond
			s.wg.Go(func() {
				time.Sleep(d)
				n.m.Continue()
			})
		case k == 15:
			s.kill(i)
		case k == 16:
			for j := range s.nodes {
				s.restart(j)
			}
		case k == 17:
			s.net.Partition(s.ids(r.Perm(len(s.nodes))...)) // whole
		default:
			s.net.Link(n.id, s.nodes[(i+1)%len(s.nodes)].id, r.IntN(2) == 0)
		}
		time.Sleep(time.Duration(r.IntN(700)) * time.Millisecond)
	}
}

// neverBegan notes what is wrong with a task that should have expired before it began.
func (s *swarm) neverBegan(k *tracked) {
	if runs := s.ledger.of(k.id); len(runs) > 0 {
		s.note("task %s was begun: %v", k.id, runs)
	}
	if n := s.nodes[k.from]; !n.m.Running() {
		return
	}
	if ends := s.ends(k); len(ends) != 1 || ends[0].End.State != bus.StateExpired {
		s.note("task %s, %v: ended as %v, want it expired", k.id, k.err, states(ends))
	}
}
