package sched_test

import (
	"context"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// A task whose only worker does not hear its submitter is taken out of the queue after forty deliveries, and
// fed again by its submitter. It ends once, when the two hear each other again.
func TestTaskThatIsDroppedEndsOnce(t *testing.T) {
	t.Parallel()
	play(t, parts(3, theWorker), func(s *swarm) {
		s.elected()
		s.running(s.submit(theHost, script{MS: 4000}))
		s.net.Link(nodeID(theSubmitter), nodeID(theWorker), false)
		k := s.submit(theSubmitter, script{MS: 50})
		time.Sleep(20 * time.Second)
		if n := s.events(k, bus.EventLost); n != 1 {
			s.note("task %s was taken out of the queue %d times, want 1", k.id, n)
		}
	})
}

// What a worker drops has ended where its submitter says goodbye, or starts anew: whoever watches is told so.
func TestTaskOfWhoIsGoneIsToldAsCancelled(t *testing.T) {
	t.Parallel()
	for name, gone := range map[string]func(*swarm){
		"says goodbye": func(s *swarm) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			s.nodes[theSubmitter].now().node.Leave(ctx)
			s.kill(theSubmitter)
		},
		"starts anew": func(s *swarm) {
			s.kill(theSubmitter)
			s.restart(theSubmitter)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(t, parts(3, theWorker), func(s *swarm) {
				s.elected()
				k := s.submit(theSubmitter, script{MS: 60_000})
				s.running(k)
				gone(s)
				if !s.until(5*time.Second, func() bool { return s.events(k, bus.EventCancelled) == 1 }) {
					s.note("who watches was not told that task %s has ended", k.id)
				}
			})
		})
	}
}
