package sched_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
	"github.com/mycoswarm/mycoswarm/sched/internal/sim"
)

// keptWhile is three parts, whose worker its owner keeps while closed is set.
func keptWhile(closed *atomic.Bool) setup {
	c := parts(3, theWorker)
	c.owner = func(i int) *bus.OwnerUse {
		if i != theWorker || !closed.Load() {
			return nil
		}
		return &bus.OwnerUse{Closed: true, Why: "until 17:00"}
	}
	return c
}

// What runs when a machine is closed finishes; what others send then waits, and says why, while the
// owner's own runs there; once it is open again the rest runs.
func TestClosedMachineRunsItsOwn(t *testing.T) {
	t.Parallel()
	var closed atomic.Bool
	play(t, keptWhile(&closed), func(s *swarm) {
		s.elected()
		long := s.enqueue(theSubmitter, script{MS: 4000})
		s.running(long)
		closed.Store(true)
		heard := func() bool {
			o := s.nodes[theSubmitter].now().node.View().Peers[nodeID(theWorker)].Info.Owner
			return o != nil && o.Closed
		}
		if !s.until(time.Second, heard) {
			s.note("who submits has not heard of it within a second")
		}
		wait := []*tracked{s.enqueue(theSubmitter, script{MS: 10}), s.enqueue(theHost, script{MS: 10})}
		own := s.enqueue(theWorker, script{MS: 10})
		if !s.until(20*time.Second, func() bool { return len(s.ends(own)) > 0 }) {
			s.note("the owner's own task does not run")
		}
		s.ranOnce("it ran when the machine was closed", long.id)
		p := s.nodes[theSubmitter].now()
		for _, k := range wait {
			info, err := p.node.Task(p.life, k.id)
			if err != nil || info.State != bus.StateQueued || !strings.Contains(info.Warning, "is closed until 17:00") {
				s.note("a task of another is %s, warning %q, %v", info.State, info.Warning, err)
			}
		}
		closed.Store(false)
		for _, k := range wait {
			if !s.until(20*time.Second, func() bool { return len(s.ends(k)) > 0 }) {
				s.note("a task that waited does not run on the machine that is open again")
			}
		}
	})
}

func TestPlaceOnClosedNodes(t *testing.T) {
	t.Parallel()
	closed := func(n *bus.NodeInfo) { n.Owner = &bus.OwnerUse{Closed: true, Why: "on battery"} }
	alpha, beta := engine(a, "alpha", model("small:1b", 1, true)), with(engine(b, "beta", model("large:14b", 9, true)), closed)
	beta.Types = append(beta.Types, bus.TypePing)
	nodes := []bus.NodeInfo{alpha, beta}
	ask := bus.Task{Type: bus.TypeInference}
	if p, err := sched.Place(ask, nodes, a, "", false); err != nil || p.Task.Model != "small:1b" {
		t.Errorf("another's question is for %q, %v; want the model of the open node", p.Task.Model, err)
	}
	if p, err := sched.Place(ask, nodes, b, "", false); err != nil || p.Task.Model != "large:14b" {
		t.Errorf("the owner's question is for %q, %v; want the model of its own node", p.Task.Model, err)
	}
	for name, task := range map[string]bus.Task{
		"by its model": {Type: bus.TypeInference, Model: "large:14b"},
		"by a pin":     {Type: bus.TypeInference, Node: b},
	} {
		_, err := sched.Place(task, nodes, a, "", false)
		if err == nil || bus.AsError(err).Code != bus.CodeNoWorker || !strings.HasPrefix(bus.AsError(err).Message, "node beta is closed: on battery") {
			t.Errorf("%s: %v, want that beta is closed", name, err)
		}
	}
	if p, err := sched.Place(bus.Task{Type: bus.TypeInference, Node: b}, nodes, a, "", true); err != nil || p.Task.Model != "large:14b" {
		t.Errorf("a durable question that is pinned is for %q, %v; want that it waits, for the model of the closed node", p.Task.Model, err)
	}
	beta.Types = append(beta.Types, bus.TypePull)
	_, err := sched.Place(bus.Task{Type: bus.TypePull, Node: b}, []bus.NodeInfo{alpha, beta}, a, "", false)
	if e := bus.AsError(err); e == nil || e.Code != bus.CodeNoWorker || strings.Contains(e.Hint, "ask") || !strings.Contains(e.Hint, "myco swarm") {
		t.Errorf("a pull to a closed node: %+v, want a hint of what can be done with a pull", e)
	}
	if _, err := sched.Place(bus.Task{Type: bus.TypePing, Node: b}, nodes, a, "", false); err != nil {
		t.Errorf("a ping to a closed node: %v", err)
	}
}

