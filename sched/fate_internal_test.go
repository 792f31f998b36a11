package sched

import (
	"log/slog"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

type step struct {
	at   time.Duration
	do   func(*members)
	want Fate
}

// starts is a node whose daemon ends 5 s after each start.
func starts(beat func(boot string, seq uint64, up time.Duration) func(*members)) []step {
	out := []step{{0, beat("first", 1, time.Minute), Unsure}}
	for at := 5 * time.Second; at < 3*time.Minute; at += 5 * time.Second {
		out = append(out, step{at, beat("start at "+at.String(), 1, time.Second), Unsure})
	}
	return append(out, step{4 * time.Minute, beat("last", 1, time.Second), Ended})
}

// sleeps is a machine under load, whose daemon stands still for a second and a half in every half a minute.
func sleeps(beat func(boot string, seq uint64, up time.Duration) func(*members), sleep func(time.Duration) func(*members)) []step {
	out := []step{{0, beat("first", 1, time.Minute), Unsure}}
	for at := 30 * time.Second; at < 3*time.Minute; at += 30 * time.Second {
		out = append(out, step{at, sleep(1500 * time.Millisecond), Unsure})
	}
	return append(out, step{4 * time.Minute, sleep(1500 * time.Millisecond), Ended})
}

// TestFate asks what has become of a worker that was lost, at several moments.
func TestFate(t *testing.T) {
	t.Parallel()
	const worker = bus.NodeID("myco-0000000000b0")
	lost := Crash{Node: worker, Attempt: 1, Boot: "first"}
	beat := func(boot string, seq uint64, up time.Duration) func(*members) {
		return func(m *members) {
			m.hear(bus.Heartbeat{Node: worker, Boot: boot, Seq: seq, Wire: bus.ThisWire(), UptimeMS: up.Milliseconds()})
		}
	}
	silent := func(m *members) { m.peers[worker].State = bus.NodeLost }
	nothing := func(*members) {}
	sleep := func(d time.Duration) func(*members) { // until now
		return func(m *members) {
			m.wokeAt = m.now()
			m.listened -= d
		}
	}
	for name, steps := range map[string][]step{
		"it was never heard here": {{time.Second, nothing, Unsure}, {2 * time.Minute, nothing, Unsure}, {4 * time.Minute, nothing, Ended}},
		"it is heard again": {
			{0, beat("first", 1, time.Minute), Unsure},
			{3 * time.Second, silent, Unsure},
			{5 * time.Second, beat("first", 2, time.Minute+5*time.Second), Returned},
		},
		"it is heard for the first time": {
			{0, nothing, Unsure},
			{3 * time.Second, beat("first", 1, time.Minute), Unsure},
			{4 * time.Second, beat("first", 2, time.Minute+time.Second), Returned},
		},
		"this node has not noticed yet": {
			{0, beat("first", 1, time.Minute), Unsure}, {200 * time.Millisecond, beat("first", 2, time.Minute+200*time.Millisecond), Unsure},
		},
		"its last words come late": {
			{0, beat("first", 1, time.Minute), Unsure}, {5 * time.Second, beat("first", 2, time.Minute+200*time.Millisecond), Unsure},
		},
		"it is lost once more": {
			{0, beat("first", 1, time.Minute), Unsure}, {time.Second, beat("first", 2, time.Minute+time.Second), Returned}, {4 * time.Second, silent, Unsure},
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
		"it has started again, and this node slept": {
			{0, beat("first", 1, time.Minute), Unsure},
			{time.Minute, beat("second", 1, time.Second), Unsure},
			{80 * time.Second, sleep(19 * time.Second), Unsure},
			{90 * time.Second, nothing, Ended},
		},
		"it has started again before this is asked": {
			{0, beat("second", 1, time.Minute), Unsure},
			{time.Second, beat("second", 2, time.Minute+time.Second), Ended},
		},
		"only its start before was heard here": {
			{0, beat("before", 9, time.Hour), Unsure},
			{time.Minute, silent, Unsure},
			{2 * time.Minute, nothing, Unsure},
			{4 * time.Minute, nothing, Ended},
		},
		"only its start before was heard here, and then itself": {
			{0, beat("before", 9, time.Hour), Unsure},
			{time.Minute, beat("first", 1, 2*time.Minute), Unsure},
			{62 * time.Second, beat("first", 2, 2*time.Minute+2*time.Second), Returned},
		},
		"only its start before was heard here, and then its next": {
			{0, beat("before", 9, time.Hour), Unsure},
			{time.Minute, beat("second", 1, time.Second), Unsure},
			{70 * time.Second, nothing, Ended},
		},
		"it starts again and again": starts(beat),
		"it stays away":             {{0, beat("first", 1, time.Minute), Unsure}, {3 * time.Second, silent, Unsure}, {2 * time.Minute, nothing, Unsure}, {4 * time.Minute, nothing, Ended}},
		"this node has slept": {
			{0, beat("first", 1, time.Minute), Unsure}, {4 * time.Minute, sleep(4 * time.Minute), Unsure}, {8 * time.Minute, silent, Ended},
		},
		"this node sleeps again and again": sleeps(beat, sleep),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Unix(1_700_000_000, 0)
			now := start
			m := newMembers("myco-0000000000b1", nil, slog.New(slog.DiscardHandler))
			m.now = func() time.Time { return now }
			for _, s := range steps {
				m.listened += start.Add(s.at).Sub(now)
				now = start.Add(s.at)
				s.do(m)
				if got := m.fate("t1", lost); got != s.want {
					t.Fatalf("after %v: %v, want %v", s.at, got, s.want)
				}
			}
		})
	}
}

