package sched_test

import (
	"slices"
	"testing"
	"time"
)

// A worker that was lost ends a task that another runs by then, and is superseded. When that one dies too, the
// task goes on: its message is still there.
func TestSupersededLeavesTheMessage(t *testing.T) {
	t.Parallel()
	play(t, parts(4, theWorker, theOther), func(s *swarm) {
		s.elected()
		k := s.enqueue(theSubmitter, script{MS: 6000})
		w := s.running(k)
		next := theOther
		if w == theOther {
			next = theWorker
		}
		s.nodes[w].m.Freeze()
		runsOn := func() bool {
			return slices.ContainsFunc(s.ledger.of(k.id), func(r run) bool { return r.node == nodeID(next) })
		}
		if !s.until(10*time.Second, runsOn) {
			s.note("nobody has taken over")
		}
		time.Sleep(4 * time.Second) // the first has its answer, and the other has not
		s.nodes[w].m.Continue()
		if !s.until(time.Second, func() bool { return s.events(k, "superseded") > 0 }) {
			s.note("the first was not superseded: %+v", s.ledger.of(k.id))
		}
		s.kill(next)
		if !s.until(30*time.Second, s.over) {
			s.note("task %s has no end: %+v", k.id, s.ledger.of(k.id))
		}
		s.restart(next)
	})
}