// What others pin to a closed machine stays in the queue: it is not handed there to be declined, and the
// owner's own passes it.
func TestPinsStayAwayFromClosedMachine(t *testing.T) {
	t.Parallel()
	var handed atomic.Int64
	play(t, kept(parts(3, theWorker)), func(s *swarm) {
		s.elected()
		s.net.SetDrop(func(m sim.Traffic) bool {
			if m.Op == "Hand" && m.Ack != "" && m.To == nodeID(theWorker) {
				handed.Add(1)
			}
			return false
		})
		k := s.enqueue(theSubmitter, script{MS: 10}, pin(nodeID(theWorker)))
		time.Sleep(12 * time.Second)
		if n := handed.Load(); n > 0 {
			s.note("a closed machine was handed %d times what others had pinned to it", n)
		}
		own := s.enqueue(theWorker, script{MS: 10}, pin(nodeID(theWorker)))
		if !s.until(20*time.Second, func() bool { return len(s.ends(own)) > 0 }) {
			s.note("the owner's own task does not run")
		}
		time.Sleep(12 * time.Second)
		if n := handed.Load(); n > 1 {
			s.note("a closed machine was handed %d tasks, want the owner's own", n)
		}
		p := s.nodes[theSubmitter].now()
		info, err := p.node.Task(p.life, k.id)
		if err != nil || info.State != bus.StateQueued || !strings.Contains(info.Warning, "is closed until 17:00") {
			s.note("what another has pinned is %s, warning %q, %v", info.State, info.Warning, err)
		}
		if _, _, err := p.node.Submit(bus.Task{Type: "work", Node: nodeID(theWorker)}); err == nil || bus.AsError(err).Hint == "" ||
			!strings.Contains(err.Error(), "is closed until 17:00") {
			s.note("an attached task that is pinned there: %v", err)
		}
		if err := s.cancel(theSubmitter, k.id); err != nil {
			s.note("cancel: %v", err)
		}
	})
}

// A machine is closed while tasks that are pinned to it wait: whoever sits before one is told why, and a
// durable one waits on.
func TestPinThatWaitsWhenItsMachineIsClosed(t *testing.T) {
	t.Parallel()
	var closed atomic.Bool
	play(t, keptWhile(&closed), func(s *swarm) {
		s.elected()
		long := s.submit(theSubmitter, script{MS: 10_000}, pin(nodeID(theWorker)))
		s.running(long)
		asked := s.submit(theSubmitter, script{MS: 10}, pin(nodeID(theWorker)))
		kept := s.enqueue(theSubmitter, script{MS: 10}, pin(nodeID(theWorker)))
		own := s.submit(theWorker, script{MS: 10}, pin(nodeID(theWorker)))
		time.Sleep(2 * time.Second)
		closed.Store(true)
		if !s.until(3*time.Second, func() bool { return len(s.ends(asked)) > 0 }) {
			s.note("whoever asked is not told that the machine is closed")
		}
		for _, e := range s.ends(asked) {
			if err := e.End.Error; e.End.State != bus.StateFailed || err == nil || err.Code != bus.CodeNoWorker ||
				!strings.Contains(err.Message, "is closed until 17:00") || !strings.Contains(err.Hint, "myco ask --detach") {
				s.note("whoever asked is told %+v, %v", e.End, err)
			}
		}
		for _, k := range []*tracked{long, own} { // the second at once: it does not wait until its slot looks for work itself
			if !s.until(10*time.Second, func() bool { return len(s.ends(k)) > 0 }) || s.ends(k)[0].End.State != bus.StateDone {
				s.note("what ran, or is the owner's own, ended as %+v", s.ends(k))
			}
			if at := time.Since(long.submitted); at > 12*time.Second {
				s.note("it ended after %v, want about 10 s", at)
			}
		}
		closed.Store(false)
		if !s.until(20*time.Second, func() bool { return len(s.ends(kept)) > 0 }) {
			s.note("a durable task that waited does not run on the machine that is open again")
		}
	})
}

