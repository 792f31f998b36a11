package sched

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// A machine that was suspended comes back with a clock that stood still. A deadline runs meanwhile, and steps of
// the wall clock change nothing of it.
func TestDeadlineRunsWhileTheMachineIsSuspended(t *testing.T) {
	t.Parallel()
	now, slept := time.Unix(1_700_000_000, 0), time.Hour // it was suspended before
	n := New(Config{ID: "myco-00000000000a", Clock: func() time.Time { return now }, Slept: func() time.Duration { return slept }}, Effects{Wire: &queueOfOne{}})
	j := Job{Task: bus.Task{ID: "t1", Timeout: time.Minute}}
	n.stamp(&j, time.Minute, now)
	now, slept = now.Add(10*time.Second), slept+20*time.Second
	if left, has := n.left(&j, now); !has || left != 30*time.Second || n.expired(&j, now) {
		t.Errorf("after 10 s, and 20 s of sleep, %v of a minute is left, %v", left, has)
	}
	n.stamp(&j, 30*time.Second, now)
	slept += 31 * time.Second
	if left, _ := n.left(&j, now); left != -time.Second || !n.expired(&j, now) {
		t.Errorf("31 s of sleep later %v of 30 s is left", left)
	}
	// What another holder has stamped, or a disk has kept, is counted by wall clocks, which show the sleep.
	var got Job
	if err := bus.Unmarshal(marshal(j), &got); err != nil {
		t.Fatal(err)
	}
	if left, _ := n.left(&got, now.Add(31*time.Second)); left != -time.Second {
		t.Errorf("of what was read %v is left, want the sleep counted once", left)
	}
}

// An open task of a machine that was suspended is fed with what is left by then.
func TestOpenTaskExpiresWhileTheMachineIsSuspended(t *testing.T) {
	t.Parallel()
	now, slept := time.Unix(1_700_000_000, 0), time.Duration(0)
	n := New(Config{ID: "myco-00000000000a", Clock: func() time.Time { return now }, Slept: func() time.Duration { return slept }}, Effects{Wire: &queueOfOne{}})
	n.start = now.Add(-time.Hour)
	j := Job{Task: bus.Task{ID: "t1", Type: "work", Timeout: time.Minute}, Submitter: "myco-00000000000a"}
	n.stamp(&j, time.Minute, now)
	e := &entry{job: j, key: j.key(), out: n.outbox.newStream(false)}
	n.outbox.mu.Lock()
	n.outbox.open(e)
	n.outbox.mu.Unlock()
	n.outbox.expire(t.Context(), now)
	if _, over := n.outbox.over("t1"); over {
		t.Fatal("it has ended at once")
	}
	slept = time.Hour
	n.outbox.expire(t.Context(), now)
	if f, over := n.outbox.over("t1"); !over || f.State != bus.StateExpired {
		t.Errorf("after an hour of sleep its end is %+v, %v", f, over)
	}
}

// Nobody is lost for the silence of a machine that was itself suspended, though its clock shows no gap.
func TestRoutesThatBrokeWhileSuspended(t *testing.T) {
	t.Parallel()
	const other = bus.NodeID("myco-0000000000b0")
	for slept, want := range map[time.Duration]int{0: 1, time.Hour: 0} {
		now, total := time.Unix(1_700_000_000, 0), time.Duration(0)
		wire := &routesNow{to: map[bus.NodeID]bool{other: true}}
		m := newMembers("myco-0000000000b1", wire, slog.New(slog.DiscardHandler))
		m.now, m.slept = func() time.Time { return now }, func() time.Duration { return total }
		m.hear(bus.Heartbeat{Node: other, Boot: "first", Seq: 1, Wire: bus.ThisWire()})
		m.tick()
		total, wire.to = slept, nil // the others have closed the route
		lost := 0
		for range 4 {
			now = now.Add(pollEvery)
			lost += len(m.tick())
		}
		if lost != want {
			t.Errorf("after %v of sleep %d are lost, want %d", slept, lost, want)
		}
	}
}

// A process that stops reads its routes no more while its last tasks end. It has not woken from a gap, and asks nobody whose
// answer it could wait for in vain.
func TestStopIsNoGap(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		n := New(Config{ID: "myco-00000000000a"}, Effects{Wire: &askingWire{}, Queues: noOldQueues{}})
		n.members.tick()
		time.Sleep(wakeGap + time.Millisecond)
		if !n.wokeLately(time.Time{}) {
			t.Error("a gap that is not over is none")
		}
		stop()
		if err := n.electLoop(ctx); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if n.wokeLately(time.Time{}) {
			t.Error("it stops, and takes that for a gap")
		}
	})
}

type noOldQueues struct{ Queues }

func (noOldQueues) Old(context.Context) ([]QueueID, error) { return nil, nil }
