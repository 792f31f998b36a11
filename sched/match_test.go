package sched_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

func head(lane bus.Lane, priority int, model string, open int, waited time.Duration) sched.QueueHead {
	return sched.QueueHead{
		Key:  bus.Key{Lane: lane, Priority: priority, Class: "inference", Model: model},
		Open: open, Oldest: t0.Add(-waited),
	}
}

// slot is a free slot whose node has some models, the first of them loaded.
func slot(id bus.NodeID, bid, free int, models ...string) sched.FreeSlot {
	return sched.FreeSlot{Node: id, Class: "inference", Bid: bid, Free: free, Has: func(k bus.Key) (can, loaded bool) {
		for i, m := range models {
			if m == k.Model {
				return true, i == 0
			}
		}
		return false, false
	}}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	one := head(bus.Batch, 5, "x", 1, 0)
	for _, tt := range []struct {
		name  string
		heads []sched.QueueHead
		slots []sched.FreeSlot
		want  string // pairs of head and slot
	}{
		{"nothing to do", nil, []sched.FreeSlot{slot(a, 0, 1, "x")}, "[]"},
		{"nobody free", []sched.QueueHead{one}, nil, "[]"},
		{"one for one", []sched.QueueHead{one}, []sched.FreeSlot{slot(a, 0, 1, "x")}, "[{0 0}]"},
		{"the lower bid", []sched.QueueHead{one}, []sched.FreeSlot{slot(a, 20, 1, "x"), slot(b, 10, 1, "x")}, "[{0 1}]"},
		{"of equal bids who has more free", []sched.QueueHead{one}, []sched.FreeSlot{slot(a, 0, 1, "x"), slot(b, 0, 2, "x")}, "[{0 1}]"},
		{"then the lower id", []sched.QueueHead{one}, []sched.FreeSlot{slot(b, 0, 1, "x"), slot(a, 0, 1, "x")}, "[{0 1}]"},
		{"who has not the model gets nothing", []sched.QueueHead{one}, []sched.FreeSlot{slot(a, 0, 1, "y"), slot(b, 9, 1, "x")}, "[{0 1}]"},
		{"no more than is open", []sched.QueueHead{one}, []sched.FreeSlot{slot(a, 0, 1, "x"), slot(b, 0, 1, "x")}, "[{0 0}]"},
		{
			"work is spread over nodes",
			[]sched.QueueHead{head(bus.Batch, 5, "x", 3, 0)},
			[]sched.FreeSlot{slot(a, 0, 2, "x"), slot(a, 0, 2, "x"), slot(b, 0, 2, "x"), slot(b, 0, 2, "x")},
			"[{0 0} {0 2} {0 1}]",
		},
		{
			"interactive before batch, however old",
			[]sched.QueueHead{head(bus.Batch, 10, "x", 1, time.Hour), head(bus.Interactive, 1, "x", 1, 0)},
			[]sched.FreeSlot{slot(a, 0, 1, "x")},
			"[{1 0}]",
		},
		{
			"batch before interactive, in the other order",
			[]sched.QueueHead{head(bus.Interactive, 1, "x", 1, 0), head(bus.Batch, 10, "x", 1, time.Hour)},
			[]sched.FreeSlot{slot(a, 0, 1, "x")},
			"[{0 0}]",
		},
		{
			"the older",
			[]sched.QueueHead{head(bus.Batch, 5, "x", 1, 10*ms), head(bus.Batch, 5, "y", 1, 20*ms)},
			[]sched.FreeSlot{slot(a, 0, 1, "z", "x", "y")},
			"[{1 0}]",
		},
		{
			"the loaded model first",
			[]sched.QueueHead{head(bus.Batch, 5, "x", 1, 290*ms), head(bus.Batch, 5, "y", 1, 0)},
			[]sched.FreeSlot{slot(a, 0, 1, "y", "x")},
			"[{1 0}]",
		},
		{
			"unless another is older by 300 ms",
			[]sched.QueueHead{head(bus.Batch, 5, "x", 1, 310*ms), head(bus.Batch, 5, "y", 1, 0)},
			[]sched.FreeSlot{slot(a, 0, 1, "y", "x")},
			"[{0 0}]",
		},
		{
			"a priority is worth two seconds",
			[]sched.QueueHead{head(bus.Batch, 5, "x", 1, 1900*ms), head(bus.Batch, 6, "y", 1, 0)},
			[]sched.FreeSlot{slot(a, 0, 1, "z", "x", "y")},
			"[{1 0}]",
		},
		{
			"and no more",
			[]sched.QueueHead{head(bus.Batch, 5, "x", 1, 2100*ms), head(bus.Batch, 6, "y", 1, 0)},
			[]sched.FreeSlot{slot(a, 0, 1, "z", "x", "y")},
			"[{0 0}]",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := sched.Match(tt.heads, tt.slots, t0)
			if s := fmt.Sprint(got); s != tt.want {
				t.Errorf("got %s, want %s", s, tt.want)
			}
		})
	}
}

func TestBid(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		load sched.Load
		want int
		why  string
	}{
		{sched.Load{Loaded: true, GPU: true}, 0, "model loaded, idle"},
		{sched.Load{Loaded: true, GPU: true, Slots: 2}, 0, "model loaded, idle"},
		{sched.Load{GPU: true}, 20, "+20 no model loaded"},
		{sched.Load{Loaded: true}, 10, "+10 no GPU"},
		{sched.Load{Loaded: true, GPU: true, Slots: 4, Busy: 2}, 15, "+15 2 of 4 slots busy"},
		{sched.Load{Loaded: true, GPU: true, CPUPercent: 55}, 5, "+5 CPU 55 %"},
		{sched.Load{Loaded: true, GPU: true, GPUPercent: 90}, 18, "+18 GPU 90 %"},
		{sched.Load{Loaded: true, Demo: true}, 110, "+10 no GPU, +100 demo model only"},
		{sched.Load{CPUPercent: 9}, 30, "+20 no model loaded, +10 no GPU"},
	} {
		if bid, why := sched.Bid(tt.load); bid != tt.want || why != tt.why {
			t.Errorf("%+v bids %d (%s), want %d (%s)", tt.load, bid, why, tt.want, tt.why)
		}
	}
}
