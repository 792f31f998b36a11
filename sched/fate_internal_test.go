package sched

import (
	"log/slog"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// TestFate asks what has become of a worker that was lost, at several moments.
func TestFate(t *testing.T) {
	t.Parallel()
	const worker = bus.NodeID("myco-0000000000b0")
	lost := Crash{Node: worker, Attempt: 1, Boot: "first"}
	beat := func(boot string, seq uint64, up time.Duration) func(*members) {
		return func(m *members) {
			m.hear(bus.Heartbeat{Node: worker, Boot: boot, Seq: seq, UptimeMS: up.Milliseconds()})
		}
	}
	silent := func(m *members) { m.peers[worker].State = bus.NodeLost }
	nothing := func(*members) {}
	type step struct {
		at   time.Duration
		do   func(*members)
		want Fate
	}
	for name, steps := range map[string][]step{
		"it was never heard here": {{time.Second, nothing, Unsure}, {2 * time.Minute, nothing, Unsure}, {4 * time.Minute, nothing, Ended}},
		"it is heard again": {
			{0, beat("first", 1, time.Minute), Unsure},
			{3 * time.Second, silent, Unsure},
			{5 * time.Second, beat("first", 2, time.Minute), Returned},
		},
		"this node has not noticed yet": {{0, beat("first", 1, time.Minute), Unsure}, {200 * time.Millisecond, beat("first", 2, time.Minute), Unsure}},
		"it is lost once more": {
			{0, beat("first", 1, time.Minute), Unsure}, {time.Second, beat("first", 2, time.Minute), Returned}, {4 * time.Second, silent, Unsure},
		},
		"it has said goodbye": {{0, beat("first", 1, time.Minute), Unsure}, {time.Second, func(m *members) {
			m.bye(bus.Heartbeat{Node: worker, Boot: "first", Seq: 2})
		}, Returned}},
		"it has started again": {
			{0, beat("first", 1, time.Minute), Unsure},
			{time.Minute, beat("second", 1, time.Second), Unsure},
			{65 * time.Second, nothing, Unsure},
			{70 * time.Second, nothing, Ended},
		},
		"it stays away": {{0, beat("first", 1, time.Minute), Unsure}, {3 * time.Second, silent, Unsure}, {2 * time.Minute, nothing, Unsure}, {4 * time.Minute, nothing, Ended}},
		"this node has slept": {
			{0, beat("first", 1, time.Minute), Unsure}, {4 * time.Minute, func(m *members) { m.wokeAt = m.now() }, Unsure}, {8 * time.Minute, silent, Ended},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Unix(1_700_000_000, 0)
			now := start
			m := newMembers("myco-0000000000b1", nil, slog.New(slog.DiscardHandler))
			m.now, m.began = func() time.Time { return now }, start
			for _, s := range steps {
				now = start.Add(s.at)
				s.do(m)
				if got := m.fate("t1", lost); got != s.want {
					t.Fatalf("after %v: %v, want %v", s.at, got, s.want)
				}
			}
		})
	}
}
