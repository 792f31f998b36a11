package sched_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
	"github.com/mycoswarm/mycoswarm/sched/internal/sim"
)

// play runs f on a simulated swarm, and fails with what it notes.
func play(t *testing.T, c setup, f func(*swarm)) {
	t.Helper()
	c.seed = 1
	for _, b := range simulate(t, c, f) {
		t.Error(b)
	}
}

func TestTasks(t *testing.T) {
	t.Parallel()
	play(t, setup{nodes: 3}, func(s *swarm) {
		h := s.elected()
		done := s.enqueue(h, script{MS: 20})
		time.Sleep(100 * time.Millisecond)
		long := s.enqueue(s.another(h), script{MS: 1000})
		waits := s.enqueue(s.another(h), script{}, func(t *bus.Task) { t.Type = "paint" })
		time.Sleep(100 * time.Millisecond)
		for _, n := range s.nodes {
			p := n.now()
			all, err := p.node.Tasks(p.life)
			if err != nil || len(all) != 3 || all[0].ID == done.id || all[2].ID != done.id ||
				all[0].Warning == "" || all[1].Warning != "" {
				s.note("node %d lists %v, %v; want 3, the newest first", n.i, all, err)
			}
			for id, want := range map[bus.TaskID]bus.TaskState{done.id: bus.StateDone, long.id: bus.StateRunning, waits.id: bus.StateQueued} {
				i, err := p.node.Task(p.life, id)
				if err != nil || i.State != want || (i.Warning != "") != (id == waits.id) {
					s.note("node %d tells %+v, %v; want %s", n.i, i, err, want)
				}
			}
			if _, err := p.node.Task(p.life, "none"); bus.AsError(err).Code != bus.CodeNotFound {
				s.note("an unknown task: %v", err)
			}
		}
		if err := s.cancel(h, waits.id); err != nil {
			s.note("cancel: %v", err)
		}
	})
}

// A task that nobody knows may be one that those know who are not heard: so it is told then, and by whose names.
func TestUnknownWhereNodesAreAway(t *testing.T) {
	t.Parallel()
	play(t, setup{nodes: 3, split: true}, func(s *swarm) {
		from := s.elected()
		b := s.another(from)
		s.net.Partition(s.ids(from), s.ids(b, s.another(from, b)))
		asker := s.nodes[b].now()
		s.until(5*time.Second, func() bool { return !asker.node.View().Alive(s.nodes[from].id) })
		name := asker.node.View().Peers[s.nodes[from].id].Info.Name
		_, show := asker.node.Task(asker.life, "none")
		_, why := asker.node.Why(asker.life, "none")
		for _, err := range []error{show, why} {
			if e := bus.AsError(err); e.Code != bus.CodeNotFound || name == "" || !strings.HasSuffix(e.Message, "not heard, and may know it: "+name) {
				s.note("while %q is away an unknown task is told of so: %v", name, err)
			}
		}
		s.net.Heal()
		s.until(10*time.Second, func() bool { return asker.node.View().Alive(s.nodes[from].id) })
	})
}

// Equal ids are the same task.
func TestSameTaskTwice(t *testing.T) {
	t.Parallel()
	play(t, setup{nodes: 3}, func(s *swarm) {
		p := s.nodes[s.elected()].now()
		one := bus.Task{ID: "one", Type: "work", Payload: []byte(`{"ms":20}`)}
		for range 2 {
			if r, err := p.node.Enqueue(p.life, one, 2); err != nil || !r.Accepted || r.ID != "one" || r.Copies != 2 {
				s.note("receipt %+v, %v; want 2 copies", r, err)
			}
		}
		time.Sleep(time.Second)
		if r, err := p.node.Enqueue(p.life, one, 2); err != nil || !r.Accepted {
			s.note("after its end: receipt %+v, %v", r, err)
		}
		other := one
		other.Payload = []byte(`{"ms":30}`)
		if _, err := p.node.Enqueue(p.life, other, 2); bus.AsError(err).Code != bus.CodeConflict {
			s.note("other content with the same id: %v", err)
		}
		if rs := s.ledger.of("one"); len(rs) != 1 {
			s.note("it ran %d times", len(rs))
		}
	})
}

