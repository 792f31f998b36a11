package sched

import (
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// eventDelay is how long the beginning of a task is kept back from those who watch. A message wakes its
// connection and the server, which would run before the slot that the task is for.
const eventDelay = 5 * time.Millisecond

// events tells those who watch what happens to tasks, in order. No task waits with its beginning for that.
type events struct {
	n *Node

	mu    sync.Mutex
	due   []bus.Event
	timer *time.Timer
	busy  bool // they are being told
}

func (n *Node) event(k bus.EventKind, j *Job, attempt int, reason string) {
	n.events.add(bus.Event{
		Kind: k, Task: j.Task.ID, Type: j.Task.Type, Submitter: j.Submitter, Node: n.cfg.ID, Attempt: attempt,
		Reason: reason, At: n.now(),
	})
	if k != bus.EventQueued && k != bus.EventStarted {
		n.events.tell()
	}
}

func (s *events) add(e bus.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.due = append(s.due, e); len(s.due) > 1 {
		return
	}
	s.timer = time.AfterFunc(eventDelay, func() { s.n.bg.run(s.tell) })
}

// tell tells what is due.
func (s *events) tell() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy {
		return // who tells looks again
	}
	for s.busy = true; len(s.due) > 0; {
		due := s.due
		s.due = nil
		s.mu.Unlock()
		for _, e := range due {
			if err := s.n.fx.Publish(Msg{Subject: bus.SubjectEvent(e.Submitter, e.Task, e.Kind), Data: marshal(e)}); err != nil {
				s.n.log.Debug("publish event", "err", err)
			}
		}
		s.mu.Lock()
	}
	s.busy = false
}

// close tells what is due still. It is called when the background has ended.
func (s *events) close() {
	s.mu.Lock()
	if s.timer != nil {
		s.timer.Stop()
	}
	s.mu.Unlock()
	s.tell()
}