// noRoutes is a Wire without routes.
type noRoutes struct{ Wire }

func (noRoutes) Routes() map[bus.NodeID]bool { return nil }

// A process that stands still hears nobody: that time counts for nothing.
func TestListened(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	m := newMembers("myco-0000000000b1", noRoutes{}, slog.New(slog.DiscardHandler))
	m.now = func() time.Time { return now }
	for _, gap := range []time.Duration{0, time.Second, time.Hour, 500 * time.Millisecond} {
		now = now.Add(gap)
		m.tick()
	}
	if m.listened != 1500*time.Millisecond {
		t.Errorf("it has listened for %v, want the hour left out", m.listened)
	}
}

// A start that is known counts before one that was not heard, and an end that is known before both.
func TestMergeCrashes(t *testing.T) {
	t.Parallel()
	crash := func(boot string) []Crash { return []Crash{{"myco-0000000000b0", 1, boot}} }
	for _, c := range [][3]string{{unheard, "first", "first"}, {"first", unheard, "first"}, {unheard, "", ""}, {"first", "", ""}, {"", "first", ""}} {
		if got := mergeCrashes(crash(c[0]), crash(c[1])); len(got) != 1 || got[0].Boot != c[2] {
			t.Errorf("%q and %q: %v, want %q", c[0], c[1], got, c[2])
		}
	}
}

// Whoever asks is told for what a task is held back, until nobody holds it back any more.
func TestHeld(t *testing.T) {
	t.Parallel()
	const worker = bus.NodeID("myco-0000000000b0")
	m := newMembers("myco-0000000000b1", nil, slog.New(slog.DiscardHandler))
	tells := func(want string) {
		t.Helper()
		m.fate("t1", Crash{worker, 1, "first"})
		m.noteHeld("t1", Crash{worker, 1, "first"})
		if got := m.heldBack("t1"); got != "held back: it may still run on "+want {
			t.Errorf("it is %q, want %q", got, want)
		}
	}
	tells("myco-0000000000b0, which this node has not heard; after 3m0s the task is dead")
	m.hear(bus.Heartbeat{Node: worker, Boot: "first", Seq: 1, Wire: bus.ThisWire(), Info: &bus.NodeInfo{Name: "beta"}})
	m.listened += 42 * time.Second
	tells("beta, which has been away for 42s; after 3m0s the task is dead")
	m.hear(bus.Heartbeat{Node: worker, Boot: "second", Seq: 1, Wire: bus.ThisWire()})
	tells("beta, which has started again, and may tell its end; 10s after that the task is dead")
	m.listened += heldNews
	if got := m.heldBack("t1"); got != "" {
		t.Errorf("what is not held back any more is %q", got)
	}
}
