package sched_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched/internal/sim"
)

// A task that stays open has all nodes asked for its end every 3 s, by each of the two that keep it.
func TestOpenTaskIsAskedForNowAndThen(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	c := parts(4, theWorker)
	c.net.Trace = func(m sim.Traffic, _ bool) {
		if m.Subject == bus.SubjectSync && m.From == m.To { // each question reaches its asker too
			asked.Add(1)
		}
	}
	for _, b := range simulate(t, c, func(s *swarm) {
		s.elected()
		asked.Store(0)
		k := s.enqueue(theSubmitter, script{MS: 30_000})
		s.running(k)
		time.Sleep(24 * time.Second)
		if n := asked.Load(); n < 8 || n > 20 {
			s.note("all nodes were asked %d times in 24 s, want once every 3 s by each of two", n)
		}
	}) {
		t.Error(b)
	}
}

// Tasks that came one after the other and stay open have all nodes asked together.
func TestOpenTasksAreAskedForTogether(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	c := parts(4, theWorker)
	c.net.Trace = func(m sim.Traffic, _ bool) {
		if m.Subject == bus.SubjectSync && m.From == m.To {
			asked.Add(1)
		}
	}
	for _, b := range simulate(t, c, func(s *swarm) {
		s.elected()
		for range 40 {
			s.submit(theSubmitter, script{MS: 900})
			time.Sleep(77 * time.Millisecond)
		}
		asked.Store(0)
		time.Sleep(12 * time.Second)
		if n := asked.Load(); n < 3 || n > 15 {
			s.note("all nodes were asked %d times in 12 s, want once a second at most", n)
		}
	}) {
		t.Error(b)
	}
}
