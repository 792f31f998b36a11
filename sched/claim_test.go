package sched_test

import (
	"slices"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

func TestOnDelivery(t *testing.T) {
	t.Parallel()
	running := &sched.Record{State: bus.StateRunning, Worker: b, Attempt: 2, Seq: 5}
	queued := &sched.Record{State: bus.StateQueued, Worker: b, Attempt: 2, Seq: 5}
	done := &sched.Record{State: bus.StateDone, Worker: b, Attempt: 2, Seq: 5}
	crashes := []sched.Crash{{Node: a, Attempt: 1}, {Node: b, Attempt: 2}, {Node: c, Attempt: 3}}
	crashed := &sched.Record{State: bus.StateRunning, Worker: b, Attempt: 2, Seq: 5, Crashes: crashes[1:2]}
	lost := sched.Crash{Node: b, Attempt: 2, Boot: "first"}
	failed := []sched.Failure{{Node: a, Attempt: 1}, {Node: a, Attempt: 2}, {Node: b, Attempt: 3}}
	failing := &sched.Record{State: bus.StateQueued, Worker: b, Attempt: 3, Seq: 5, Failures: failed[1:]}
	fate := func(f sched.Fate) func(sched.Crash) sched.Fate { return func(sched.Crash) sched.Fate { return f } }
	seen := func(f sched.Fate, cs ...sched.Crash) sched.Sighting {
		return sched.Sighting{Crashes: cs, Fate: fate(f)}
	}
	first, again := sched.Delivery{Seq: 5, Delivered: 1}, sched.Delivery{Seq: 5, Delivered: 2}
	copied := sched.Delivery{Seq: 6, Delivered: 1}
	late := sched.Job{Task: bus.Task{Timeout: time.Second}, LeftMS: 1000, Stamp: t0.Add(-time.Second)}
	soon := sched.Job{Task: bus.Task{Timeout: time.Second}, LeftMS: 1000, Stamp: t0.Add(-999 * time.Millisecond)}
	for _, tt := range []struct {
		name    string
		rec     *sched.Record
		d       sched.Delivery
		j       sched.Job
		s       sched.Sighting
		kind    sched.ActKind
		attempt int
		crashes int
	}{
		{"new", nil, first, sched.Job{}, sched.Sighting{}, sched.Run, 1, 0},
		{"tried before", nil, first, sched.Job{}, sched.Sighting{Attempts: 3, Crashes: crashes[:2]}, sched.Run, 4, 2},
		{"its deadline is near", nil, first, soon, sched.Sighting{}, sched.Run, 1, 0},
		{"its deadline passed", nil, first, late, sched.Sighting{}, sched.Expire, 1, 0},
		{"three crashes", nil, first, sched.Job{}, sched.Sighting{Attempts: 3, Crashes: crashes}, sched.Bury, 4, 3},
		{"two failures", nil, first, sched.Job{}, sched.Sighting{Attempts: 2, Failures: failed[:2]}, sched.Run, 3, 0},
		{"three failures", nil, first, sched.Job{}, sched.Sighting{Attempts: 3, Failures: failed}, sched.Bury, 4, 0},
		{"a failure is counted once", failing, again, sched.Job{}, sched.Sighting{Failures: failed[1:]}, sched.TakeOver, 4, 0},
		{"one failure only was told", failing, again, sched.Job{}, sched.Sighting{Failures: failed[:1]}, sched.Bury, 4, 0},
		{"three failures, and the worker of another attempt is lost", failing, again, sched.Job{}, sched.Sighting{Attempts: 4, Crashes: []sched.Crash{lost}, Failures: failed, Fate: fate(sched.Unsure)}, sched.HoldBack, 0, 0},
		{"ten attempts", nil, first, sched.Job{}, sched.Sighting{Attempts: 10}, sched.Bury, 11, 0},
		{"late before dead", nil, first, late, sched.Sighting{Attempts: 3, Crashes: crashes}, sched.Expire, 4, 3},
		{"a live peer runs it", nil, first, sched.Job{}, sched.Sighting{RunningAt: c}, sched.HoldBack, 0, 0},
		{"a live peer runs it, late", nil, first, late, sched.Sighting{RunningAt: c}, sched.HoldBack, 0, 0},
		{"its client is not heard", nil, first, sched.Job{}, sched.Sighting{Unseen: true}, sched.HoldBack, 0, 0},
		{"its client is gone", nil, sched.Delivery{Seq: 5, Delivered: 40}, sched.Job{}, sched.Sighting{Unseen: true}, sched.Abandon, 1, 0},
		{"ended", done, again, sched.Job{}, sched.Sighting{}, sched.Finish, 0, 0},
		{"ended, and a copy", done, copied, sched.Job{}, sched.Sighting{}, sched.Finish, 0, 0},
		{"ended, though late", done, again, late, sched.Sighting{}, sched.Finish, 0, 0},
		{"a copy of what runs", running, copied, sched.Job{}, sched.Sighting{}, sched.Skip, 0, 0},
		{"a copy of what was given back", queued, copied, sched.Job{}, sched.Sighting{}, sched.TakeOver, 3, 0},
		{"given back", queued, again, sched.Job{}, sched.Sighting{}, sched.TakeOver, 3, 0},
		{"its lease lapsed", running, again, sched.Job{}, sched.Sighting{}, sched.TakeOver, 3, 0},
		{"a crash is counted once", crashed, again, sched.Job{}, sched.Sighting{Crashes: crashes[:2]}, sched.TakeOver, 3, 2},
		{"its worker is lost", running, again, sched.Job{}, seen(sched.Unsure, lost), sched.TakeOver, 3, 1},
		{"its worker is back", running, again, sched.Job{}, seen(sched.Returned, lost), sched.TakeOver, 3, 0},
		{"the third worker is lost", running, again, sched.Job{}, seen(sched.Unsure, lost, crashes[0], crashes[2]), sched.HoldBack, 0, 0},
		{"the third worker is lost, and it is late", running, again, late, seen(sched.Unsure, lost, crashes[0], crashes[2]), sched.Expire, 3, 3},
		{"the third worker is back", running, again, sched.Job{}, seen(sched.Returned, lost, crashes[0], crashes[2]), sched.TakeOver, 3, 2},
		{"the third worker is lost for long", running, again, sched.Job{}, seen(sched.Ended, lost, crashes[0], crashes[2]), sched.Bury, 3, 3},
		{"the third worker has told that it crashed", running, again, sched.Job{}, seen(sched.Unsure, lost, crashes[0], crashes[1], crashes[2]), sched.Bury, 3, 3},
		{"the worker of the tenth attempt is lost", nil, first, sched.Job{}, sched.Sighting{Attempts: 10, Crashes: []sched.Crash{lost}, Fate: fate(sched.Unsure)}, sched.HoldBack, 0, 0},
		{"a higher attempt elsewhere", running, again, sched.Job{}, sched.Sighting{Attempts: 6}, sched.TakeOver, 7, 0},
		{"lapsed and late", running, again, late, sched.Sighting{}, sched.Expire, 3, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := sched.OnDelivery(tt.rec, tt.d, &tt.j, tt.s, t0)
			if got.Kind != tt.kind {
				t.Fatalf("%v (%s), want %v", got.Kind, got.Why, tt.kind)
			}
			if tt.attempt > 0 && (got.Attempt != tt.attempt || len(got.Crashes) != tt.crashes) {
				t.Errorf("attempt %d after crashes %v, want attempt %d after %d", got.Attempt, got.Crashes, tt.attempt, tt.crashes)
			}
			if !slices.Equal(crashes, []sched.Crash{{Node: a, Attempt: 1}, {Node: b, Attempt: 2}, {Node: c, Attempt: 3}}) {
				t.Error("it changed its arguments")
			}
		})
	}
}

