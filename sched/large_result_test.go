package sched_test

import (
	"testing"
	"time"
)

// The worker is a custodian, and the other one is away: another node keeps the result too, for the worker may not come
// back.
func TestLargeResultIsOnTwoDisks(t *testing.T) {
	t.Parallel()
	play(t, setup{nodes: 4}, func(s *swarm) {
		_, w := mirrored(s)
		s.drain(w)
		s.accept(w, "large")
		for _, m := range s.nodes {
			if m.i != w && len(m.m.Blobs()) > 0 {
				s.kill(m.i)
			}
		}
		s.elected()
		s.nodes[w].now().node.Drain(false)
		s.wholeAt(w, "large")
		if n := s.blobs(true); n != 2 {
			s.note("the result is on %d disks, want 2", n)
		}
		s.killForGood(w)
		s.awake()
		for _, m := range s.nodes {
			if m.m.Running() {
				s.wholeAt(m.i, "large")
			}
		}
	})
}

// The worker alone was there when a task ended: once the custodian is back it has the result too, not only the end.
func TestLargeResultGetsToWhoWasAway(t *testing.T) {
	t.Parallel()
	play(t, setup{nodes: 4}, func(s *swarm) {
		_, w := mirrored(s)
		s.drain(w)
		s.accept(w, "large")
		var others []int
		for _, m := range s.nodes {
			if m.i != w {
				others = append(others, m.i)
			}
		}
		s.kill(others...)
		s.nodes[w].now().node.Drain(false)
		s.elected()
		s.wholeAt(w, "large")
		s.awake()
		s.until(30*time.Second, func() bool { return s.blobs(true) > 1 })
		s.killForGood(w)
		s.awake()
		for _, i := range others {
			s.wholeAt(i, "large")
		}
	})
}