// A task that is open is the same when it is handed over again, also where the own disk has missed it.
func TestSameTaskTwiceWithoutTheOwnDisk(t *testing.T) {
	t.Parallel()
	play(t, setup{nodes: 3}, func(s *swarm) {
		p := s.nodes[s.elected()].now()
		s.net.SetDrop(func(m sim.Traffic) bool { return m.Op == "PutTask" && m.From == m.To })
		one := bus.Task{ID: "one", Type: "work", Payload: []byte(`{"ms":3000}`)}
		for range 2 {
			if r, err := p.node.Enqueue(p.life, one, 1); err != nil || !r.Accepted || r.Copies != 1 {
				s.note("receipt %+v, %v; want one copy", r, err)
			}
		}
		other := one
		other.Payload = []byte(`{"ms":30}`)
		if _, err := p.node.Enqueue(p.life, other, 1); bus.AsError(err).Code != bus.CodeConflict || !strings.Contains(err.Error(), "other content") {
			s.note("other content with the same id: %v", err)
		}
	})
}

func TestRefused(t *testing.T) {
	t.Parallel()
	play(t, setup{nodes: 1}, func(s *swarm) {
		p := s.nodes[s.elected()].now()
		for want, task := range map[bus.Code]bus.Task{
			bus.CodeInvalid:  {Type: "NOT A TYPE"},
			bus.CodeNoWorker: {Type: "paint"},
			bus.CodeTooLarge: {Type: "work", Payload: make([]byte, bus.MaxPayload+1)},
		} {
			if _, _, err := p.node.Submit(task); bus.AsError(err).Code != want {
				s.note("submit of type %q: %v, want %s", task.Type, err, want)
			}
		}
		if _, err := p.node.AttachAt("none", 0, 0); !errors.Is(err, sched.ErrNotFound) {
			s.note("attach to nothing: %v", err)
		}
	})
}

// Fields that this version does not know count like a payload while their task is open.
func TestUnknownFieldsCount(t *testing.T) {
	t.Parallel()
	play(t, setup{nodes: 1}, func(s *swarm) {
		p := s.nodes[s.elected()].now()
		task := func(id bus.TaskID) bus.Task {
			return bus.Task{ID: id, Type: "work", Payload: []byte(`{"ms":1000}`), Later: bus.Later(`{"later":"` + strings.Repeat("x", 60<<10) + `"}`)}
		}
		one := len(task("").Payload) + len(task("").Later)
		if _, err := p.node.Enqueue(p.life, task("durable"), 1); err != nil {
			s.note("enqueue: %v", err)
		}
		if _, _, err := p.node.Submit(task("attached")); err != nil {
			s.note("submit: %v", err)
		}
		if all, durable := p.node.Open(0); all != 2*one || durable != one {
			s.note("%d bytes count, %d of them durable; want %d and %d", all, durable, 2*one, one)
		}
		const others = 256<<20 - 4*64<<10
		p.node.Open(others)
		for range 2 {
			if _, _, err := p.node.Submit(task("")); err != nil {
				s.note("within the limit: %v", err)
			}
		}
		_, _, err := p.node.Submit(task(""))
		_, derr := p.node.Enqueue(p.life, task(""), 1)
		for _, err := range []error{err, derr} {
			if !errors.Is(err, &bus.Error{Code: bus.CodeBusy}) {
				s.note("over the limit: %v, want %s", err, bus.CodeBusy)
			}
		}
		time.Sleep(time.Minute)
		if all, durable := p.node.Open(-others); all != 0 || durable != 0 {
			s.note("after their ends %d bytes count, %d of them durable", all, durable)
		}
	})
}

// held counts the messages in the outboxes of all stores.
func (s *swarm) held() (n int) {
	for _, m := range s.nodes {
		n += len(m.m.Kept())
	}
	return n
}

