package sched_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/sched/internal/sim"
)

// An idle node looks for work with all of its slots, and asks its host once a second for all of them.
func TestIdleSlotsLookTogether(t *testing.T) {
	t.Parallel()
	const nodes, slots, seconds = 3, 8, 20
	var lists, fetches atomic.Int64
	c := setup{nodes: nodes, slots: slots}
	c.net.Trace = func(m sim.Traffic, _ bool) {
		switch {
		case m.Answer:
		case m.Op == "Keys":
			lists.Add(1)
		case m.Op == "Fetch":
			fetches.Add(1)
		}
	}
	play(t, c, func(s *swarm) {
		s.enqueue(s.elected(), script{MS: 1}) // its queue stays, without a message
		time.Sleep(10 * time.Second)
		lists.Store(0)
		fetches.Store(0)
		time.Sleep(seconds * time.Second)
		if n := lists.Load(); n < nodes*(seconds-1) || n > nodes*(seconds+1) {
			s.note("%d nodes of %d slots listed the queues %d times in %d s, want once a second each", nodes, slots, n, seconds)
		}
		if n := fetches.Load(); n > 0 {
			s.note("%d times a slot looked into a queue without a message", n)
		}
	})
}
