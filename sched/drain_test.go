package sched_test

import (
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

// A slot has asked for work before its node drains: what it is handed by a host that has not heard of that goes back.
func TestDrainingNodeTakesNothingThatItHadAskedFor(t *testing.T) {
	t.Parallel()
	play(t, parts(4, theWorker), func(s *swarm) {
		s.elected()
		n := s.nodes[theWorker].now().node
		n.Drain(true)
		k := s.submit(theSubmitter, script{MS: 10}, pin(nodeID(theWorker)))
		time.Sleep(3 * time.Second)
		if ends := s.ends(k); len(ends) > 0 {
			s.note("a node that drains ran a task: %+v", ends[0].End)
		}
		n.Drain(false)
		if !s.until(10*time.Second, func() bool { return len(s.ends(k)) > 0 }) {
			s.note("the task does not run on the node that takes work again")
		}
	})
}

// Who asks on a node that was drained this moment is told so, or led to another, and does not wait there.
func TestDrainingNodeKnowsItAtOnce(t *testing.T) {
	t.Parallel()
	play(t, parts(3, theWorker), func(s *swarm) {
		s.elected()
		n := s.nodes[theWorker].now().node
		n.Drain(true)
		if _, err := sched.Place(bus.Task{Type: "work"}, n.Nodes(), nodeID(theWorker), "", false); err == nil || !strings.Contains(err.Error(), "is draining") {
			s.note("who asks a node that was drained just now is told %v", err)
		}
	})
}
