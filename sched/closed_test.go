package sched_test

import (
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

// A machine that its owner keeps runs what is its own or pinned to it, and nothing else.
func TestClosedNodeTakesNoWorkOfOthers(t *testing.T) {
	t.Parallel()
	c := parts(4, theWorker, theOther)
	c.owner = map[int]*bus.OwnerUse{theWorker: {Closed: true, Why: "until 17:00"}}
	bad := simulate(t, c, func(s *swarm) {
		s.elected()
		var others []*tracked
		for range 20 {
			others = append(others, s.enqueue(theSubmitter, script{MS: 100}))
		}
		pinned := s.enqueue(theSubmitter, script{MS: 100}, pin(nodeID(theWorker)))
		time.Sleep(time.Second) // the other is busy
		own := s.enqueue(theWorker, script{MS: 100})
		time.Sleep(20 * time.Second)
		at := func(k *tracked) bus.NodeID {
			for _, r := range s.ledger.of(k.id) {
				return r.node
			}
			return ""
		}
		for _, k := range others {
			if at(k) != nodeID(theOther) {
				s.note("a task of another ran at %q", at(k))
			}
		}
		if at(pinned) != nodeID(theWorker) || at(own) != nodeID(theWorker) {
			s.note("what is pinned ran at %q, its own at %q", at(pinned), at(own))
		}
	})
	for _, b := range bad {
		t.Error(b)
	}
}

// A host of an earlier version hands over what this machine does not take: the worker gives it back.
func TestClosedWorkerGivesBack(t *testing.T) {
	t.Parallel()
	j := &sched.Job{Task: bus.Task{ID: "t", Type: "work"}, Submitter: a, Custodian: b}
	for closed, want := range map[bool]sched.ActKind{true: sched.HoldBack, false: sched.Run} {
		if got := sched.OnDelivery(nil, sched.Delivery{Delivered: 1}, j, sched.Sighting{Closed: closed}, t0); got.Kind != want {
			t.Errorf("closed %v: %v, want %v", closed, got.Kind, want)
		}
	}
}
