package daemon_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// A node that is drained, from another one, hands over the queues, runs nothing more, and takes work
// again when told to.
func TestDrainANode(t *testing.T) {
	t.Parallel()
	a := start(t, "a", withDemo)
	b := start(t, "b", withDemo, joining(a))
	host := settle(t, a, b)
	far, near := a, b
	if host == b.id() {
		far, near = b, a
	}
	n, err := near.conn.Drain(near.ctx(), far.id(), false)
	check(t, err)
	if n.ID != far.id() || n.State != bus.NodeDraining {
		t.Errorf("the reply to drain is %+v", n)
	}
	eventually(t, "the queues are handed over", func() string {
		s, err := near.conn.Status(near.ctx())
		check(t, err)
		for _, n := range s.Nodes {
			if n.ID == far.id() && n.State != bus.NodeDraining {
				return "it is " + string(n.State)
			}
		}
		if s.Swarm.QueueHost != near.id() {
			return "the host is " + string(s.Swarm.QueueHost)
		}
		return ""
	})
	if !diagnose(t, far).Draining || diagnose(t, near).Draining {
		t.Error("the diagnosis does not tell who drains")
	}
	for range 10 {
		paris(t, last(t, far, inference(t)), near)
	}
	_, err = near.conn.Drain(near.ctx(), far.id(), true)
	check(t, err)
	settle(t, a, b)
	task := inference(t)
	task.Node = far.id()
	paris(t, last(t, near, task), far)
	if _, err := near.conn.Drain(near.ctx(), "myco-000000000000", false); !errors.Is(err, &bus.Error{Code: bus.CodeNotFound}) {
		t.Errorf("drain of nobody: %v", err)
	}
}

// A node that has gone is named, with what it is, and not by an answer that did not come.
func TestDrainOfALostNode(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	b := start(t, "b", joining(a))
	settle(t, a, b)
	check(t, b.stop())
	eventually(t, "b is missed", func() string {
		_, err := a.conn.Drain(a.ctx(), b.id(), false)
		if e := bus.AsError(err); err == nil || e.Code != bus.CodeUnavailable || e.Message != "node b is not there: it is lost" {
			return fmt.Sprint(err)
		}
		return ""
	})
}

// What is not dead is neither handed over again nor removed, from whichever node.
func TestRetryOfWhatIsNotDead(t *testing.T) {
	t.Parallel()
	a := start(t, "a", withDemo)
	b := start(t, "b", joining(a))
	settle(t, a, b)
	task := inference(t)
	task.ID = "fine"
	_, err := a.conn.Enqueue(a.ctx(), task)
	check(t, err)
	eventually(t, "it is done", func() string {
		info, err := b.conn.Task(b.ctx(), task.ID)
		check(t, err)
		if info.State != bus.StateDone {
			return string(info.State)
		}
		return ""
	})
	for _, n := range []*node{a, b} {
		if _, err := n.conn.Retry(n.ctx(), task.ID, false); !errors.Is(err, &bus.Error{Code: bus.CodeConflict}) {
			t.Errorf("retry of a task that is done: %v", err)
		}
		if err := n.conn.Remove(n.ctx(), task.ID, false); !errors.Is(err, &bus.Error{Code: bus.CodeConflict}) {
			t.Errorf("removal of a task that is done: %v", err)
		}
		if _, err := n.conn.Retry(n.ctx(), "unknown", false); !errors.Is(err, &bus.Error{Code: bus.CodeNotFound}) {
			t.Errorf("retry of an unknown task: %v", err)
		}
	}
	dead, err := b.conn.Dead(b.ctx())
	check(t, err)
	if len(dead) != 0 {
		t.Errorf("dead tasks: %+v, want none", dead)
	}
}
