package sched_test

import (
	"context"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// A node that has said goodbye is not taken for one that lives, or was lost, because it answers a
// question before its process ends; and whoever lives has heard the goodbye when Leave returns.
func TestGoodbyeIsFinal(t *testing.T) {
	t.Parallel()
	play(t, parts(3, theHost), func(s *swarm) {
		s.elected()
		s.enqueue(theHost, script{MS: 15_000}) // it is asked for again and again
		time.Sleep(2 * time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		s.nodes[theWorker].now().node.Leave(ctx)
		id := s.nodes[theWorker].id
		left := func(i int) bool { p := s.nodes[i].now().node.View().Peers[id]; return p.Left && !p.Live() }
		for _, i := range []int{theHost, theSubmitter} {
			if !left(i) {
				s.note("node %d has not heard the goodbye when it was said", i)
			}
		}
		for range 1000 {
			time.Sleep(10 * time.Millisecond) // of the simulated clock: it is asked three times
			if !left(theHost) || !left(theSubmitter) {
				s.note("a node that has said goodbye counts as there again")
				break
			}
		}
		s.kill(theWorker)
	})
}

// A task whose workers stop in good order, one after the other, has not killed them.
func TestGoodbyeIsNoCrash(t *testing.T) {
	t.Parallel()
	play(t, parts(6, 2, 3, 4, 5), func(s *swarm) {
		s.elected()
		k := s.enqueue(theSubmitter, script{MS: 15_000})
		for range maxCrashes {
			w := s.running(k)
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			s.nodes[w].now().node.Leave(ctx)
			cancel()
			s.kill(w)
			time.Sleep(3 * time.Second)
		}
		time.Sleep(20 * time.Second)
		if n := len(s.ledger.of(k.id)); n != maxCrashes+1 {
			s.note("task %s ran %d times, want %d", k.id, n, maxCrashes+1)
		}
		s.allEnded()
	})
}

// What runs on a node that drains ends though the host is gone and nobody else would host; who comes back does.
func TestDrainsWithoutAHost(t *testing.T) {
	t.Parallel()
	play(t, setup{nodes: 2, slots: 1, rank: map[int]int{0: 1}, work: func(i int) bool { return i == 1 }}, func(s *swarm) {
		s.elected()
		k := s.submit(1, script{MS: 4000})
		s.running(k)
		s.nodes[1].now().node.Drain(true)
		time.Sleep(time.Second)
		s.kill(0)
		if !s.until(8*time.Second, func() bool { return len(s.ends(k)) > 0 }) {
			s.note("task %s does not end", k.id)
		}
		s.restart(0)
		if !s.until(10*time.Second, func() bool { return s.host() == 0 }) {
			s.note("a node that drains goes on as host")
		}
		s.nodes[1].now().node.Drain(false)
	})
}

// Who asked on a node that leaves has its answer, though whoever was writing that dies meanwhile.
func TestLeavingWaitsForAnAnswerThatBeginsAgain(t *testing.T) {
	t.Parallel()
	play(t, parts(5, 3, 4), func(s *swarm) {
		s.elected()
		k := s.submit(theSubmitter, script{MS: 2000})
		w := s.running(k)
		time.Sleep(time.Second) // of the simulated clock
		n := s.nodes[theSubmitter].now().node
		left := make(chan struct{})
		go func() {
			defer close(left)
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			n.Leave(ctx)
		}()
		time.Sleep(500 * time.Millisecond)
		n.Drain(false)
		if !n.Draining() {
			s.note("a node that leaves takes work again")
		}
		s.kill(w)
		<-left
		if ends := s.ends(k); len(ends) != 1 || ends[0].End.State != bus.StateDone {
			s.note("the node has left before the answer of task %s was there: %+v", k.id, ends)
		}
	})
}