// What has ended is kept for as long as it should be, by both custodians, and no longer.
func TestRetention(t *testing.T) {
	t.Parallel()
	play(t, setup{nodes: 2, retention: 5 * time.Minute}, func(s *swarm) {
		h := s.elected()
		p := s.nodes[h].now()
		if _, err := p.node.Enqueue(p.life, bus.Task{Type: "work", Payload: []byte(`{"ms":20}`)}, 2); err != nil {
			s.note("enqueue: %v", err)
		}
		time.Sleep(4 * time.Minute)
		if n := s.held(); n != 4 {
			s.note("the stores hold %d messages, want a task and its end in each", n)
		}
		if !s.until(20*time.Minute, func() bool { return s.held() == 0 }) {
			s.note("the stores still hold %d messages", s.held())
		}
	})
}

// What ended while one who keeps it was away is kept for longer: it would have it run again. Once all who keep it
// know the end, it goes.
func TestRetentionWhileSomebodyIsAway(t *testing.T) {
	t.Parallel()
	for name, away := range map[string][]int{"submitter": {theSubmitter}, "custodian": {theHost}, "both": {theHost, theSubmitter}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := parts(4, theWorker)
			c.retention = 5 * time.Minute
			play(t, c, func(s *swarm) {
				s.elected()
				k := s.enqueue(theSubmitter, script{MS: 2000})
				s.running(k)
				s.kill(away...)
				time.Sleep(30 * time.Minute)
				for i := range s.nodes { // with what they remember
					s.kill(i)
					if !slices.Contains(away, i) {
						s.restart(i)
					}
				}
				time.Sleep(3 * time.Second)
				for _, i := range away {
					s.restart(i)
					time.Sleep(10 * time.Second)
				}
				s.ranOnce("it had ended while one who keeps it was away", k.id)
				if i, err := s.nodes[theSubmitter].now().node.Task(context.Background(), k.id); err != nil || i.State != bus.StateDone {
					s.note("half an hour later it is %+v, error %v", i, err)
				}
				if !s.until(40*time.Minute, func() bool { return s.held() == 0 }) {
					s.note("the stores still hold %d messages", s.held())
				}
				s.mu.Lock()
				s.tasks = nil // nobody has it any more
				s.mu.Unlock()
			})
		})
	}
}

// A handler that comes and goes, and what it can do, is known everywhere at once.
func TestHandlerComesAndGoes(t *testing.T) {
	t.Parallel()
	play(t, setup{nodes: 2, work: func(int) bool { return false }}, func(s *swarm) {
		h := s.elected()
		w := s.another(h)
		p, far := s.nodes[w].now(), s.nodes[h].now()
		<-far.node.Ready()
		runs := func() bool {
			_, ok := sched.CanRun(bus.Key{Class: "work"}, far.node.Nodes())
			return ok
		}
		handler := &changing{worker: worker{m: s.nodes[w].m, life: p.life, start: p.start, can: bus.Capability{Type: "work", Slots: 1}, l: &s.ledger}}
		remove, err := p.node.Handle(p.life, handler)
		if err != nil {
			s.note("handle: %v", err)
			return
		}
		step := func(what string, want bool) {
			if !s.until(time.Second, func() bool { return runs() == want }) {
				s.note("%s is not known after a second", what)
			}
		}
		step("a new handler", true)
		s.submit(h, script{MS: 300})
		handler.none.Store(true)
		p.node.CapabilityChanged()
		step("a handler without slots", false)
		handler.none.Store(false)
		p.node.CapabilityChanged()
		step("a handler with slots again", true)
		s.until(5*time.Second, s.over)
		remove()
		step("a handler that is gone", false)
		if _, _, err := far.node.Submit(bus.Task{Type: "work"}); bus.AsError(err).Code != bus.CodeNoWorker {
			s.note("submit with nobody to run it: %v", err)
		}
	})
}

// changing is a handler that may have no slots at times.
type changing struct {
	worker
	none atomic.Bool
}

func (c *changing) Capability(ctx context.Context) (bus.Capability, error) {
	k, err := c.worker.Capability(ctx)
	if c.none.Load() {
		k.Slots = 0
	}
	return k, err
}
