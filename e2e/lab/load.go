//go:build linux

package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// Load is a stream of tasks that clients hand to the nodes that are well.
type Load struct {
	// Every is the time from task to task.
	Every time.Duration
	// Wild mixes in cancels, clients that leave, and deadlines.
	Wild bool
}

// Task makes the task called id: the engines' ledger tells it by its prompt.
func Task(id string) bus.Task {
	payload, err := json.Marshal(bus.InferenceRequest{Prompt: engine.Prompt(id)})
	if err != nil { // a string: cannot be
		panic(err)
	}
	return bus.Task{ID: bus.TaskID(id), Type: bus.TypeInference, Model: engine.Model, Payload: payload}
}

// Load begins to hand over tasks. end stops that, and returns when every client has been told
// what became of its task, or after the harness's patience.
func (c *Crew) Load(l Load, r *rand.Rand) (end func()) {
	ctx, stop := context.WithCancel(c.ctx)
	clients, leave := context.WithCancel(c.ctx)
	var all sync.WaitGroup
	all.Go(func() {
		tick := time.NewTicker(l.Every)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			m := c.at(r.IntN(c.o.Size))
			h := Handover{ID: fmt.Sprintf("t%05d", i), Durable: r.IntN(2) == 0}
			if l.Wild {
				h.wild(r)
			}
			if m.Well() {
				all.Go(func() { c.HandOver(clients, m, h) })
			}
		}
	})
	return func() {
		stop()
		limit := time.AfterFunc(harness.Patience, leave)
		all.Wait()
		limit.Stop()
		leave()
	}
}

// Handover is one task and what its client does.
type Handover struct {
	ID      string
	Durable bool
	// Deadline is the task's; none where 0.
	Deadline time.Duration
	// Cancel is when the task is cancelled, Leave when the client of an attached one leaves; not
	// where 0.
	Cancel, Leave time.Duration
}

// wild gives every fourth task something more.
func (h *Handover) wild(r *rand.Rand) {
	d := between(r, time.Millisecond, 1500*time.Millisecond)
	switch r.IntN(12) {
	case 0:
		h.Deadline = d
	case 1:
		h.Cancel = d
	case 2:
		if !h.Durable {
			h.Leave = d
		}
	}
}

// HandOver hands one task to m, and writes into the book what its client is told.
func (c *Crew) HandOver(ctx context.Context, m *Member, h Handover) {
	e := Entry{ID: bus.TaskID(h.ID), Durable: h.Durable, Node: m.Name}
	t := Task(h.ID)
	if h.Deadline > 0 {
		t.Timeout = h.Deadline
		e.May = append(e.May, bus.StateExpired)
	}
	if h.Cancel > 0 || h.Leave > 0 {
		e.May = append(e.May, bus.StateCancelled)
	}
	c.Book.Open(e)
	if h.Durable {
		c.enqueue(ctx, m, t, h)
	} else {
		c.submit(ctx, m, t, h)
	}
}

func (c *Crew) enqueue(ctx context.Context, m *Member, t bus.Task, h Handover) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r, err := m.Conn.Enqueue(ctx, t)
	c.Book.Note(t.ID, func(e *Entry) { e.Accepted, e.Copies, e.Err = err == nil && r.Accepted, r.Copies, err })
	if h.Cancel > 0 && err == nil {
		after(ctx, h.Cancel)
		_, _ = m.Conn.Cancel(ctx, t.ID) // who is hurt does not answer: then it is not cancelled
	}
}

func (c *Crew) submit(ctx context.Context, m *Member, t bus.Task, h Handover) {
	sctx, leave := context.WithCancel(ctx)
	defer leave()
	if h.Leave > 0 {
		timer := time.AfterFunc(h.Leave, leave)
		defer timer.Stop()
	}
	s, err := m.Conn.Start(sctx, t)
	c.Book.Note(t.ID, func(e *Entry) { e.Accepted, e.Err = err == nil, err })
	if err != nil {
		return
	}
	var cancelled sync.WaitGroup
	defer cancelled.Wait()
	if h.Cancel > 0 {
		cancelled.Go(func() {
			if after(sctx, h.Cancel) {
				_, _ = m.Conn.Cancel(sctx, t.ID) // see enqueue
			}
		})
	}
	for chunk, err := range s.Chunks() {
		c.Book.Note(t.ID, func(e *Entry) {
			e.Err = err
			if chunk.End == nil {
				return
			}
			e.Ends++
			e.State = chunk.End.State
			if r, err := bus.Result[bus.InferenceResult](*chunk.End); err == nil {
				e.Text = r.Text
			}
		})
	}
	leave()
}

// after waits, and reports whether ctx still runs.
func after(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Durable is a durable task without anything special.
func Durable(id string) Handover { return Handover{ID: id, Durable: true} }
