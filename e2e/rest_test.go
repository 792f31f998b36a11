//go:build e2e && linux

package e2e_test

import (
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycoswarm/mycoswarm/e2e/figures"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// What a daemon costs a machine on which nobody asks anything, against a bare NATS server with a route.
func TestAtRest(t *testing.T) {
	program := buildRelay(t)
	near := startRelay(t, program, "node")
	startRelay(t, program, "node", near["route"])
	bare, err := strconv.Atoi(near["pid"])
	if err != nil {
		t.Fatal(err)
	}
	s := harness.New(t, programs)
	a := s.Found(t, "a")
	b := s.Join(t, a, "b")
	harness.Settle(t, a, b)
	alone := harness.New(t, programs).Found(t, "alone")
	harness.Settle(t, alone)

	rows := []figures.Row{
		{What: "a bare NATS server with a route"},
		{What: "a node that is alone", Promised: 30 * time.Millisecond},
		{What: "a node of two, which holds the queue", Promised: 50 * time.Millisecond},
		{What: "the other node of the two", Promised: 50 * time.Millisecond},
	}
	pids := []int{bare, alone.PID(), a.PID(), b.PID()}
	const window = 5 * time.Second
	for round := range 2 + figures.Repetitions(2) {
		var before [4]time.Duration
		for i, pid := range pids {
			before[i] = processorTime(t, pid)
		}
		begin := time.Now()
		next := time.NewTimer(window)
		select {
		case <-next.C:
		case <-t.Context().Done():
			t.Fatal("it ends")
		}
		for i, pid := range pids {
			used := processorTime(t, pid) - before[i]
			if used <= 0 {
				t.Fatalf("%s took %v", rows[i].What, used)
			}
			if round >= 2 { // of the first ten seconds is what comes with a start
				rows[i].Samples = append(rows[i].Samples, time.Duration(float64(used)/time.Since(begin).Seconds()))
			}
		}
	}
	record(t, a, "rest", "A node at rest",
		"Processor time that a process takes in a second in which nobody asks anything, user and system together; 10 ms are one percent of a "+
			"processor. All processes run at the same time on one machine, and a sample is the mean over 5 s. The nodes have the built-in engine, "+
			"heartbeats five times a second and JetStream; the bare server has none of that.", rows...)
}

// processorTime is what a process has taken since its start.
func processorTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|2), &ts); err != nil { // clock_getcpuclockid(3)
		t.Fatal(err)
	}
	return time.Duration(ts.Nano())
}
