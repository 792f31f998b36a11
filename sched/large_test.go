package sched_test

import (
	"bytes"
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
	"github.com/mycoswarm/mycoswarm/sched/internal/sim"
)

// mirror returns what it is given, and fails where that is not what it should be.
type mirror struct{ want []byte }

func (mirror) Capability(context.Context) (bus.Capability, error) {
	return bus.Capability{Type: "mirror", Slots: 1}, nil
}

func (m mirror) Handle(_ context.Context, t *bus.Task, _ bus.Emit) (any, error) {
	if !bytes.Equal(t.Payload, m.want) {
		return nil, bus.Errorf(bus.CodeFailed, "ran on %d wrong bytes", len(t.Payload))
	}
	return t.Payload, nil
}

// big is a payload that no message takes.
var big = json.RawMessage(`"` + string(bytes.Repeat([]byte{'x'}, 1<<20)) + `"`)

// mirrored makes a swarm in which node w alone works, and returns a submitter that is neither the
// worker nor the host.
func mirrored(s *swarm) (submitter, w int) {
	h := s.elected()
	submitter = s.another(h)
	w = s.another(h, submitter)
	s.mirror(w)
	s.until(5*time.Second, func() bool {
		_, ok := sched.CanRun(bus.Key{Class: "mirror"}, s.nodes[submitter].now().node.Nodes())
		return ok
	})
	return submitter, w
}

func (s *swarm) mirror(i int) {
	p := s.nodes[i].now()
	if _, err := p.node.Handle(p.life, mirror{big}); err != nil {
		s.note("handle: %v", err)
	}
}

// drain makes node i take no work, and returns when all know.
func (s *swarm) drain(i int) {
	s.nodes[i].now().node.Drain(true)
	for _, m := range s.nodes {
		s.until(5*time.Second, func() bool {
			_, ok := sched.CanRun(bus.Key{Class: "mirror"}, m.now().node.Nodes())
			return !ok
		})
	}
	time.Sleep(2 * time.Second) // its last request for work is over
}

// accept enqueues a large task at node i, and wants it on two disks.
func (s *swarm) accept(i int, id bus.TaskID) {
	p := s.nodes[i].now()
	r, err := p.node.Enqueue(p.life, bus.Task{ID: id, Type: "mirror", Payload: big}, 2)
	if err != nil || r.Copies != 2 {
		s.note("enqueue: %+v, %v; want two copies", r, err)
	}
}

// wholeAt waits until task id has ended, as node i sees it, and wants its result to be its payload.
func (s *swarm) wholeAt(i int, id bus.TaskID) (info bus.TaskInfo) {
	p := s.nodes[i].now()
	s.until(30*time.Second, func() bool {
		var err error
		info, err = p.node.Task(p.life, id)
		return err == nil && info.State.Terminal()
	})
	if info.State != bus.StateDone {
		s.note("task %s is %q: %v", id, info.State, info.Error)
		return info
	}
	if err := p.node.Whole(p.life, &info); err != nil || !bytes.Equal(info.Result, big) {
		s.note("the result of %s has %d bytes, error %v; want %d", id, len(info.Result), err, len(big))
	}
	return info
}

// blobs returns what all disks hold.
func (s *swarm) blobs(result bool) (n int) {
	for _, m := range s.nodes {
		for _, id := range m.m.Blobs() {
			if id.Result == result {
				n++
			}
		}
	}
	return n
}

func (s *swarm) wantBlobs(payloads, results int) {
	if !s.until(30*time.Second, func() bool { return s.blobs(false) == payloads && s.blobs(true) == results }) {
		s.note("the disks hold %d payloads and %d results, want %d and %d", s.blobs(false), s.blobs(true), payloads, results)
	}
}

// What is too large for a message is on two disks before it is accepted, gets to its worker and
// back, and nothing stays of it.
func TestLargeDurable(t *testing.T) {
	t.Parallel()
	play(t, setup{nodes: 4, retention: time.Minute}, func(s *swarm) {
		from, w := mirrored(s)
		s.accept(from, "large")
		for i := range s.nodes {
			s.wholeAt(i, "large")
		}
		s.wantBlobs(0, 2)
		p := s.nodes[from].now()
		other := append(bytes.Clone(big[:len(big)-2]), `y"`...)
		if _, err := p.node.Enqueue(p.life, bus.Task{ID: "large", Type: "mirror", Payload: other}, 2); bus.AsError(err).Code != bus.CodeConflict {
			s.note("other content with the same id: %v", err)
		}
		if r, err := p.node.Enqueue(p.life, bus.Task{ID: "large", Type: "mirror", Payload: big}, 2); err != nil || !r.Accepted {
			s.note("the same content with the same id: %+v, %v", r, err)
		}
		_ = w
		time.Sleep(12 * time.Minute) // the retention, and the time between two looks
		s.wantBlobs(0, 0)
	})
}

