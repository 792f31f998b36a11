package sched_test

import (
	"fmt"
	"testing"
	"time"
)

// A machine that submits, hosts and works is shut, and opened again after others have ended its task. Its own end is
// superseded, whether it hears the others again at once or takes its time.
func TestMachineIsShutInMidTask(t *testing.T) {
	t.Parallel()
	for _, nodes := range []int{2, 3, 5} {
		for _, routes := range []time.Duration{0, 300 * time.Millisecond, time.Second, 2500 * time.Millisecond} {
			t.Run(fmt.Sprintf("%d nodes, routes after %v", nodes, routes), func(t *testing.T) {
				t.Parallel()
				play(t, setup{nodes: nodes, rank: map[int]int{0: 1}, work: nobody}, stoppedAlone(routes))
			})
		}
	}
}

// stoppedAlone has a node that submits, hosts and works be stopped, and continued after others have ended its task. Its routes
// are there again after a moment.
func stoppedAlone(routes time.Duration) func(s *swarm) {
	return func(s *swarm) {
		s.elected()
		s.handle(0)
		k := s.enqueue(0, script{MS: 1500})
		s.running(k)
		for i := range s.nodes[1:] {
			s.handle(i + 1)
		}
		time.Sleep(500 * time.Millisecond)
		s.nodes[0].m.Freeze()
		time.Sleep(5 * time.Second)
		for i := range s.nodes[1:] {
			s.net.Link(nodeID(0), nodeID(i+1), false)
		}
		time.Sleep(5 * time.Second)
		s.nodes[0].m.Continue()
		time.Sleep(routes)
		for i := range s.nodes[1:] {
			s.net.Link(nodeID(0), nodeID(i+1), true)
		}
		time.Sleep(10 * time.Second)
	}
}
