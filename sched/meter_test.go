package sched_test

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

// meter is a sched.Meter that remembers.
type meter struct {
	mu    sync.Mutex
	tasks []string
	ran   []sched.Ran
	// lost are runs that were taken back, and peers those nodes that were lost.
	lost, peers int
}

func (m *meter) do(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

func (m *meter) TaskEnded(typ string, s bus.TaskState, ran bool) {
	m.do(func() { m.tasks = append(m.tasks, fmt.Sprint(typ, " ", s, " ", ran)) })
}
func (m *meter) AttemptEnded(r sched.Ran) { m.do(func() { m.ran = append(m.ran, r) }) }
func (m *meter) AttemptLost()             { m.do(func() { m.lost++ }) }
func (m *meter) PeerLost()                { m.do(func() { m.peers++ }) }

// results tells how the runs on a node went.
func (m *meter) results() (out []bus.EventKind) {
	m.do(func() {
		for _, r := range m.ran {
			out = append(out, r.Result)
		}
	})
	slices.Sort(out)
	return out
}

// losses tells how many runs were taken back, and how many nodes lost.
func (m *meter) losses() (runs, peers int) {
	m.do(func() { runs, peers = m.lost, m.peers })
	return runs, peers
}

func meters(n int) []*meter {
	all := make([]*meter, n)
	for i := range all {
		all[i] = &meter{}
	}
	return all
}

// Who submits a task is told of its end, once; who runs it is told how that went.
func TestMeterOfTasks(t *testing.T) {
	t.Parallel()
	const submitter, w = 0, 1
	ms := meters(2)
	c := setup{nodes: 2, slots: 1, rank: map[int]int{submitter: 1, w: -1}, work: func(i int) bool { return i == w }}
	c.meter = func(i int) sched.Meter { return ms[i] }
	play(t, c, func(s *swarm) {
		s.elected()
		s.submit(submitter, script{MS: 2000, Chunks: 2})
		time.Sleep(time.Second)
		s.enqueue(submitter, script{MS: 1000}) // waits for a second
		time.Sleep(5 * time.Second)
		s.enqueue(submitter, script{Fail: true})
		time.Sleep(time.Second)
		waits := s.enqueue(submitter, script{}, func(t *bus.Task) { t.Type = "paint" })
		if attached, durable := s.nodes[submitter].now().node.OpenTasks(); attached != 0 || durable != 1 {
			s.note("%d attached and %d durable tasks are open, want 0 and 1", attached, durable)
		}
		if err := s.cancel(submitter, waits.id); err != nil {
			s.note("cancel: %v", err)
		}
		time.Sleep(time.Second)
	})
	if want := []string{"work done true", "work done true", "work failed true", "paint cancelled false"}; !slices.Equal(ms[submitter].tasks, want) {
		t.Errorf("the submitter was told of %q, want %q", ms[submitter].tasks, want)
	}
	if len(ms[w].tasks) > 0 || len(ms[submitter].ran) > 0 {
		t.Errorf("the worker was told of the tasks %v, the submitter of the runs %v", ms[w].tasks, ms[submitter].ran)
	}
	if len(ms[w].ran) != 3 {
		t.Fatalf("the worker was told of %+v, want 3 runs", ms[w].ran)
	}
	near := func(got, want time.Duration) bool { return got >= want && got < want+200*time.Millisecond }
	first, second, third := ms[w].ran[0], ms[w].ran[1], ms[w].ran[2]
	if first.Result != bus.EventDone || first.Lane != bus.Interactive || first.Attempt != 1 || first.First == 0 || !near(first.Waited, 0) || !near(first.Took, 2*time.Second) {
		t.Errorf("the first run: %+v", first)
	}
	if second.Result != bus.EventDone || second.Lane != bus.Batch || second.First != 0 || !near(second.Waited, time.Second) || !near(second.Took, time.Second) {
		t.Errorf("the second run: %+v", second)
	}
	if third.Result != bus.EventFailed {
		t.Errorf("the third run: %+v", third)
	}
}

// A run that is given back is told at its worker; one that a lost worker does not end, and the loss, where that is
// noticed.
func TestMeterOfLosses(t *testing.T) {
	t.Parallel()
	const h, a, b = 0, 1, 2
	ms := meters(3)
	c := setup{nodes: 3, slots: 1, rank: map[int]int{h: 1, a: -1, b: -1}, work: func(i int) bool { return i != h }}
	c.meter = func(i int) sched.Meter { return ms[i] }
	play(t, c, func(s *swarm) {
		s.elected()
		for range 2 { // one for each
			s.submit(h, script{MS: 500, Retry: string(s.nodes[a].id)})
		}
		time.Sleep(5 * time.Second)
		if got, want := ms[a].results(), []bus.EventKind{bus.EventRetried}; !slices.Equal(slices.Compact(got), want) {
			s.note("runs of the node that gives tasks back: %v", got)
		}
		if got, want := ms[b].results(), []bus.EventKind{bus.EventDone, bus.EventDone}; !slices.Equal(got, want) {
			s.note("runs of the other: %v", got)
		}
		if runs, peers := ms[h].losses(); runs+peers > 0 {
			s.note("the host was told of %d lost runs and %d lost nodes", runs, peers)
		}
		k := s.enqueue(h, script{MS: 1000})
		time.Sleep(500 * time.Millisecond)
		if q := s.nodes[h].now().node.Queue(); !slices.Equal(q, []bus.QueueCount{{Lane: bus.Interactive}, {Lane: bus.Batch, Running: 1}}) {
			s.note("the queue is told as %+v, want one batch task that runs", q)
		}
		if q := s.nodes[a].now().node.Queue(); q != nil {
			s.note("a node without the queue tells %+v", q)
		}
		s.killForGood(s.running(k))
		time.Sleep(10 * time.Second)
	})
	if ms[h].lost != 1 || ms[a].lost+ms[b].lost != 0 {
		t.Errorf("runs were taken back %d, %d and %d times, want once at the host", ms[h].lost, ms[a].lost, ms[b].lost)
	}
	if ms[h].peers != 1 {
		t.Errorf("the host has lost %d nodes, want 1", ms[h].peers)
	}
}

// Who cancels a task writes its end, and so does a client that leaves: the worker finds that its attempt is not wanted any more.
// Its log tells no news then, as it would a hundred times a day, and its figures tell no run that another one made worthless.
func TestCancelledIsNoNews(t *testing.T) {
	t.Parallel()
	var log lines
	ms := meters(4)
	c := parts(4, theWorker)
	c.log, c.meter = slog.NewTextHandler(&log, nil), func(i int) sched.Meter { return ms[i] }
	play(t, c, func(s *swarm) {
		s.elected()
		for _, give := range []func(int, script, ...option) *tracked{s.enqueue, s.submit} {
			k := give(theSubmitter, script{MS: 5000})
			s.running(k)
			time.Sleep(300 * time.Millisecond) // a heartbeat
			if err := s.cancel(theSubmitter, k.id); err != nil {
				s.note("cancel: %v", err)
			}
			time.Sleep(time.Second)
		}
	})
	if got, want := ms[theWorker].results(), []bus.EventKind{bus.EventCancelled, bus.EventCancelled}; !slices.Equal(got, want) {
		t.Errorf("the worker was told of the runs %q, want %q", got, want)
	}
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, "attempt=") {
			t.Errorf("the log tells of an attempt that was cancelled: %s", line)
		}
	}
}

// A node that says goodbye is not told as lost, in the log.
func TestGoodbyeIsNotLost(t *testing.T) {
	t.Parallel()
	var log lines
	play(t, setup{nodes: 3, log: slog.NewTextHandler(&log, nil)}, func(s *swarm) {
		s.elected()
		s.leaves(2, 5*time.Second)
		time.Sleep(5 * time.Second)
		s.killForGood(1)
		time.Sleep(5 * time.Second)
	})
	for want, n := range map[string]int{
		"msg=\"has said goodbye\" at=0 node=" + string(nodeID(2)): 1, "msg=lost at=0 node=" + string(nodeID(2)): 0, "msg=lost at=0 node=" + string(nodeID(1)): 1,
	} {
		if got := strings.Count(log.String(), want); got != n {
			t.Errorf("%q is told %d times, want %d:\n%s", want, got, n, log.String())
		}
	}
}