// The submitter dies as soon as the task is accepted: the worker gets the payload from the custodian.
func TestLargeSubmitterDies(t *testing.T) {
	t.Parallel()
	play(t, setup{nodes: 4}, func(s *swarm) {
		from, w := mirrored(s)
		s.drain(w)
		s.accept(from, "large")
		s.kill(from)
		s.nodes[w].now().node.Drain(false)
		if info := s.wholeAt(w, "large"); info.Attempts != 1 {
			s.note("it took %d attempts", info.Attempts)
		}
		s.restart(from)
		s.wantBlobs(0, 2) // the submitter's copy of the payload goes when it is back
	})
}

// The only store that has the task cannot tell the submitter, which does not accept it: it runs with its payload.
func TestLargeOutcomeUnknown(t *testing.T) {
	t.Parallel()
	play(t, setup{nodes: 4}, func(s *swarm) {
		from, w := mirrored(s)
		s.drain(w)
		p := s.nodes[from].now()
		task := bus.Task{ID: "large", Type: "mirror", Payload: big}
		s.net.SetDrop(func(t sim.Traffic) bool { return t.Op == "PutTask" && (t.Answer || t.To == t.From) })
		if r, err := p.node.Enqueue(p.life, task, 2); err == nil {
			s.note("accepted without an answer: %+v", r)
		}
		s.net.SetDrop(nil)
		time.Sleep(time.Second) // what is to be deleted is
		s.wantBlobs(2, 0)
		if r, err := p.node.Enqueue(p.life, task, 2); err != nil || !r.Accepted {
			s.note("the next try: %+v, %v", r, err)
		}
		s.nodes[w].now().node.Drain(false)
		s.wholeAt(w, "large")
		s.wantBlobs(0, 2)
	})
}

// An open task whose payload is lost gets it back with the next try to have it accepted.
func TestLargeIsPutBack(t *testing.T) {
	t.Parallel()
	play(t, setup{nodes: 4}, func(s *swarm) {
		from, w := mirrored(s)
		s.drain(w)
		s.accept(from, "large")
		for _, m := range s.nodes {
			for _, id := range m.m.Blobs() {
				if err := m.now().fx.DropBlob(id); err != nil {
					s.note("drop: %v", err)
				}
			}
		}
		s.wantBlobs(0, 0)
		s.accept(from, "large")
		s.wantBlobs(2, 0)
		s.nodes[w].now().node.Drain(false)
		s.wholeAt(w, "large")
	})
}

// A task that is cancelled, at a node that does not keep it, leaves nothing.
func TestLargeCancelled(t *testing.T) {
	t.Parallel()
	play(t, setup{nodes: 4}, func(s *swarm) {
		from, w := mirrored(s)
		s.drain(w)
		s.accept(from, "large")
		p := s.nodes[w].now()
		if info, err := p.node.Cancel(p.life, "large"); err != nil || info.State != bus.StateCancelled {
			s.note("cancel: %+v, %v", info, err)
		}
		s.wantBlobs(0, 0)
	})
}

// The submitter is silent, and not lost yet, while the worker looks for the payload: it gets it from
// the custodian before its host takes the task back.
func TestLargeHolderIsSilent(t *testing.T) {
	t.Parallel()
	play(t, setup{nodes: 4}, func(s *swarm) {
		from, w := mirrored(s)
		s.drain(w)
		s.accept(from, "large")
		time.Sleep(2 * time.Second)
		var looked time.Duration
		var began time.Time
		s.net.SetDrop(func(t sim.Traffic) bool {
			if t.Op == "HasBlob" && began.IsZero() {
				began = time.Now()
			}
			if t.Op == "GetBlob" && looked == 0 {
				looked = time.Since(began)
			}
			return t.To == s.nodes[from].id && (t.Op == "HasBlob" || t.Op == "GetBlob")
		})
		s.nodes[w].now().node.Drain(false)
		if info := s.wholeAt(w, "large"); info.Attempts != 1 {
			s.note("it took %d attempts", info.Attempts)
		}
		if looked > 500*time.Millisecond {
			s.note("it looked for the payload for %v, with no lease", looked)
		}
	})
}

