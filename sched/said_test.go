package sched_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched/internal/sim"
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

// Who has submitted a task starts anew in the midst of an output of which its worker has the last MiB alone: it asks for the
// beginning, which is gone, now and then, and not with each piece that comes. The worker sends all that it has each time.
func TestOutputThatIsGoneIsSeldomAskedFor(t *testing.T) {
	t.Parallel()
	play(t, parts(3, theWorker), func(s *swarm) {
		s.elected()
		const pieces, fat = 400, 8 << 10
		k := s.enqueue(theSubmitter, script{MS: 20_000, Chunks: pieces, Fat: fat})
		s.running(k)
		time.Sleep(10 * time.Second)
		s.kill(theSubmitter)
		var sent atomic.Int64
		s.net.SetDrop(func(m sim.Traffic) bool {
			return m.To == nodeID(theSubmitter) && m.Subject == bus.SubjectOut(nodeID(theSubmitter), k.id) && sent.Add(1) > 10_000
		})
		s.restart(theSubmitter)
		s.endsAs(theSubmitter, k, bus.StateDone, 20*time.Second)
		if n := sent.Load(); n > 2000 { // of those that are dropped, or there would be no end of it, too
			s.note("the worker sent %d pieces", n)
		}
	})
}
