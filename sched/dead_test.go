package sched_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
	"github.com/mycoswarm/mycoswarm/sched/internal/sim"
)

// A dead task stays on both disks, with its content, for longer than other ends do; each of the two
// nodes can hand it over again, and removing it removes it.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	bad := simulate(t, setup{nodes: 4, retention: time.Minute}, func(s *swarm) {
		ctx := context.Background()
		from := s.another(s.elected())
		fine := s.enqueue(from, script{MS: 10})
		poison := s.enqueue(from, script{MS: 60, Poison: true})
		ended := s.untilDead(from, poison.id)
		if ended.State != bus.StateDead || ended.Attempts != maxCrashes { // what buries it is none
			s.note("the poison task: %+v", ended)
		}
		if runs := s.ledger.of(poison.id); ended.NodeID != runs[len(runs)-1].node {
			s.note("the poison task is told to have run last on %s: %v", ended.NodeID, runs)
		}
		time.Sleep(12 * time.Minute)
		s.awake()
		if _, err := s.nodes[from].now().node.Task(ctx, fine.id); !errors.Is(err, &bus.Error{Code: bus.CodeNotFound}) {
			s.note("the task that was done is kept for longer than the retention: %v", err)
		}
		holders, missing, err := s.nodes[from].now().node.Holders(ctx, poison.id)
		if err != nil || len(missing) > 0 || len(holders) < 2 || !slices.Contains(holders, nodeID(from)) {
			s.note("the dead task is kept by %v, error %v", holders, err)
		}
		retried := 0
		for i, n := range s.nodes {
			if !slices.Contains(holders, nodeID(i)) {
				if _, err := n.now().node.Retry(ctx, poison.id); !errors.Is(err, sched.ErrNotFound) {
					s.note("node %d hands over what it does not keep: %v", i, err)
				}
				continue
			}
			r, err := n.now().node.Retry(ctx, poison.id)
			if again, err2 := n.now().node.Retry(ctx, poison.id); err == nil && (err2 != nil || again.ID != r.ID) {
				s.note("done twice, retry is two tasks: %s and %s, error %v", r.ID, again.ID, err2)
			}
			if errors.Is(err, sched.ErrNotFound) && i != from {
				continue // it stood in for a custodian, and has the end alone
			}
			retried++
			if err != nil || !r.Accepted || r.ID == poison.id {
				s.note("retry at node %d: %+v, error %v", i, r, err)
				continue
			}
			// The same content: it kills again.
			if again := s.untilDead(i, r.ID); again.State != bus.StateDead || again.Attempts != maxCrashes {
				s.note("the task that was handed over again at node %d: %+v", i, again)
			}
		}
		if retried < 2 {
			s.note("%d nodes could hand it over again, want its submitter and its custodian", retried)
		}
		for i, n := range s.nodes {
			if err := n.now().node.Remove(ctx, poison.id); err != nil && !errors.Is(err, sched.ErrNotFound) {
				s.note("remove at node %d: %v", i, err)
			}
			if err := n.now().node.Remove(ctx, fine.id); !errors.Is(err, sched.ErrNotFound) {
				s.note("node %d removes what is not there: %v", i, err)
			}
		}
		for i := range s.nodes {
			s.kill(i)
			s.restart(i)
		}
		s.elected()
		if _, err := s.nodes[from].now().node.Task(ctx, poison.id); !errors.Is(err, &bus.Error{Code: bus.CodeNotFound}) {
			s.note("the removed task is back: %v", err)
		}
		s.mu.Lock()
		s.tasks = nil // they are gone, as they should
		s.mu.Unlock()
	})
	for _, b := range bad {
		t.Error(b)
	}
}

