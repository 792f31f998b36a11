package sched_test

import (
	"testing"
	"time"
)

// A heartbeat tells since when a task runs, and how long it had waited, whatever the clocks show.
func TestHeartbeatTellsWaitingFromRunning(t *testing.T) {
	t.Parallel()
	c := parts(4, theWorker)
	c.slots = 1
	c.skew = map[int]time.Duration{theWorker: 5 * time.Minute, theSubmitter: -3 * time.Minute}
	play(t, c, func(s *swarm) {
		s.elected()
		time.Sleep(40 * time.Second) // until the clocks are known
		s.running(s.enqueue(theSubmitter, script{MS: 4000}))
		k := s.enqueue(theSubmitter, script{MS: 4000})
		s.running(k)
		time.Sleep(2 * time.Second)
		b := s.nodes[theHost].now().node.View().Peers[nodeID(theWorker)].Beat
		if len(b.Running) != 1 || b.Running[0].Task != k.id {
			s.note("the worker runs %+v, want %s", b.Running, k.id)
			return
		}
		near := func(what string, ms int64, want time.Duration) {
			if got := time.Duration(ms) * time.Millisecond; (got - want).Abs() > time.Second {
				s.note("it has %s for %v, want about %v", what, got, want)
			}
		}
		near("waited", b.Running[0].WaitedMS, 4*time.Second)
		near("run", b.WallMS-b.Running[0].BeganMS, 2*time.Second)
	})
}
