package sched_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

// toldOf notes where k does not end within limit as refused with these words in its message, and that hint.
func (s *swarm) toldOf(k *tracked, limit time.Duration, words, hint string) {
	if !s.until(limit, func() bool { return len(s.ends(k)) > 0 }) {
		s.note("whoever asked is not told %q within %v", words, limit)
		return
	}
	e := s.ends(k)[0].End
	if err := e.Error; e.State != bus.StateFailed || err == nil || err.Code != bus.CodeNoWorker ||
		!strings.Contains(err.Message, words) || !strings.Contains(err.Hint, hint) {
		s.note("whoever asked is told %+v, %v, want %q with the hint %q", e, err, words, hint)
	}
}

// The one node that can run it is drained while tasks wait for it: what runs there ends, whoever sits before a task that
// waits is told why after a moment, and a durable one runs once the node takes work again.
func TestAttachedTaskOfADrainedNode(t *testing.T) {
	t.Parallel()
	takenOut{
		setup: parts(3, theWorker), take: func(s *swarm, out bool) { s.nodes[theWorker].now().node.Drain(out) },
		says: "is draining", try: "myco drain",
	}.play(t)
}

// The one node that can run it stops in good order, and is there again half a minute later: who asks waits for that.
func TestAttachedTaskOfANodeThatStops(t *testing.T) {
	t.Parallel()
	play(t, parts(3, theWorker), func(s *swarm) {
		s.elected()
		long := s.submit(theSubmitter, script{MS: 9000})
		s.running(long)
		asked := s.submit(theSubmitter, script{MS: 10})
		time.Sleep(2 * time.Second)
		s.leaves(theWorker, 10*time.Second)
		time.Sleep(time.Second)
		stops := s.nodes[theSubmitter].now().node.Nodes()
		if _, err := sched.Place(bus.Task{Type: "work"}, stops, nodeID(theSubmitter), "", false); err == nil ||
			!strings.Contains(err.Error(), "is stopping") || strings.Contains(bus.AsError(err).Hint, "drain") {
			s.note("who asks a node that stops is told %v", err)
		}
		time.Sleep(29 * time.Second)
		s.restart(theWorker)
		if !s.until(20*time.Second, func() bool { return len(s.ends(asked)) > 0 }) || s.ends(asked)[0].End.State != bus.StateDone {
			s.note("what waited for a node that was started again ended as %+v", s.ends(asked))
		}
	})
}

// The one node that can run it is gone, and does not come back: nobody waits for ever.
func TestAttachedTaskOfANodeThatIsGone(t *testing.T) {
	t.Parallel()
	c := parts(3, theWorker)
	c.stuck = true
	play(t, c, func(s *swarm) {
		s.elected()
		k := s.submit(theSubmitter, script{MS: 20_000})
		s.running(k)
		s.kill(theWorker)
		time.Sleep(4 * time.Minute)
		if ends := s.ends(k); len(ends) > 0 {
			s.note("it ended as %+v, though the node may be starting", ends[0].End)
		}
		p := s.nodes[theSubmitter].now()
		if i, err := p.node.Task(p.life, k.id); err != nil || i.Warning != "waits: node "+string(nodeID(theWorker))+", which could run it, is lost" {
			s.note("it waits, with the warning %q, %v", i.Warning, err)
		}
		s.toldOf(k, 90*time.Second, "which could run it, is lost", "")
	})
}

// Of two nodes that can run it one is drained, and the other starts anew, and is not ready for a moment yet: that its start took
// long does not count for the drained one.
func TestAttachedTaskOfANodeThatIsBack(t *testing.T) {
	t.Parallel()
	play(t, parts(4, theWorker, theOther), func(s *swarm) {
		s.elected()
		s.nodes[theWorker].now().node.Drain(true)
		time.Sleep(time.Second)
		s.running(s.submit(theSubmitter, script{MS: 60_000}))
		asked := s.submit(theSubmitter, script{MS: 10})
		time.Sleep(4 * time.Second)
		s.kill(theOther)
		time.Sleep(30 * time.Second)
		s.restart(theOther)
		s.nodes[theOther].now().node.Drain(true)
		time.Sleep(4 * time.Second)
		s.nodes[theOther].now().node.Drain(false)
		if !s.until(90*time.Second, func() bool { return len(s.ends(asked)) > 0 }) || s.ends(asked)[0].End.State != bus.StateDone {
			s.note("what waited for a node that was back in a moment ended as %+v", s.ends(asked))
		}
	})
}