// The others are asked for the end of what is run again, unless it crashed or was given back each time.
func TestAskBeforeRunningAgain(t *testing.T) {
	t.Parallel()
	record := func(s bus.TaskState) *sched.Record { return &sched.Record{State: s, Worker: b, Attempt: 1, Seq: 5} }
	fate := func(f sched.Fate) func(sched.Crash) sched.Fate { return func(sched.Crash) sched.Fate { return f } }
	crash, lost := sched.Crash{Node: b, Attempt: 1}, sched.Crash{Node: b, Attempt: 1, Boot: "first"}
	for name, tt := range map[string]struct {
		rec  *sched.Record
		s    sched.Sighting
		want bool
	}{
		"new":                              {nil, sched.Sighting{}, false},
		"it crashed":                       {nil, sched.Sighting{Attempts: 1, Crashes: []sched.Crash{crash}}, false},
		"its worker is lost":               {record(bus.StateRunning), sched.Sighting{Crashes: []sched.Crash{lost}, Fate: fate(sched.Unsure)}, false},
		"given back":                       {record(bus.StateQueued), sched.Sighting{}, false},
		"taken from a worker that is back": {record(bus.StateQueued), sched.Sighting{Crashes: []sched.Crash{lost}, Fate: fate(sched.Returned)}, true},
		"its worker is back":               {record(bus.StateRunning), sched.Sighting{Crashes: []sched.Crash{lost}, Fate: fate(sched.Returned)}, true},
		"its worker was not noticed away":  {record(bus.StateRunning), sched.Sighting{}, true},
		"it ran under another host":        {nil, sched.Sighting{Attempts: 1}, true},
	} {
		if got := sched.OnDelivery(tt.rec, sched.Delivery{Seq: 5, Delivered: 2}, &sched.Job{}, tt.s, t0); got.Ask != tt.want {
			t.Errorf("%s: it asks %v, want %v", name, got.Ask, tt.want)
		}
	}
}
