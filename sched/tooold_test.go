package sched_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

// Nodes of a swarm with one of version 1, which knows of nothing that is too large for a message.
const newHost, newer, older = 0, 1, 2

func withOlder(rank int) setup {
	return setup{
		nodes: 3, rank: map[int]int{newHost: 1, newer: -1, older: rank},
		wires: map[int]bus.Wire{older: {Version: 1, Oldest: 1}}, work: func(int) bool { return false },
	}
}

// mirrors makes node i mirror, and returns when all know.
func (s *swarm) mirrors(i int) {
	s.mirror(i)
	for _, m := range s.nodes {
		s.until(5*time.Second, func() bool {
			for _, n := range m.now().node.Nodes() {
				if can, _ := sched.Runs(n, bus.Key{Class: "mirror"}); can && n.ID == s.nodes[i].id {
					return true
				}
			}
			return false
		})
	}
}

// refusesLarge wants node from to take no large attached task, and to say with a durable one what it
// waits for: each names the older node.
func (s *swarm) refusesLarge(from int) {
	p := s.nodes[from].now()
	old := string(s.nodes[older].id)
	_, _, err := p.node.Submit(bus.Task{Type: "mirror", Payload: big})
	if e := bus.AsError(err); !errors.Is(err, &bus.Error{Code: bus.CodeTooLarge}) || !strings.Contains(e.Message, old) || !strings.Contains(e.Hint, old) {
		s.note("attached: %v, want %s naming %s", err, bus.CodeTooLarge, old)
	}
	r, err := p.node.Enqueue(p.life, bus.Task{ID: "large", Type: "mirror", Payload: big}, 2)
	if err != nil || !strings.Contains(r.Warning, old) {
		s.note("durable: %+v, %v, want a warning naming %s", r, err, old)
	}
}

// A large task goes past a worker of version 1, and to the first that knows of them.
func TestLargeGoesPastAnOlderWorker(t *testing.T) {
	t.Parallel()
	play(t, withOlder(-1), func(s *swarm) {
		s.elected()
		s.mirrors(older)
		s.refusesLarge(newHost)
		time.Sleep(20 * time.Second)
		p := s.nodes[newHost].now()
		info, err := p.node.Task(p.life, "large")
		if err != nil || info.State != bus.StateQueued || info.Attempts != 0 || !strings.Contains(info.Warning, string(s.nodes[older].id)) {
			s.note("it waits: %+v, %v", info, err)
		}
		s.mirrors(newer)
		if info := s.wholeAt(newHost, "large"); info.NodeID != s.nodes[newer].id || info.Attempts != 1 {
			s.note("it ran at %s, %d times", info.NodeID, info.Attempts)
		}
	})
}

// A queue host of version 1 could not hand out a large task, and its submitter says so at once. (This
// one is of this version, and only says that it is not.)
func TestLargeIsRefusedUnderAnOlderHost(t *testing.T) {
	t.Parallel()
	play(t, withOlder(2), func(s *swarm) {
		if h := s.elected(); h != older {
			s.note("node %d hosts", h)
		}
		s.mirrors(newer)
		s.refusesLarge(newHost)
	})
}

// grower returns a large result for a small payload.
type grower struct{}

func (grower) Capability(context.Context) (bus.Capability, error) {
	return bus.Capability{Type: "mirror", Slots: 1}, nil
}

func (grower) Handle(context.Context, *bus.Task, bus.Emit) (any, error) { return big, nil }

// A submitter of version 1 would take a large result for an empty one: its task fails, and says which
// node to upgrade.
func TestLargeResultForAnOlderSubmitter(t *testing.T) {
	t.Parallel()
	play(t, withOlder(-1), func(s *swarm) {
		s.elected()
		w := s.nodes[newer].now()
		if _, err := w.node.Handle(w.life, grower{}); err != nil {
			s.note("handle: %v", err)
		}
		p, old := s.nodes[older].now(), string(s.nodes[older].id)
		s.until(5*time.Second, func() bool {
			_, ok := sched.CanRun(bus.Key{Class: "mirror"}, p.node.Nodes())
			return ok
		})
		if _, _, err := p.node.Submit(bus.Task{ID: "attached", Type: "mirror"}); err != nil {
			s.note("submit: %v", err)
		}
		if _, err := p.node.Enqueue(p.life, bus.Task{ID: "durable", Type: "mirror"}, 2); err != nil {
			s.note("enqueue: %v", err)
		}
		for _, id := range []bus.TaskID{"attached", "durable"} {
			var info bus.TaskInfo
			s.until(30*time.Second, func() bool {
				info, _ = p.node.Task(p.life, id)
				return info.State.Terminal()
			})
			if e := info.Error; info.State != bus.StateFailed || info.ResultBlob != nil || e == nil || e.Code != bus.CodeTooLarge || !strings.Contains(e.Message, old) {
				s.note("%s is %s: %v, want %s naming %s", id, info.State, info.Error, bus.CodeTooLarge, old)
			}
		}
	})
}
