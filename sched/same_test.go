package sched_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched/internal/sim"
)

// Who hands a task over once more is told of all the disks that it is on: at the node that has handed it over, and at the one
// that keeps its copy, while it waits and once it has ended.
func TestSameTaskIsOnAsManyDisks(t *testing.T) {
	t.Parallel()
	play(t, parts(4, theWorker), func(s *swarm) {
		s.elected()
		hand := func(at int) {
			p := s.nodes[at].now()
			r, err := p.node.Enqueue(p.life, bus.Task{ID: "same", Type: "work", Payload: []byte(`{"ms":3000}`)}, 2)
			if err != nil || !r.Accepted || r.Copies != 2 {
				s.note("node %d: %+v, %v, want 2 copies", at, r, err)
			}
		}
		hand(theSubmitter)
		hand(theSubmitter)
		hand(theHost) // which keeps the copy
		if end := s.untilDead(theSubmitter, "same"); end.State != bus.StateDone {
			s.note("it ended as %+v", end)
		}
		hand(theSubmitter)
		hand(theHost)
	})
}

// Two nodes hand over the same task, and the copy of the one reaches the other, which is to keep it, between that one's look
// for it and its place among the open ones: it is the same task for both.
func TestSameTaskComesMeanwhile(t *testing.T) {
	t.Parallel()
	var meanwhile atomic.Pointer[func()]
	c := parts(4, theWorker)
	c.room = func(i int) error {
		if f := meanwhile.Load(); i == theHost && f != nil && meanwhile.CompareAndSwap(f, nil) {
			(*f)()
		}
		return nil
	}
	play(t, c, func(s *swarm) {
		s.elected()
		hand := func(i int) {
			p := s.nodes[i].now()
			if r, err := p.node.Enqueue(p.life, bus.Task{ID: "same", Type: "work", Payload: []byte(`{"ms":10}`)}, 2); err != nil || !r.Accepted {
				s.note("node %d: %+v, %v", i, r, err)
			}
		}
		other := func() { hand(theSubmitter) }
		meanwhile.Store(&other)
		hand(theHost)
		if meanwhile.Load() != nil {
			s.note("nothing came meanwhile")
		}
	})
}

// No store's answer gets to who hands a task over, and its own store tells that it has it.
func TestStoresWhoseAnswersAreLost(t *testing.T) {
	t.Parallel()
	play(t, parts(4, theWorker), func(s *swarm) {
		s.elected()
		p := s.nodes[theSubmitter].now()
		s.net.SetDrop(func(t sim.Traffic) bool { return t.Op == "PutTask" && t.Answer })
		if r, err := p.node.Enqueue(p.life, bus.Task{ID: "same", Type: "work", Payload: []byte(`{"ms":10}`)}, 2); err != nil || !r.Accepted || r.Copies != 2 {
			s.note("%+v, %v, want it accepted with 2 copies", r, err)
		}
		s.net.SetDrop(nil)
		if end := s.untilDead(theSubmitter, "same"); end.State != bus.StateDone {
			s.note("it ended as %+v", end)
		}
	})
}

// A store on a slow disk, as a memory card is, has longer than a second: who hands a task over waits, and is told that it is there, also
// who does so in the same moment. One that takes for ever does not keep anybody, and what it has in the end goes its way.
func TestSlowStores(t *testing.T) {
	t.Parallel()
	for sync, want := range map[time.Duration]bus.Code{4 * time.Second: "", 25 * time.Second: bus.CodeUnavailable} {
		c := parts(4, theWorker)
		c.net.Sync = sync
		play(t, c, func(s *swarm) {
			s.elected()
			p := s.nodes[theSubmitter].now()
			began, ended := time.Now(), make(chan struct{}, 2)
			for range 2 {
				go func() {
					defer func() { ended <- struct{}{} }()
					r, err := p.node.Enqueue(p.life, bus.Task{ID: "same", Type: "work", Payload: []byte(`{"ms":10}`)}, 2)
					var code bus.Code
					if err != nil {
						code = bus.AsError(err).Code
					}
					if took := time.Since(began); code != want || r.Accepted != (want == "") || took > 15*time.Second {
						s.note("on disks of %v: %+v, %v, after %v", sync, r, err, took)
					}
				}()
			}
			<-ended
			<-ended
			if end := s.untilDead(theSubmitter, "same"); end.State != bus.StateDone {
				s.note("on disks of %v it ended as %+v", sync, end)
			}
		})
	}
}
