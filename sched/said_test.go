package sched_test

import (
	"context"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Who has submitted a task is gone, and whoever reads its output at another node gets what it has not read of the worker, in
// as many messages as it takes, until that has forgotten it, or is lost too.
func TestWorkerTellsWhatItHasSaid(t *testing.T) {
	t.Parallel()
	play(t, parts(3, theWorker), func(s *swarm) {
		s.elected()
		const pieces = 5000 // more than one message has
		k := s.enqueue(theSubmitter, script{MS: 5000, Chunks: pieces})
		if end := s.untilDead(theHost, k.id); end.State != bus.StateDone {
			s.note("it ended as %+v", end)
		}
		s.killForGood(theSubmitter)
		time.Sleep(5 * time.Second)
		at := s.nodes[theHost].now().node
		end, err := at.Task(context.Background(), k.id)
		if err != nil || end.NodeID != nodeID(theWorker) {
			s.note("it is %+v, %v", end, err)
		}
		next, ok := at.Said(context.Background(), end, bus.PlaceAt(1, 100), nodeID(theWorker))
		if !ok || len(next) != pieces-100 || next[0].Seq != 100 || next[len(next)-1].Seq != pieces-1 {
			s.note("the worker tells of %d pieces, %t", len(next), ok)
		}
		other := end
		other.Attempts++
		if next, ok := at.Said(context.Background(), other, bus.PlaceAt(1, 100), ""); ok {
			s.note("it tells of %d pieces of another attempt", len(next))
		}
		s.kill(theWorker)
		s.until(5*time.Second, func() bool { return !at.View().Alive(nodeID(theWorker)) })
		if _, ok := at.Said(context.Background(), end, bus.PlaceAt(1, 100), nodeID(theWorker)); ok {
			s.note("a worker that is lost tells of its output")
		}
		s.restart(theWorker)
		s.until(5*time.Second, func() bool { return at.View().Alive(nodeID(theWorker)) })
		if _, ok := at.Said(context.Background(), end, bus.PlaceAt(1, 100), nodeID(theWorker)); ok {
			s.note("a worker that has started anew tells of its output")
		}
	})
}