// A task that has not died is neither handed over again nor removed.
func TestOnlyTheDeadAreRetried(t *testing.T) {
	t.Parallel()
	bad := simulate(t, setup{nodes: 2}, func(s *swarm) {
		ctx := context.Background()
		h := s.elected()
		k := s.enqueue(h, script{MS: 2000})
		for range 2 { // while it runs, and when it is done
			if _, err := s.nodes[h].now().node.Retry(ctx, k.id); !errors.Is(err, &bus.Error{Code: bus.CodeConflict}) {
				s.note("retry: %v", err)
			}
			if err := s.nodes[h].now().node.Remove(ctx, k.id); !errors.Is(err, &bus.Error{Code: bus.CodeConflict}) {
				s.note("remove: %v", err)
			}
			time.Sleep(5 * time.Second)
		}
	})
	for _, b := range bad {
		t.Error(b)
	}
}

// untilDead restarts what dies until a task has ended, and returns what became of it.
func (s *swarm) untilDead(at int, id bus.TaskID) (t bus.TaskInfo) {
	for range 200 {
		time.Sleep(300 * time.Millisecond)
		s.awake()
		t, err := s.nodes[at].now().node.Task(context.Background(), id)
		if err == nil && t.State.Terminal() {
			return t
		}
	}
	return t
}

// keepers returns the nodes whose store has something of a task.
func (s *swarm) keepers(id bus.TaskID) (ids []bus.NodeID) {
	for _, n := range s.nodes {
		if slices.ContainsFunc(n.m.Kept(), func(k sched.Kept) bool { return k.Task == id }) {
			ids = append(ids, n.id)
		}
	}
	return ids
}

// awake restarts every node that is down, and waits for a host.
func (s *swarm) awake() {
	for i := range s.nodes {
		s.restart(i)
	}
	s.elected()
}

// A disk without room takes no durable task, its own or another's; attached ones go on.
func TestNoRoomForDurableTasks(t *testing.T) {
	t.Parallel()
	full := bus.Errorf(bus.CodeNoSpace, "full")
	bad := simulate(t, setup{nodes: 3, room: func(i int) error {
		if i == 0 {
			return full
		}
		return nil
	}}, func(s *swarm) {
		s.elected()
		time.Sleep(2 * time.Second) // the others hear of it
		if k := s.enqueue(0, script{MS: 10}); !errors.Is(k.err, full) {
			s.note("a full disk takes a durable task: %v", k.err)
		}
		for range 5 {
			for _, i := range []int{1, 2} {
				k := s.enqueue(i, script{MS: 10})
				holders := s.keepers(k.id)
				if len(holders) != 2 || slices.Contains(holders, nodeID(0)) {
					s.note("a durable task of node %d is kept by %v", i, holders)
				}
			}
		}
		s.submit(0, script{MS: 10})
	})
	for _, b := range bad {
		t.Error(b)
	}
}

// Payloads are bounded as a whole, and by number; what ends makes room.
func TestOpenTasksAreBounded(t *testing.T) {
	t.Parallel()
	bad := simulate(t, setup{nodes: 1, slots: 1}, func(s *swarm) {
		s.elected()
		s.net.SetDrop(func(m sim.Traffic) bool { return m.Op == "Hand" }) // they stay open
		n := s.nodes[0].now().node
		big := make([]byte, bus.MaxInline-2)
		for i := range big {
			big[i] = 'x'
		}
		task := bus.Task{Type: "work", Payload: []byte(`"` + string(big) + `"`)}
		var outs []*sched.Output
		taken := 0
		for {
			out, _, err := n.Submit(task)
			if err != nil {
				if !errors.Is(err, &bus.Error{Code: bus.CodeBusy}) {
					s.note("refused with %v", err)
				}
				break
			}
			outs = append(outs, out)
			if taken++; taken > 1000 {
				s.note("%d tasks of %d bytes were taken", taken, bus.MaxInline)
				break
			}
		}
		s.net.SetDrop(nil)
		small := s.submit(0, script{MS: 1})
		if small.err != nil {
			s.note("a small task is refused beside big ones: %v", small.err)
		}
		for _, out := range outs { // they fail: the payload is no script
			for {
				c, err := out.Next(context.Background())
				if err != nil || c.End != nil {
					break
				}
			}
		}
		if _, _, err := n.Submit(task); err != nil {
			s.note("refused when all have ended: %v", err)
		}
		time.Sleep(time.Second)
	})
	for _, b := range bad {
		t.Error(b)
	}
}
