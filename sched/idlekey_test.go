package sched_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched/internal/sim"
)

// Whoever asks for a model that nobody has makes a key, which costs its host memory. It goes once nothing is there for
// a while, and not before.
func TestIdleKeysAreDropped(t *testing.T) {
	t.Parallel()
	const models, spare = 50, 10
	var added, dropped atomic.Int64
	c := parts(3, theWorker)
	c.spareKeys = spare
	c.net.Trace = func(m sim.Traffic, _ bool) {
		switch {
		case m.Answer:
		case m.Op == "AddKey":
			added.Add(1)
		case m.Op == "DropKey":
			dropped.Add(1)
		}
	}
	play(t, c, func(s *swarm) {
		s.elected()
		for i := range models {
			s.enqueue(theSubmitter, script{MS: 1}, timeout(90*time.Second), func(t *bus.Task) {
				t.Type, t.Model = bus.TypeInference, fmt.Sprint("none-", i)
			})
		}
		long := s.enqueue(theSubmitter, script{MS: 100_000})
		time.Sleep(85 * time.Second)
		if a, d := added.Load(), dropped.Load(); a != models+1 || d > 0 {
			s.note("%d keys were added, and %d dropped, while tasks of %d wait or run", a, d, models+1)
		}
		time.Sleep(3 * time.Minute)
		if a, d := added.Load(), dropped.Load(); a != models+1 || d != models+1-spare {
			s.note("%d keys were added, and %d dropped, of %d of which nothing is there", a, d, models+1)
		}
		s.ranOnce("its worker lived", long.id)
		again := s.submit(theSubmitter, script{MS: 1})
		if !s.until(200*time.Millisecond, func() bool { return len(s.ends(again)) > 0 }) {
			s.note("a task of a key that was dropped waits")
		}
	})
}

// A task that is fed in the moment in which its key is dropped is not lost: it waits for as long as that takes.
func TestFedWhileItsKeyIsDropped(t *testing.T) {
	t.Parallel()
	for seed := range number("SIM_SEEDS", seedsEach) {
		c := parts(3, theWorker)
		c.spareKeys = -1
		c.seed = uint64(seed + 1)
		for _, b := range simulate(t, c, func(s *swarm) {
			s.elected()
			moment := make(chan struct{}, 8)
			s.net.SetDrop(func(m sim.Traffic) bool {
				if m.Op == "DropKey" && !m.Answer {
					moment <- struct{}{}
				}
				return false
			})
			for _, from := range []int{theSubmitter, theHost} {
				s.submit(from, script{MS: 1})
				time.Sleep(time.Second)
				long := s.submit(from, script{MS: 70_000}, pin(nodeID(theWorker))) // no slot waits: what is fed goes through the queue
				<-moment
				fed := s.submit(from, script{MS: 1})
				if err := s.cancel(from, long.id); err != nil {
					s.note("cancel: %v", err)
				}
				if !s.until(60*time.Millisecond, func() bool { return len(s.ends(fed)) > 0 }) { // sooner than a sweep finds it
					s.note("what node %d fed while its key was dropped waits", from)
				}
				<-moment // those of both go as well
				<-moment
			}
		}) {
			t.Errorf("seed %d: %s", c.seed, b)
		}
	}
}