// The submitter vanishes while it sends the payload, or takes the result: the worker goes on with the
// custodian as soon as it is known to be lost.
func TestLargeHolderVanishes(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"GetBlob", "PutBlob"} {
		play(t, setup{nodes: 4}, func(s *swarm) {
			from, w := mirrored(s)
			s.drain(w)
			s.accept(from, "large")
			time.Sleep(2 * time.Second)
			var under atomic.Bool
			s.net.SetDrop(func(t sim.Traffic) bool {
				if t.From != s.nodes[w].id || t.To != s.nodes[from].id {
					return t.Op == "HasBlob" && !t.Answer && t.From != t.To // the submitter is the first to say that it has it
				}
				if t.Op != op {
					return false
				}
				under.Store(true)
				return true
			})
			s.nodes[w].now().node.Drain(false)
			if !s.until(30*time.Second, under.Load) {
				s.note("nothing is asked of the submitter")
			}
			s.nodes[from].m.Freeze()
			gone := time.Now()
			if info := s.wholeAt(w, "large"); info.Attempts != 1 {
				s.note("it took %d attempts", info.Attempts)
			}
			if long := time.Since(gone); long > 5*time.Second {
				s.note("it ended %v after its submitter was gone", long)
			}
		})
	}
}

// Who asks for one copy does not wait for the second.
func TestLargeOneCopy(t *testing.T) {
	t.Parallel()
	play(t, setup{nodes: 4}, func(s *swarm) {
		from, w := mirrored(s)
		s.drain(w)
		s.net.SetDrop(func(t sim.Traffic) bool { return t.Op == "PutBlob" && t.From != t.To })
		p := s.nodes[from].now()
		began := time.Now()
		r, err := p.node.Enqueue(p.life, bus.Task{ID: "large", Type: "mirror", Payload: big}, 1)
		if long := time.Since(began); err != nil || r.Copies != 1 || long > 1500*time.Millisecond {
			s.note("enqueue: %+v, %v, after %v", r, err, long)
		}
		s.net.SetDrop(nil)
		s.wantBlobs(2, 0)
		s.nodes[w].now().node.Drain(false)
		s.wholeAt(w, "large")
	})
}

// Both holders are away while the worker has the task: it waits for them, and is not given up.
func TestLargeHoldersAreAway(t *testing.T) {
	t.Parallel()
	play(t, setup{nodes: 4}, func(s *swarm) {
		h := s.elected()
		from, w := mirrored(s)
		s.drain(w)
		s.accept(from, "large")
		time.Sleep(2 * time.Second)
		holders := []int{from, h}
		for _, m := range s.nodes {
			if len(m.m.Blobs()) > 0 && m.i != from {
				holders[1] = m.i
			}
		}
		s.kill(holders...)
		s.nodes[w].now().node.Drain(false)
		time.Sleep(time.Minute)
		for _, i := range holders {
			s.restart(i)
		}
		s.wholeAt(w, "large")
		s.wantBlobs(0, 2)
	})
}

// The submitter's copy is damaged: the right bytes come from the other holder.
func TestLargeCopyIsDamaged(t *testing.T) {
	t.Parallel()
	play(t, setup{nodes: 4}, func(s *swarm) {
		from, w := mirrored(s)
		s.drain(w)
		s.accept(from, "large")
		s.nodes[from].m.FlipBlobs()
		s.nodes[w].now().node.Drain(false)
		if info := s.wholeAt(w, "large"); info.Attempts != 1 {
			s.note("it took %d attempts", info.Attempts)
		}
	})
}

// A custodian that is lost for good is replaced, and the next one gets the payload.
func TestLargeCustodianIsReplaced(t *testing.T) {
	t.Parallel()
	play(t, setup{nodes: 4}, func(s *swarm) {
		from, w := mirrored(s)
		s.drain(w)
		s.accept(from, "large")
		for _, m := range s.nodes {
			if m.i != from && len(m.m.Blobs()) > 0 {
				s.killForGood(m.i)
			}
		}
		s.wantBlobs(3, 0) // one of them on the disk of the dead
		if !s.until(30*time.Second, func() bool { return len(s.keepers("large")) == 3 }) {
			s.note("the task is on %d disks, want 3", len(s.keepers("large")))
		}
		s.kill(from)
		s.nodes[w].now().node.Drain(false)
		s.wholeAt(w, "large")
	})
}

