package sched_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched/internal/sim"
)

// A machine that submits, hosts and works is shut, and opened again after others have ended its task. Its own end is
// superseded, whether it hears the others again at once or takes its time.
func TestMachineIsShutInMidTask(t *testing.T) {
	t.Parallel()
	for _, nodes := range []int{2, 3, 5} {
		for _, routes := range []time.Duration{0, 300 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second} {
			t.Run(fmt.Sprintf("%d nodes, routes after %v", nodes, routes), func(t *testing.T) {
				t.Parallel()
				play(t, setup{nodes: nodes, rank: map[int]int{0: 1}, work: nobody}, stoppedAlone(routes))
			})
		}
	}
}

// As above, and the task's deadline passes before it is opened, or a client cancels the task in the moment in which it is.
func TestMachineIsShutUntilItsTaskIsToEnd(t *testing.T) {
	t.Parallel()
	for _, routes := range []time.Duration{0, 300 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second} {
		c := setup{nodes: 3, rank: map[int]int{0: 1}, work: nobody}
		t.Run(fmt.Sprintf("deadline, routes after %v", routes), func(t *testing.T) {
			t.Parallel()
			play(t, c, func(s *swarm) { s.shutIn(routes, nil, timeout(9*time.Second)) })
		})
		t.Run(fmt.Sprintf("cancel, routes after %v", routes), func(t *testing.T) {
			t.Parallel()
			play(t, c, func(s *swarm) {
				s.shutIn(routes, func(k *tracked) {
					if err := s.cancel(0, k.id); err != nil {
						s.note("cancel: %v", err)
					}
				})
			})
		})
	}
}

// Very many tasks end in the moment in which a machine is opened that does not hear all others at once. They are
// asked for together.
func TestManyTasksEndAsAMachineIsOpened(t *testing.T) {
	t.Parallel()
	const tasks = 50
	play(t, setup{nodes: 3, slots: tasks + 1, rank: map[int]int{0: 1}, work: func(i int) bool { return i == 0 }}, func(s *swarm) {
		s.elected()
		s.enqueueAll(0, tasks, script{MS: 3000})
		if !s.until(2*time.Second, func() bool { return s.ledger.active() == tasks }) {
			s.note("%d of %d run", s.ledger.active(), tasks)
		}
		var asked atomic.Int64
		s.net.SetDrop(func(m sim.Traffic) bool {
			if m.Subject == bus.SubjectSync && m.From == nodeID(0) && m.To == nodeID(1) {
				asked.Add(1)
			}
			return false
		})
		s.shut(func() {}, 300*time.Millisecond, 2*time.Second)
		time.Sleep(10 * time.Second)
		if n := asked.Load(); n > tasks {
			s.note("a node was asked %d times for the ends of %d tasks", n, tasks)
		}
		s.net.SetDrop(nil)
	})
}

// stoppedAlone has a node that submits, hosts and works be stopped, and continued after others have ended its task. Its routes
// are there again after a moment.
func stoppedAlone(routes time.Duration) func(s *swarm) {
	return func(s *swarm) { s.shutIn(routes, nil) }
}

// shutIn is stoppedAlone, with what a client does as the node continues.
func (s *swarm) shutIn(routes time.Duration, opened func(*tracked), opts ...option) {
	s.elected()
	s.handle(0)
	k := s.enqueue(0, script{MS: 1500}, opts...)
	s.running(k)
	for i := range s.nodes[1:] {
		s.handle(i + 1)
	}
	time.Sleep(500 * time.Millisecond)
	s.shut(func() {
		if opened != nil {
			s.wg.Go(func() { opened(k) })
		}
	}, routes)
	time.Sleep(10 * time.Second)
}

// shut stops node 0 for 10 s. Once it continues, it has a route to each of the others after one of routes, or the last.
func (s *swarm) shut(opened func(), routes ...time.Duration) {
	s.nodes[0].m.Freeze()
	time.Sleep(5 * time.Second)
	for i := range s.nodes[1:] {
		s.net.Link(nodeID(0), nodeID(i+1), false)
	}
	time.Sleep(5 * time.Second)
	s.nodes[0].m.Continue()
	opened()
	var passed time.Duration
	for i := range s.nodes[1:] {
		after := routes[min(i, len(routes)-1)]
		time.Sleep(after - passed)
		passed = after
		s.net.Link(nodeID(0), nodeID(i+1), true)
	}
}
