package sched_test

import "testing"

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