// Copies to new custodians are made two at a time, more and more rarely where they fail, and not to
// who has the payload.
func TestLargeCopiesAreFew(t *testing.T) {
	t.Parallel()
	play(t, setup{nodes: 4}, func(s *swarm) {
		from, w := mirrored(s)
		s.drain(w)
		var puts, now, most atomic.Int32
		watch := func(lost bool) {
			s.net.SetDrop(func(t sim.Traffic) bool {
				if t.Op != "PutBlob" || t.From == t.To {
					return false
				}
				if t.Answer {
					now.Add(-1)
				} else {
					puts.Add(1)
					most.Store(max(most.Load(), now.Add(1)))
				}
				return lost
			})
		}
		watch(true)
		p := s.nodes[from].now()
		ids := []bus.TaskID{"t1", "t2", "t3", "t4", "t5", "t6"}
		for _, id := range ids {
			if r, err := p.node.Enqueue(p.life, bus.Task{ID: id, Type: "mirror", Payload: big}, 1); err != nil || r.Copies != 1 {
				s.note("enqueue: %+v, %v; want one copy", r, err)
			}
		}
		time.Sleep(2 * time.Minute)
		if n := int(puts.Load()); n > 6*len(ids) {
			s.note("%d tries for %d payloads in two minutes", n, len(ids))
		}
		s.kill(from)
		time.Sleep(5 * time.Second)
		now.Store(0)
		most.Store(0)
		watch(false)
		s.restart(from) // all are due at one time
		if !s.until(10*time.Minute, func() bool { return s.blobs(false) == 2*len(ids) }) {
			s.note("the disks hold %d payloads, want %d", s.blobs(false), 2*len(ids))
		}
		if n := most.Load(); n > 2 {
			s.note("%d payloads were on their way at one time", n)
		}
		s.kill(from)
		time.Sleep(5 * time.Second)
		puts.Store(0)
		s.restart(from)
		p = s.nodes[from].now()
		for _, id := range ids {
			if !s.until(time.Minute, func() bool { info, err := p.node.Task(p.life, id); return err == nil && info.Copies == 2 }) {
				s.note("task %s is not known to be on two disks", id)
			}
		}
		if n := puts.Load(); n > 0 {
			s.note("a start copied %d payloads that were there", n)
		}
		s.nodes[w].now().node.Drain(false)
		for _, id := range ids {
			s.wholeAt(w, id)
		}
	})
}

// A dead task keeps its payload, and goes again with it.
func TestLargeDead(t *testing.T) {
	t.Parallel()
	play(t, setup{nodes: 3}, func(s *swarm) {
		from, w := mirrored(s)
		p := s.nodes[w].now()
		remove, err := p.node.Handle(p.life, always{bus.Retry(bus.Errorf(bus.CodeUnavailable, "not today"))})
		if err != nil {
			s.note("handle: %v", err)
		}
		s.accept(from, "large")
		f := s.nodes[from].now()
		var info bus.TaskInfo
		s.until(time.Minute, func() bool {
			info, err = f.node.Task(f.life, "large")
			return err == nil && info.State.Terminal()
		})
		if info.State != bus.StateDead {
			s.note("it is %s: %v", info.State, info.Error)
		}
		if e := info.Error; e == nil || e.Message != "gave up: it was tried too often; last: not today" {
			s.note("it tells of %v", e)
		}
		s.wantBlobs(2, 0)
		remove()
		s.mirror(w)
		r, err := f.node.Retry(f.life, "large")
		if err != nil {
			s.note("retry: %v", err)
		}
		s.wholeAt(from, r.ID)
		s.wantBlobs(2, 2)
		for i := range s.nodes {
			_ = s.nodes[i].now().node.Remove(f.life, "large") // one of them does not keep it
		}
		s.wantBlobs(0, 2)
	})
}

// always ends with the same error.
type always struct{ err error }

func (always) Capability(context.Context) (bus.Capability, error) {
	return bus.Capability{Type: "mirror", Slots: 1}, nil
}

func (a always) Handle(context.Context, *bus.Task, bus.Emit) (any, error) { return nil, a.err }
