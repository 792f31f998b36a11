package sched_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

const year = 365 * 24 * time.Hour

// skews are clocks that are wrong in the ways that clocks are.
var skews = map[string]map[int]time.Duration{
	"the worker's is an hour ahead":     {theWorker: time.Hour},
	"the worker's is a year behind":     {theWorker: -year},
	"the submitter's is an hour behind": {theSubmitter: -time.Hour},
	"the submitter's is a year ahead":   {theSubmitter: year},
	"the host's is a year behind":       {theHost: -year},
	"all differ":                        {theHost: time.Hour, theSubmitter: -year, theWorker: year},
}

// Deadlines travel as time left: whatever clocks show, a task gets its time, and no more.
func TestClocksThatDiffer(t *testing.T) {
	t.Parallel()
	for name, skew := range skews {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := parts(4, theWorker, theOther)
			c.skew = skew
			play(t, c, func(s *swarm) {
				s.elected()
				var done []*tracked
				for range 4 {
					done = append(done, s.submit(theSubmitter, script{MS: 300, Chunks: 2}, timeout(5*time.Second)),
						s.enqueue(theSubmitter, script{MS: 300}, timeout(5*time.Second)),
						s.enqueue(theWorker, script{MS: 300}, timeout(5*time.Second)))
				}
				late := []*tracked{
					s.submit(theSubmitter, script{MS: 9000}, timeout(2*time.Second)),
					s.enqueue(theSubmitter, script{MS: 9000}, timeout(2*time.Second)),
					s.enqueue(theSubmitter, script{}, timeout(2*time.Second), func(t *bus.Task) { t.Type = "paint" }),
				}
				time.Sleep(4 * time.Second)
				s.kill(theHost) // the next one knows the ends
				time.Sleep(4 * time.Second)
				for _, k := range done {
					if ends := s.ends(k); k.err != nil || len(ends) != 1 || ends[0].End.State != bus.StateDone {
						s.note("task %s, %v: ended as %v, want it done", k.id, k.err, states(ends))
					}
					s.ranOnce("it had ended", k.id)
				}
				for _, k := range late {
					if ends := s.ends(k); k.err != nil || len(ends) != 1 || ends[0].End.State != bus.StateExpired {
						s.note("task %s, %v: ended as %v, want it expired", k.id, k.err, states(ends))
					}
				}
			})
		})
	}
}

// states are how ends say that a task ended.
func states(ends []bus.Chunk) (all []bus.TaskState) {
	for _, c := range ends {
		all = append(all, c.End.State)
	}
	return all
}

// Ends are kept by the clock of who keeps them.
func TestRetentionWithClocksThatDiffer(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"the worker's is a year behind", "all differ"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := parts(3, theWorker)
			c.skew, c.retention = skews[name], 12*time.Minute
			play(t, c, func(s *swarm) {
				s.elected()
				p := s.nodes[theSubmitter].now()
				if _, err := p.node.Enqueue(p.life, bus.Task{Type: "work", Payload: []byte(`{"ms":20}`)}, 2); err != nil {
					s.note("enqueue: %v", err)
				}
				time.Sleep(11 * time.Minute)
				if n := s.held(); n != 4 {
					s.note("after 11 minutes of 12 the stores hold %d messages, want a task and its end in each of two", n)
				}
				if !s.until(15*time.Minute, func() bool { return s.held() == 0 }) {
					s.note("after 26 minutes the stores still hold %d messages", s.held())
				}
			})
		})
	}
}

// Whoever hears a clock that is wrong says so once, and tells how wrong it is.
func TestSkewIsTold(t *testing.T) {
	t.Parallel()
	var log lines
	play(t, setup{nodes: 3, skew: map[int]time.Duration{2: -time.Hour}, log: slog.NewTextHandler(&log, nil)}, func(s *swarm) {
		s.elected()
		time.Sleep(2 * time.Minute)
		for _, of := range s.nodes {
			for at, p := range of.now().node.View().Peers {
				want := s.skew[index(s, at)] - s.skew[of.i]
				if d := p.Skew - want; d.Abs() > 10*time.Millisecond {
					s.note("node %d sees that the clock of %s is %v ahead, want %v", of.i, at, p.Skew, want)
				}
			}
		}
	})
	// Two of node 2, and node 2 of two.
	if n := strings.Count(log.String(), "clock of a node differs"); n != 4 {
		t.Errorf("the logs tell %d times of clocks, want 4:\n%s", n, log.String())
	}
}

func index(s *swarm, id bus.NodeID) int {
	for _, n := range s.nodes {
		if n.id == id {
			return n.i
		}
	}
	return -1
}

// lines is a log that goroutines share.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
