package sched_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
	"github.com/mycoswarm/mycoswarm/sched/internal/sim"
)

// The payload of an attached task, and its result, touch no disk, and are gone from memory after.
func TestLargeAttached(t *testing.T) {
	t.Parallel()
	play(t, setup{nodes: 3}, func(s *swarm) {
		from, w := mirrored(s)
		p := s.nodes[from].now()
		out, _, err := p.node.Submit(bus.Task{ID: "large", Type: "mirror", Payload: big})
		if err != nil {
			s.note("submit: %v", err)
			return
		}
		for {
			c, err := out.Next(p.life)
			if err != nil {
				if !errors.Is(err, io.EOF) {
					s.note("output: %v", err)
				}
				break
			}
			if c.End == nil {
				continue
			}
			if c.End.State != bus.StateDone {
				s.note("it is %s: %v", c.End.State, c.End.Error)
			}
			if err := p.node.Whole(p.life, c.End); err != nil || !bytes.Equal(c.End.Result, big) {
				s.note("the result has %d bytes, error %v", len(c.End.Result), err)
			}
		}
		if n := s.blobs(false) + s.blobs(true); n != 0 {
			s.note("%d blobs are on disk", n)
		}
		for _, i := range []int{from, w} {
			p := s.nodes[i].now()
			if !s.until(3*time.Minute, func() bool { held, err := p.fx.HeldBlobs(); return err == nil && len(held) == 0 }) {
				s.note("node %d still holds something", i)
			}
		}
	})
}

// The room for a large payload is taken where it is written, and not for its task as well.
func TestLargeTakesItsRoomOnce(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	most := 0
	play(t, setup{nodes: 2, take: func(bytes int) {
		mu.Lock()
		defer mu.Unlock()
		most = max(most, bytes)
	}}, func(s *swarm) {
		s.elected()
		s.mirror(1)
		s.accept(0, "large")
		s.wholeAt(0, "large")
	})
	if most == 0 || most > 64<<10 {
		t.Errorf("Take was asked for %d bytes", most)
	}
}

// A task whose payload does not get into memory is not given to anybody, and may be submitted again.
func TestLargeIsLentFirst(t *testing.T) {
	t.Parallel()
	play(t, setup{nodes: 3}, func(s *swarm) {
		from, _ := mirrored(s)
		var fed atomic.Int32
		s.net.SetDrop(func(t sim.Traffic) bool {
			if t.Op == "Feed" && t.Task == "large" {
				fed.Add(1)
			}
			return t.Op == "PutBlob" && t.From == t.To
		})
		p := s.nodes[from].now()
		task := bus.Task{ID: "large", Type: "mirror", Payload: big}
		if _, _, err := p.node.Submit(task); err == nil {
			s.note("it is submitted without its payload")
		}
		if n := fed.Load(); n > 0 {
			s.note("it was fed %d times before its payload was in memory", n)
		}
		s.net.SetDrop(nil)
		out, _, err := p.node.Submit(task)
		if err != nil {
			s.note("submit again: %v", err)
			return
		}
		if c, err := out.Next(p.life); err != nil || c.End == nil || c.End.State != bus.StateDone {
			s.note("the end is %+v, %v", c, err)
		}
	})
}

// holds reports whether node i has something large in memory.
func (s *swarm) holds(i int) bool {
	held, err := s.nodes[i].now().fx.HeldBlobs()
	return err != nil || slices.ContainsFunc(held, func(h sched.HeldBlob) bool { return h.Memory })
}

// A client that reads slowly gets the result minutes after the task has ended, and a minute more to
// fetch it. Who leaves, or reads no more, does not keep it.
func TestLargeSlowReader(t *testing.T) {
	t.Parallel()
	play(t, setup{nodes: 3}, func(s *swarm) {
		from, _ := mirrored(s)
		p := s.nodes[from].now()
		submit := func(id bus.TaskID) *sched.Output {
			out, _, err := p.node.Submit(bus.Task{ID: id, Type: "mirror", Payload: big})
			if err != nil {
				s.note("submit: %v", err)
				return nil
			}
			return out
		}
		slow, gone := submit("slow"), submit("gone")
		if slow == nil || gone == nil {
			return
		}
		left, leave := context.WithCancel(p.life)
		leave()
		if c, err := gone.Next(left); err == nil {
			s.note("a client that left got %+v", c)
		}
		time.Sleep(5 * time.Minute)
		held, err := p.fx.HeldBlobs()
		if err != nil || len(held) != 1 || held[0].Task != "slow" {
			s.note("in memory are %v, %v; want the one result that is read", held, err)
		}
		c, err := slow.Next(p.life)
		for wait := range 2 {
			time.Sleep(time.Duration(wait) * 40 * time.Second)
			if err != nil || c.End == nil {
				s.note("the end is %+v, %v", c, err)
				return
			}
			end := *c.End
			if err := p.node.Whole(p.life, &end); err != nil || !bytes.Equal(end.Result, big) {
				s.note("the result has %d bytes, error %v", len(end.Result), err)
			}
		}
		if !s.until(2*time.Minute, func() bool { return !s.holds(from) }) {
			s.note("a result that was read is still held")
		}
		submit("forgotten")
		if !s.until(12*time.Minute, func() bool { return !s.holds(from) }) {
			s.note("a result is held for a client that reads no more")
		}
	})
}
