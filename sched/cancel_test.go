package sched_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched/internal/sim"
)

// What was cancelled while it ran tells the attempts that it had, and where, wherever that was done.
func TestCancelledTellsItsAttempts(t *testing.T) {
	t.Parallel()
	bad := simulate(t, parts(4, theWorker), func(s *swarm) {
		ctx := context.Background()
		s.elected()
		for _, by := range []int{theSubmitter, theWorker, theOther} {
			for _, give := range []func(int, script, ...option) *tracked{s.enqueue, s.submit} {
				k := give(theSubmitter, script{MS: 5000})
				s.running(k)
				time.Sleep(300 * time.Millisecond) // a heartbeat
				was, err := s.nodes[theSubmitter].now().node.Task(ctx, k.id)
				if err != nil || was.NodeID == "" {
					s.note("before its cancel it runs at %q (%v)", was.NodeID, err)
				}
				if err := s.cancel(by, k.id); err != nil {
					s.note("cancel: %v", err)
				}
				time.Sleep(100 * time.Millisecond) // its submitter hears of it
				i, err := s.nodes[theSubmitter].now().node.Task(ctx, k.id)
				if err != nil || i.State != bus.StateCancelled || i.Attempts != 1 || i.NodeID != was.NodeID {
					s.note("cancelled at node %d, task %s is %s after %d attempts, the last at %q (%v), want 1, at %s", by, k.id, i.State, i.Attempts, i.NodeID, err, was.NodeID)
				}
			}
		}
		waits := s.enqueue(theSubmitter, script{}, pin("myco-00000000ffff"))
		if err := s.cancel(theSubmitter, waits.id); err != nil {
			s.note("cancel: %v", err)
		}
		if i, err := s.nodes[theOther].now().node.Task(ctx, waits.id); err != nil || i.Attempts != 0 || i.NodeID != "" {
			s.note("what never ran is %s after %d attempts, at %q (%v)", i.State, i.Attempts, i.NodeID, err)
		}
	})
	for _, b := range bad {
		t.Error(b)
	}
}

// A host that answers nothing does not hold a cancel up for long: how often the task ran is not worth it.
func TestCancelledWhileTheHostHangs(t *testing.T) {
	t.Parallel()
	play(t, parts(3, theWorker), func(s *swarm) {
		s.elected()
		k := s.enqueue(theSubmitter, script{}, pin("myco-00000000ffff"))
		time.Sleep(time.Second)
		s.net.SetDrop(func(m sim.Traffic) bool { return m.To == nodeID(theHost) && strings.HasSuffix(m.Op, "Claim") })
		s.wg.Go(func() { _ = s.cancel(theSubmitter, k.id) })
		s.endsAs(theSubmitter, k, bus.StateCancelled, time.Second)
		s.net.SetDrop(nil)
	})
}
