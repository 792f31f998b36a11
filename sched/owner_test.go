package sched_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

// What runs when a machine is closed finishes; what others send then waits, and says why, while the
// owner's own runs there; once it is open again the rest runs.
func TestClosedMachineRunsItsOwn(t *testing.T) {
	t.Parallel()
	var closed atomic.Bool
	c := parts(3, theWorker)
	c.owner = func(i int) *bus.OwnerUse {
		if i != theWorker || !closed.Load() {
			return nil
		}
		return &bus.OwnerUse{Closed: true, Why: "until 17:00"}
	}
	play(t, c, func(s *swarm) {
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
	if _, err := sched.Place(bus.Task{Type: bus.TypePing, Node: b}, nodes, a, "", false); err != nil {
		t.Errorf("a ping to a closed node: %v", err)
	}
}
