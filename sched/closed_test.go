package sched_test

import (
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// A machine that its owner keeps runs what is its own, and nothing else.
func TestClosedNodeTakesNoWorkOfOthers(t *testing.T) {
	t.Parallel()
	c := parts(4, theWorker, theOther)
	c.owner = func(i int) *bus.OwnerUse {
		if i == theWorker {
			return &bus.OwnerUse{Closed: true, Why: "until 17:00"}
		}
		return nil
	}
	bad := simulate(t, c, func(s *swarm) {
		s.elected()
		var others []*tracked
		for range 20 {
			others = append(others, s.enqueue(theSubmitter, script{MS: 100}))
		}
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
		if at(own) != nodeID(theWorker) {
			s.note("its own ran at %q", at(own))
		}
	})
	for _, b := range bad {
		t.Error(b)
	}
}