// losing is c whose nodes have a model, but for theWorker once gone is set: its engine has but another then.
func losing(c setup, gone *atomic.Bool) setup {
	c.models = func(i int) ([]bus.ModelInfo, []string) {
		if i == theWorker && gone.Load() {
			return []bus.ModelInfo{{Name: "other:1b"}}, []string{"earlier:1b", theModel}
		}
		return []bus.ModelInfo{{Name: theModel}}, nil
	}
	return c
}

func ofModel(t *bus.Task) { t.Model = theModel }

// The one node that can run it has its model no more, and says so, while tasks wait for it: who sits before one is told after a
// moment, as if it were asked now, and a durable one runs once the model is there again.
func TestAttachedTaskOfAModelThatIsRemoved(t *testing.T) {
	t.Parallel()
	var gone atomic.Bool
	takenOut{
		setup: losing(withSlots(1, parts(3, theWorker)), &gone), take: func(_ *swarm, out bool) { gone.Store(out) },
		says: "no node has", of: []option{ofModel},
	}.play(t)
}

// takenOut is that an owner takes out of the swarm's work what alone can run the tasks that wait for it.
type takenOut struct {
	setup
	take      func(s *swarm, out bool)
	says, try string // to who sits before one
	of        []option
}

func (o takenOut) play(t *testing.T) {
	o.stuck = true
	play(t, o.setup, func(s *swarm) {
		s.elected()
		long := s.submit(theSubmitter, script{MS: 9000}, o.of...)
		s.running(long)
		asked, kept := s.submit(theSubmitter, script{MS: 10}, o.of...), s.enqueue(theSubmitter, script{MS: 10}, o.of...)
		time.Sleep(2 * time.Second)
		o.take(s, true)
		time.Sleep(3 * time.Second)
		if ends := s.ends(asked); len(ends) > 0 {
			s.note("it ended at once, as %+v, though it may run again in a moment", ends[0].End)
		}
		s.toldOf(asked, 6*time.Second, o.says, o.try)
		if !s.until(10*time.Second, func() bool { return len(s.ends(long)) > 0 }) || s.ends(long)[0].End.State != bus.StateDone {
			s.note("what ran there ended as %+v", s.ends(long))
		}
		time.Sleep(10 * time.Second)
		if ends := s.ends(kept); len(ends) > 0 {
			s.note("a durable task ended as %+v while nothing could run it", ends[0].End)
		}
		o.take(s, false)
		if !s.until(20*time.Second, func() bool { return len(s.ends(kept)) > 0 }) {
			s.note("a durable task does not run once it could")
		}
	})
}

// Another node has the model, and is busy: whoever asked waits for it, and is told nothing.
func TestAttachedTaskOfAModelThatAnotherNodeHas(t *testing.T) {
	t.Parallel()
	var gone atomic.Bool
	play(t, losing(withSlots(1, parts(4, theWorker, theOther)), &gone), func(s *swarm) {
		s.elected()
		s.running(s.submit(theSubmitter, script{MS: 12_000}, ofModel, pin(nodeID(theOther))))
		asked := s.submit(theSubmitter, script{MS: 10, Retry: string(nodeID(theWorker))}, ofModel)
		time.Sleep(20 * time.Millisecond)
		gone.Store(true)
		if !s.until(20*time.Second, func() bool { return len(s.ends(asked)) > 0 }) || s.ends(asked)[0].End.State != bus.StateDone {
			s.note("what another node could run ended as %+v", s.ends(asked))
		}
	})
}
