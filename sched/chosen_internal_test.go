package sched

import (
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Who asks why a node did not get a task reads what was so, and the names of nodes.
func TestWhyNot(t *testing.T) {
	t.Parallel()
	const alpha, beta = bus.NodeID("myco-0000000000a0"), bus.NodeID("myco-0000000000a1")
	seat := func(id bus.NodeID, name string, s Seat) Seat {
		s.Node, s.State, s.Class = id, bus.NodeReady, "work"
		if name != "" {
			s.Info = &bus.NodeInfo{ID: id, Name: name, Types: []string{"work"}}
		}
		return s
	}
	for name, tt := range map[string]struct {
		key  bus.Key
		seat Seat // of beta
		not  string
	}{
		"all are busy":      {bus.Key{}, seat(beta, "beta", Seat{Slots: 2, Busy: 2}), "no slot is free"},
		"one ends soon":     {bus.Key{}, seat(beta, "beta", Seat{Slots: 2, Busy: 2, Soon: 40 * time.Millisecond}), "no slot is free, one in about 40ms"},
		"none asks":         {bus.Key{}, seat(beta, "beta", Seat{Slots: 4, Busy: 1}), "none of its slots asked for work just then: 1 of 4 have a task of this queue"},
		"one has just done": {bus.Key{}, seat(beta, "beta", Seat{Slots: 2, Busy: 1, Soon: time.Millisecond}), "none of its slots asked for work just then: 1 of 2 have a task of this queue"},
		"it never asked":    {bus.Key{}, seat(beta, "beta", Seat{}), "none of its slots asked for work"},
		"pinned":            {bus.Key{Pin: alpha}, seat(beta, "beta", Seat{Slots: 2, Free: 2}), "the task is pinned to alpha"},
		"pinned to one that is not known": {
			bus.Key{Pin: "myco-0000000000a2"}, seat(beta, "beta", Seat{Slots: 2, Free: 2}), "the task is pinned to myco-0000000000a2",
		},
		"pinned, and it is silent": {bus.Key{Pin: alpha}, seat(beta, "", Seat{}), "the task is pinned to alpha"},
	} {
		tt.key.Class = "work"
		x := chosen{task: "t1", key: tt.key, seats: []Seat{seat(alpha, "alpha", Seat{Slots: 1, Free: 1}), tt.seat}}
		for _, b := range x.why(alpha).Bids {
			if b.NodeID == beta && b.Not != tt.not {
				t.Errorf("%s: %q, want %q", name, b.Not, tt.not)
			}
		}
	}
}