// A machine is put out of the swarm while tasks that are pinned to it wait or run there: all end, and say why,
// durable ones too, for it never comes back. What may run elsewhere does.
func TestPinToAMachineThatIsPutOut(t *testing.T) {
	t.Parallel()
	var out atomic.Bool
	c := parts(4, theWorker, theOther)
	c.putOut = func(id bus.NodeID) (string, bool) { return "tower", out.Load() && id == nodeID(theWorker) }
	play(t, c, func(s *swarm) {
		s.elected()
		runs := s.submit(theSubmitter, script{MS: 10_000}, pin(nodeID(theWorker)))
		s.running(runs)
		pinned := []*tracked{
			runs, s.submit(theSubmitter, script{MS: 10}, pin(nodeID(theWorker))),
			s.enqueue(theSubmitter, script{MS: 10}, pin(nodeID(theWorker))),
		}
		out.Store(true)
		s.killForGood(theWorker)
		free := s.enqueue(theSubmitter, script{MS: 10})
		for _, k := range pinned {
			if !s.until(10*time.Second, func() bool { return len(s.ends(k)) > 0 }) {
				s.note("task %s waits for a node that was put out", k.id)
				continue
			}
			if e := s.ends(k)[0].End; e.State != bus.StateFailed || e.Error == nil || e.Error.Code != bus.CodeNoWorker ||
				!strings.HasPrefix(e.Error.Message, "node tower was put out of the swarm") || !strings.Contains(e.Error.Hint, "myco swarm") {
				s.note("task %s ended as %+v, %v", k.id, e, e.Error)
			}
		}
		if !s.until(10*time.Second, func() bool { return len(s.ends(free)) > 0 }) {
			s.note("a task that is pinned nowhere does not run")
		}
	})
}

// What a machine had handed over for itself alone ends when it is put out: its custodian sees to that.
func TestOwnTasksOfAMachineThatIsPutOut(t *testing.T) {
	t.Parallel()
	var out atomic.Bool
	c := parts(4, theWorker, theOther)
	c.putOut = func(id bus.NodeID) (string, bool) { return "tower", out.Load() && id == nodeID(theWorker) }
	play(t, c, func(s *swarm) {
		s.elected()
		s.nodes[theWorker].now().node.Drain(true)
		k := s.enqueue(theWorker, script{MS: 10}, pin(nodeID(theWorker)))
		out.Store(true)
		s.killForGood(theWorker)
		if end := s.untilDead(theSubmitter, k.id); end.State != bus.StateFailed || end.Error == nil || end.Error.Code != bus.CodeNoWorker {
			s.note("task %s ended as %+v, %v", k.id, end, end.Error)
		}
	})
}

// A machine has ended a task that was pinned to it, and is put out of the swarm, while one that keeps the task is away:
// that asks for the end before it writes another, though the submitter's first question stays without an answer, and the
// custodian hears neither the submitter nor who stood in for it at once.
func TestEndFromAMachineThatIsPutOut(t *testing.T) {
	t.Parallel()
	isNews := func(m sim.Traffic) bool {
		return strings.HasSuffix(m.Subject, ".heartbeat") && m.From == nodeID(theSubmitter) || m.Op == "PutEnd" && !m.Answer
	}
	for away, missed := range map[int]func(sim.Traffic) bool{theSubmitter: isInbox, theHost: isNews} {
		var out atomic.Bool
		c := parts(4, theWorker, theOther)
		c.putOut = func(id bus.NodeID) (string, bool) { return "tower", out.Load() && id == nodeID(theWorker) }
		play(t, c, func(s *swarm) {
			s.elected()
			k := s.enqueue(theSubmitter, script{MS: 2000}, pin(nodeID(theWorker)))
			s.running(k)
			s.kill(away)
			keeper := theHost + theSubmitter - away
			if !s.until(10*time.Second, func() bool { return len(s.nodes[keeper].endsAt(k.id)) > 0 }) {
				s.note("it does not end")
			}
			s.elected()
			out.Store(true)
			s.killForGood(theWorker)
			start := time.Now()
			s.to(away, func(m sim.Traffic) bool { return missed(m) && time.Since(start) < 600*time.Millisecond })
			s.restart(away)
			time.Sleep(5 * time.Second)
			if ends := s.nodes[away].endsAt(k.id); len(ends) == 0 || ends[0].State != bus.StateDone {
				s.note("node %d, which was away, has it as %+v", away, ends)
			}
		})
	}
}

