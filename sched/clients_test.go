package sched_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

type option func(*bus.Task)

func timeout(d time.Duration) option { return func(t *bus.Task) { t.Timeout = d } }
func pin(id bus.NodeID) option       { return func(t *bus.Task) { t.Node = id } }
func named(id bus.TaskID) option     { return func(t *bus.Task) { t.ID = id } }

func (s *swarm) task(i int, sc script, durable bool, opts []option) (*tracked, bus.Task, *process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.large && len(s.tasks)%3 == 0 {
		sc.Pad, sc.Wide = pad, durable
	}
	data, err := json.Marshal(sc)
	if err != nil {
		panic(err)
	}
	p := s.nodes[i].now()
	t := bus.Task{ID: bus.TaskID(fmt.Sprintf("t%03d", len(s.tasks))), Type: "work", Payload: data}
	for _, o := range opts {
		o(&t)
	}
	k := &tracked{id: t.ID, from: i, start: p.start, durable: durable, script: sc, timeout: t.Timeout, submitted: time.Now()}
	s.tasks = append(s.tasks, k)
	return k, t, p
}

// pad is too large for a message.
var pad = strings.Repeat("x", bus.MaxInline)

// submit runs an attached task for a client of node i.
func (s *swarm) submit(i int, sc script, opts ...option) *tracked {
	k, t, p := s.task(i, sc, false, opts)
	out, _, err := p.node.Submit(t)
	s.mu.Lock()
	k.accepted, k.err = err == nil, err
	s.mu.Unlock()
	if err == nil {
		s.wg.Go(func() { s.read(k, p, out) })
	}
	return k
}

// enqueue hands over a durable task at node i, and returns once it is accepted or not.
func (s *swarm) enqueue(i int, sc script, opts ...option) *tracked {
	s.handing.Add(1)
	defer s.handing.Add(-1)
	k, t, p := s.task(i, sc, true, opts)
	receipt, err := p.node.Enqueue(p.life, t, 2)
	alive := s.nodes[i].m.Gate(k.start)
	s.mu.Lock()
	k.accepted, k.err, k.left, k.copies = err == nil && alive, err, !alive, receipt.Copies
	s.mu.Unlock()
	if err != nil || !alive {
		return k
	}
	if out, err := p.node.AttachAt(t.ID, 0, 0); err == nil {
		s.wg.Go(func() { s.read(k, p, out) })
	} else {
		s.note("attach to %s: %v", t.ID, err)
	}
	return k
}

// enqueueAll hands over n durable tasks at once.
func (s *swarm) enqueueAll(i, n int, sc script) {
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() { s.enqueue(i, sc) })
	}
	wg.Wait()
}

// read is a client that reads a task's output to its end.
func (s *swarm) read(k *tracked, p *process, out *sched.Output) {
	for {
		c, err := out.Next(p.life)
		if !s.nodes[k.from].m.Gate(k.start) {
			s.mu.Lock()
			k.left = true
			s.mu.Unlock()
			return
		}
		if err != nil {
			return
		}
		s.mu.Lock()
		if c.End != nil {
			k.ends = append(k.ends, c)
		} else {
			k.chunks = append(k.chunks, c)
		}
		s.mu.Unlock()
	}
}

// ends are those that the client of a task has been told.
func (s *swarm) ends(k *tracked) []bus.Chunk {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(k.ends)
}

// cancel cancels a task at node i.
func (s *swarm) cancel(i int, id bus.TaskID) error {
	n := s.nodes[i]
	p := n.now()
	s.mu.Lock()
	s.tried[id] = true
	s.mu.Unlock()
	info, err := p.node.Cancel(p.life, id)
	if err == nil && info.State == bus.StateCancelled && n.m.Gate(p.start) {
		s.mu.Lock()
		s.cancels[id] = time.Now()
		s.mu.Unlock()
	}
	return err
}

// load has the clients of nodes from hand over n tasks in turn, every second one durable.
func (s *swarm) load(n, ms int, from ...int) {
	for k := range n {
		sc := script{MS: ms/2 + s.rnd(ms), Chunks: s.rnd(4)}
		i := from[k%len(from)]
		if k%2 == 0 {
			s.wg.Go(func() { s.enqueue(i, sc) })
		} else {
			s.submit(i, sc)
		}
	}
}
