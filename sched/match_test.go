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

// by is h of the user with a share, who has used so much.
func by(share int, used time.Duration, h sched.QueueHead) sched.QueueHead {
	h.Key.Share, h.Used = share, used
	return h
}

// seat is a node with free slots and some models, the first of them loaded. used is how much its owner uses it.
func seat(id bus.NodeID, used, free int, models ...string) sched.Seat {
	info := &bus.NodeInfo{ID: id, Types: []string{"inference"}, Owner: &bus.OwnerUse{Weight: used}}
	for i, m := range models {
		speed := &bus.ModelSpeed{Loading: 10 * time.Millisecond}
		info.Models = append(info.Models, bus.ModelInfo{Name: m, Loaded: i == 0, Speed: speed})
	}
	return sched.Seat{Node: id, State: bus.NodeReady, Info: info, Class: "inference", Free: free}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	one := head(bus.Batch, 5, "x", 1, 0)
	for _, tt := range []struct {
		name  string
		heads []sched.QueueHead
		seats []sched.Seat
		want  string // of head, item and seat
	}{
		{"nothing to do", nil, []sched.Seat{seat(a, 0, 1, "x")}, "[]"},
		{"nobody free", []sched.QueueHead{one}, nil, "[]"},
		{"one for one", []sched.QueueHead{one}, []sched.Seat{seat(a, 0, 1, "x")}, "[{0 0 0}]"},
		{"the lower bid", []sched.QueueHead{one}, []sched.Seat{seat(a, 20, 1, "x"), seat(b, 10, 1, "x")}, "[{0 0 1}]"},
		{"of equal bids who has more free", []sched.QueueHead{one}, []sched.Seat{seat(a, 0, 1, "x"), seat(b, 0, 2, "x")}, "[{0 0 1}]"},
		{"then the lower id", []sched.QueueHead{one}, []sched.Seat{seat(b, 0, 1, "x"), seat(a, 0, 1, "x")}, "[{0 0 1}]"},
		{"who has not the model gets nothing", []sched.QueueHead{one}, []sched.Seat{seat(a, 0, 1, "y"), seat(b, 9, 1, "x")}, "[{0 0 1}]"},
		{"no more than is open", []sched.QueueHead{one}, []sched.Seat{seat(a, 0, 1, "x"), seat(b, 0, 1, "x")}, "[{0 0 0}]"},
		{
			"work is spread over nodes",
			[]sched.QueueHead{head(bus.Batch, 5, "x", 3, 0)},
			[]sched.Seat{seat(a, 0, 2, "x"), seat(b, 0, 2, "x")},
			"[{0 0 0} {0 1 1} {0 2 0}]",
		},
		{
			"interactive before batch, however old",
			[]sched.QueueHead{head(bus.Batch, 10, "x", 1, time.Hour), head(bus.Interactive, 1, "x", 1, 0)},
			[]sched.Seat{seat(a, 0, 1, "x")},
			"[{1 0 0}]",
		},
		{
			"batch before interactive, in the other order",
			[]sched.QueueHead{head(bus.Interactive, 1, "x", 1, 0), head(bus.Batch, 10, "x", 1, time.Hour)},
			[]sched.Seat{seat(a, 0, 1, "x")},
			"[{0 0 0}]",
		},
		{
			"the older",
			[]sched.QueueHead{head(bus.Batch, 5, "x", 1, 10*ms), head(bus.Batch, 5, "y", 1, 20*ms)},
			[]sched.Seat{seat(a, 0, 1, "z", "x", "y")},
			"[{1 0 0}]",
		},
		{
			"the loaded model first",
			[]sched.QueueHead{head(bus.Batch, 5, "x", 1, 290*ms), head(bus.Batch, 5, "y", 1, 0)},
			[]sched.Seat{seat(a, 0, 1, "y", "x")},
			"[{1 0 0}]",
		},
		{
			"unless another is older by 300 ms",
			[]sched.QueueHead{head(bus.Batch, 5, "x", 1, 310*ms), head(bus.Batch, 5, "y", 1, 0)},
			[]sched.Seat{seat(a, 0, 1, "y", "x")},
			"[{0 0 0}]",
		},
		{
			"a priority is worth two seconds",
			[]sched.QueueHead{head(bus.Batch, 5, "x", 1, 1900*ms), head(bus.Batch, 6, "y", 1, 0)},
			[]sched.Seat{seat(a, 0, 1, "z", "x", "y")},
			"[{1 0 0}]",
		},
		{
			"and no more",
			[]sched.QueueHead{head(bus.Batch, 5, "x", 1, 2100*ms), head(bus.Batch, 6, "y", 1, 0)},
			[]sched.Seat{seat(a, 0, 1, "z", "x", "y")},
			"[{0 0 0}]",
		},
		{
			"of who has used less, the older",
			[]sched.QueueHead{by(1, time.Second, head(bus.Batch, 5, "x", 1, 90*ms)), by(2, 0, head(bus.Batch, 5, "y", 1, 10*ms)), by(2, 0, head(bus.Batch, 5, "z", 1, 20*ms))},
			[]sched.Seat{seat(a, 0, 1, "w", "x", "y", "z")},
			"[{2 0 0}]",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, _ := sched.Match(tt.heads, tt.seats, sched.Rules{}, t0)
			if s := fmt.Sprint(got); s != tt.want {
				t.Errorf("got %s, want %s", s, tt.want)
			}
		})
	}
}