// A submitter is back, and knows that the machine to which a task is pinned was put out, but does not hear the custodian,
// which may know its end: that one is waited for, also where another has taken its place, until it was put out too, or for
// as long as ends are kept.
func TestEndThatTheCustodianAloneKnows(t *testing.T) {
	t.Parallel()
	const custodianBack, custodianPutOut, tooLong = 0, 1, 2
	for what, want := range map[int]bus.TaskState{custodianBack: bus.StateDone, custodianPutOut: bus.StateFailed, tooLong: bus.StateFailed} {
		for _, alone := range []bool{true, false} {
			var out, custodianOut atomic.Bool
			c := parts(4, theWorker)
			c.twoEnds = want != bus.StateDone // what the custodian knew is lost with it
			c.putOut = func(id bus.NodeID) (string, bool) {
				return "tower", out.Load() && id == nodeID(theWorker) || custodianOut.Load() && id == nodeID(theHost)
			}
			c.retention = time.Hour
			if what == tooLong {
				c.retention = 90 * time.Second
			}
			play(t, c, func(s *swarm) {
				k := s.endedBehind(theHost, pin(nodeID(theWorker)))
				if !alone {
					s.restart(theOther)
				}
				out.Store(true)
				s.restart(theSubmitter)
				time.Sleep(time.Minute)
				if ends := s.nodes[theSubmitter].endsAt(k.id); len(ends) > 0 {
					s.note("it ends without its custodian as %+v", ends[0])
				}
				s.waitsFor(k, "held back: node tower", "which is away, may know its end", "myco task cancel "+string(k.id))
				switch what {
				case custodianBack:
					s.restart(theHost)
				case custodianPutOut:
					custodianOut.Store(true)
				}
				s.endsAs(theSubmitter, k, want, 40*time.Second)
			})
		}
	}
}

// waitsFor notes where node theSubmitter does not tell each of words of what task k waits for.
func (s *swarm) waitsFor(k *tracked, words ...string) {
	i, err := s.nodes[theSubmitter].now().node.Task(context.Background(), k.id)
	for _, w := range words {
		if err != nil || !strings.Contains(i.Warning, w) {
			s.note("task %s tells %q, error %v: want %q in it", k.id, i.Warning, err, w)
		}
	}
}

// A closed machine whose host does not hear it looks for its own tasks, and takes nothing of others on the
// way that it would have to give back.
func TestClosedMachineLooksForItsOwn(t *testing.T) {
	t.Parallel()
	var back atomic.Int64
	play(t, kept(parts(3, theWorker)), func(s *swarm) {
		s.elected()
		s.net.SetDrop(func(m sim.Traffic) bool {
			if m.Op == "Nak" && m.From == nodeID(theWorker) {
				back.Add(1)
			}
			return m.From == nodeID(theWorker) && strings.HasSuffix(m.Subject, ".next")
		})
		other := s.enqueue(theSubmitter, script{MS: 10})
		time.Sleep(time.Second)
		for range 2 {
			own := s.enqueue(theWorker, script{MS: 10})
			if !s.until(20*time.Second, func() bool { return len(s.ends(own)) > 0 }) {
				s.note("the owner's own task does not run")
			}
		}
		if n := back.Load(); n > 0 {
			s.note("it took tasks of others %d times, and gave them back", n)
		}
		if err := s.cancel(theSubmitter, other.id); err != nil {
			s.note("cancel: %v", err)
		}
	})
}
