package sched_test

import (
	"strings"
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

// A task that is cancelled while its next worker asks whether it has ended does not begin there.
func TestCancelledWhileItsEndIsAskedFor(t *testing.T) {
	t.Parallel()
	c := parts(5, theWorker)
	for _, b := range simulate(t, c, func(s *swarm) {
		s.elected()
		k := s.submit(theSubmitter, script{MS: 2000, Retry: string(nodeID(theWorker))})
		s.running(k)
		asks := make(chan struct{}, 1)
		s.net.SetDrop(func(m sim.Traffic) bool { // node 4 hears no question of the worker's
			if m.Subject != bus.SubjectSync || m.From != nodeID(theWorker) || !strings.Contains(string(m.Data), string(k.id)) {
				return false
			}
			select {
			case asks <- struct{}{}:
			default:
			}
			return m.To == nodeID(4)
		})
		s.kill(theHost)
		<-asks
		time.Sleep(300 * time.Millisecond)
		n := len(s.ledger.of(k.id))
		if err := s.cancel(theSubmitter, k.id); err != nil {
			s.note("cancel: %v", err)
		}
		time.Sleep(3 * time.Second)
		if now := len(s.ledger.of(k.id)); now != n {
			s.note("it ran %d times before it was cancelled, and %d in the end", n, now)
		}
		s.restart(theHost)
	}) {
		t.Error(b)
	}
}
