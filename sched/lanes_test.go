package sched_test

import (
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
	"github.com/mycoswarm/mycoswarm/sched/internal/sim"
)

// theModel is what nodes answer with in the scenarios below.
const theModel = "m:latest"

// question makes a task one to theModel.
func question() option {
	return func(t *bus.Task) { t.Type, t.Model = bus.TypeInference, theModel }
}

// answer makes a node answer questions to theModel from now on.
func (s *swarm) answer(i int) {
	s.can(i, bus.Capability{Type: bus.TypeInference, Slots: s.slots, Models: []bus.ModelInfo{{
		Name: theModel, Loaded: true, Speed: &bus.ModelSpeed{Writing: 10, Reading: 100},
	}}})
}

// turns has two nodes that are as good as each other answer a conversation. Its first turn goes to the one
// that is chosen last of the two, since the other is busy; so do those that follow, unless it is busy.
func turns(s *swarm) {
	s.elected()
	for _, i := range []int{theWorker, theOther} {
		s.answer(i)
	}
	time.Sleep(2 * time.Second)
	ask := func(session string, ms int) *tracked {
		return s.submit(theSubmitter, script{MS: ms, Session: session}, question())
	}
	end := func(k *tracked) {
		if !s.until(20*time.Second, func() bool { return len(s.ends(k)) > 0 }) {
			s.note("task %s does not end", k.id)
		}
	}
	other := ask("other", 1000)
	first := s.running(other)
	var at int
	for i := range 6 {
		k := ask("talk", 200)
		if node := s.running(k); i == 0 {
			at = node
		} else if node != at {
			s.note("turn %d of a conversation went to node %d, and those before it to %d, which is free", i, node, at)
		}
		end(k)
		end(other)
	}
	if at == first {
		s.note("the first turn went to the busy node")
	}
	// The node with its cache is busy for long: the next turn is not kept waiting for it.
	long := ask("talk", 20_000)
	s.running(long)
	k := ask("talk", 200)
	if !s.until(2*time.Second, func() bool { return len(s.ends(k)) > 0 }) {
		s.note("a turn waits for the node with its cache, which is busy for long")
	}
	end(long)
}

// A conversation goes on where its cache is, though the host that knew has died: its submitter tells the next one. Its
// first turn goes to the node that is chosen last of two, since the other is busy.
func TestConversationOutlivesItsHost(t *testing.T) {
	t.Parallel()
	play(t, setup{nodes: 5, slots: 1, rank: map[int]int{theHost: 3}, work: nobody}, func(s *swarm) {
		s.elected()
		for _, i := range []int{theWorker, theOther} {
			s.answer(i)
		}
		time.Sleep(2 * time.Second)
		ask := func(session string, ms int) *tracked {
			return s.submit(theSubmitter, script{MS: ms, Session: session}, question())
		}
		other, talk := ask("other", 1000), ask("talk", 200)
		first, at := s.running(other), s.running(talk)
		if first == at {
			s.note("both went to one node with one slot")
		}
		for range 3 {
			s.until(20*time.Second, func() bool { return len(s.ends(other)) > 0 && len(s.ends(talk)) > 0 })
			s.kill(theHost)
			time.Sleep(5 * time.Second)
			s.restart(theHost)
			time.Sleep(5 * time.Second)
			s.elected()
			talk = ask("talk", 200)
			if node := s.running(talk); node != at {
				s.note("after its host has died a conversation goes on at node %d, and not at %d", node, at)
			}
		}
	})
}

// fill has batch work for all slots of a node, and then somebody asks.
func fill(s *swarm) {
	s.elected()
	for range 8 {
		s.enqueue(theSubmitter, script{MS: 4000})
	}
	time.Sleep(6 * time.Second)
	k := s.submit(theSubmitter, script{MS: 100})
	if !s.until(time.Second, func() bool { return len(s.ends(k)) > 0 }) {
		s.note("whoever asks waits for batch work")
	}
	if n := s.ledger.active(); n != 1 {
		s.note("%d slots of two work on batch, want 1", n)
	}
}

// fillUnheard is fill where no request for work reaches the host: slots look for themselves.
func fillUnheard(s *swarm) {
	s.elected()
	s.net.SetDrop(func(m sim.Traffic) bool { return strings.HasSuffix(m.Subject, ".next") })
	for range 3 {
		s.enqueue(theSubmitter, script{MS: 20_000})
	}
	time.Sleep(18 * time.Second)
	if n := s.ledger.active(); n != 1 {
		s.note("slots that look for themselves work on %d tasks of batch, want 1 of two", n)
	}
	k := s.submit(theSubmitter, script{MS: 100})
	if !s.until(6*time.Second, func() bool { return len(s.ends(k)) > 0 }) {
		s.note("whoever asks waits for batch work, with no host that gives out any")
	}
}

// Slots that are kept for interactive work stay so where they look for work themselves.
func TestLookLeavesReservedSlots(t *testing.T) {
	t.Parallel()
	c := withSlots(2, parts(3, theWorker))
	play(t, c, fillUnheard)
	c.without = []sched.Protection{sched.ProtectReserved}
	if len(simulate(t, c, fillUnheard)) == 0 {
		t.Error("nothing goes wrong without slots that are kept for interactive work")
	}
}

// A node that downloads a model keeps its slots, and is asked after one that is as good and does not.
func TestDownloadCounts(t *testing.T) {
	t.Parallel()
	play(t, setup{nodes: 4, slots: 2, rank: map[int]int{theHost: 3}, work: nobody}, func(s *swarm) {
		s.elected()
		for _, i := range []int{theWorker, theOther} {
			s.answer(i)
			s.can(i, bus.Capability{Type: bus.TypePull, Slots: 2})
		}
		time.Sleep(2 * time.Second)
		asks := func(want int) {
			k := s.submit(theSubmitter, script{MS: 100}, question()) // of no conversation
			if at := s.running(k); at != want {
				s.note("a question went to node %d, want %d", at, want)
			}
			s.until(2*time.Second, func() bool { return len(s.ends(k)) > 0 })
		}
		asks(theWorker) // of two that are equal
		pull := s.submit(theSubmitter, script{MS: 5000}, pin(nodeID(theWorker)), func(t *bus.Task) { t.Type = bus.TypePull })
		s.running(pull)
		time.Sleep(200 * time.Millisecond)
		asks(theOther)
		if i := s.nodes[theHost].now().node.View().Peers[nodeID(theWorker)].Info; i.Busy != 0 || i.Slots != 2 {
			s.note("a node that downloads has %d of %d slots busy, want none", i.Busy, i.Slots)
		}
		s.until(10*time.Second, func() bool { return len(s.ends(pull)) > 0 })
		asks(theWorker)
	})
}

// Slots of plugins and programs count as the node's, and are none for models.
func TestSlotsForModels(t *testing.T) {
	t.Parallel()
	play(t, setup{nodes: 2, slots: 2, work: nobody}, func(s *swarm) {
		s.elected()
		s.answer(1)
		s.can(1, bus.Capability{Type: "paint", Slots: 3})
		told := func() bus.NodeInfo { return s.nodes[0].now().node.View().Peers[nodeID(1)].Info }
		if !s.until(2*time.Second, func() bool { i := told(); return i.Slots == 5 && i.ModelSlots == 2 }) {
			s.note("it tells of %d slots, %d of them for models, want 5 and 2", told().Slots, told().ModelSlots)
		}
	})
}
