//go:build e2e && linux

package e2e_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/figures"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
	"github.com/mycoswarm/mycoswarm/e2e/lab"
)

// gates hold engines back by the first word of a task's name.
type gates struct {
	mu   sync.Mutex
	open map[string]chan struct{}
}

func (g *gates) of(kind string) chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open == nil {
		g.open = map[string]chan struct{}{}
	}
	if g.open[kind] == nil {
		g.open[kind] = make(chan struct{})
	}
	return g.open[kind]
}

// script holds back every task but those called free-...
func (g *gates) script(r engine.Request) engine.Script {
	kind, _, _ := strings.Cut(r.Marker, "-")
	if kind == "free" {
		return engine.Script{}
	}
	return engine.Script{Gate: g.of(kind)}
}

// awaitRuns waits until n runs match.
func awaitRuns(t *testing.T, c *lab.Crew, n int, what string, match func(engine.Run) bool) {
	t.Helper()
	if runs, err := c.Ledger.Wait(within(t, what), func(r []engine.Run) bool { return engine.Count(r, match) >= n }); err != nil {
		t.Fatalf("%s: %+v: %v", what, runs, err)
	}
}

// awaitIdle waits until m has written the ends of all that it ran.
func awaitIdle(t *testing.T, m *lab.Member) {
	t.Helper()
	harness.Poll(t, harness.Patience, m.Name+" runs nothing", func() string {
		if busy := m.View(t).Node(m.Name).Busy; busy > 0 {
			return fmt.Sprintf("%d slots are busy", busy)
		}
		return ""
	})
}

func named(prefix string, o engine.Outcome) func(engine.Run) bool {
	return func(r engine.Run) bool { return strings.HasPrefix(r.Marker, prefix) && r.Outcome == o }
}

// Both nodes that keep some tasks on disk die at once and return: nothing is lost, and nothing
// that was finished before, or meanwhile on others, runs again.
func TestBothCustodiansDieAndReturn(t *testing.T) {
	rounds := count(1, 10)
	for round := range rounds {
		var g gates
		c := lab.Start(t, programs, lab.Options{Size: 4, Script: g.script})
		host := c.Settle()
		var submitter *lab.Member
		var others []*lab.Member
		for _, m := range c.Members {
			switch {
			case m == host:
			case submitter == nil:
				submitter = m
			default:
				others = append(others, m)
			}
		}
		for i := range 10 {
			c.HandOver(t.Context(), submitter, lab.Durable(fmt.Sprintf("free-%d", i)))
		}
		awaitRuns(t, c, 10, "ten tasks end before", named("free-", engine.Finished))
		for i := range 24 { // 16 slots, of which batch work leaves four free: some wait
			c.HandOver(t.Context(), submitter, lab.Durable(fmt.Sprintf("held-%d", i)))
		}
		awaitRuns(t, c, 12, "every slot that batch work may have is taken", named("held-", engine.Running))
		submitter.Kill()
		host.Kill()
		c.Book.Hurt(submitter.Name, lab.Kill)
		c.Book.Hurt(host.Name, lab.Kill)
		c.Book.Hurt("", lab.Host)
		// What runs on the others ends while both are away.
		close(g.of("held"))
		awaitRuns(t, c, 6, "the others' tasks end meanwhile", func(r engine.Run) bool {
			return named("held-", engine.Finished)(r) && (r.Engine == others[0].Name || r.Engine == others[1].Name)
		})
		// Their ends are written, wherever that is: only then is there something to forget.
		for _, m := range others {
			awaitIdle(t, m)
		}
		submitter.Start(t, submitter.Flags...)
		host.Start(t, host.Flags...)
		c.Settle()
		// What the submitter would wrongly feed again begins before this, which it feeds last.
		c.HandOver(t.Context(), submitter, lab.Durable("free-after"))
		awaitRuns(t, c, 11, "a task that is submitted after all that", named("free-", engine.Finished))
		r := c.Audit(lab.Rules{})
		if r.Accepted != 35 {
			t.Errorf("%d tasks were accepted, want 35", r.Accepted)
		}
		if round < rounds-1 {
			for _, m := range c.Members {
				m.Kill()
			}
			continue
		}
		c.Tidy()
		reach(t, "custodians", rounds, fmt.Sprintf("0 of %d lost, 0 finished ones run again", 35*rounds))
	}
}

// The worker is frozen with tasks at every step (before the first token, within the answer, and
// in the moment of the end) until others have taken over, and goes on: what it then brings is
// superseded, and no result is told twice.
func TestWorkerIsFrozen(t *testing.T) {
	t.Parallel()
	seed := lab.Seed(t, 0)
	r := lab.Rand(seed, 1)
	var g gates
	c := lab.Start(t, programs, lab.Options{Size: 3, Script: func(req engine.Request) engine.Script {
		s := g.script(req)
		if strings.HasPrefix(req.Marker, "within") {
			s = engine.Script{Words: []string{"done ", "", req.Marker}, Between: 1500 * time.Millisecond}
		}
		return s
	}})
	late, ends := 0, 0
	rounds := count(2, 20)
	for round := range rounds {
		host := c.Settle()
		// Submitter and host keep the tasks, and are not frozen.
		i := (c.Index(host) + 1 + r.IntN(2)) % 3
		victim, by := c.Members[i], c.Members[3-i-c.Index(host)]
		for i := range 6 {
			for _, kind := range []string{"before", "within", "end"} {
				c.HandOver(t.Context(), by, lab.Durable(fmt.Sprintf("%s%d-%d", kind, round, i)))
			}
		}
		mine := func(r engine.Run) bool {
			return r.Engine == victim.Name && r.Outcome == engine.Running && strings.Contains(r.Marker, fmt.Sprintf("%d-", round))
		}
		awaitRuns(t, c, 3, "the worker's slots are taken", mine) // but for one of four, which batch work leaves free
		close(g.of(fmt.Sprintf("end%d", round)))
		c.Run([]lab.Step{{After: time.Duration(r.IntN(4000)) * time.Microsecond, Act: lab.Freeze, Pick: c.Index(victim), Lasts: 6 * time.Second}}, nil)
		close(g.of(fmt.Sprintf("before%d", round)))
		ends += 18
	}
	c.Settle()
	rep := c.Audit(lab.Rules{Apart: true})
	late = rep.Superseded
	if rep.Doubled > 0 {
		t.Errorf("%d results were told twice", rep.Doubled)
	}
	if late == 0 {
		t.Error("no attempt was superseded: the worker was not frozen for long enough")
	}
	reach(t, "freeze", rounds, fmt.Sprintf("%d tasks, %d late results superseded, 0 told twice", ends, late))
	c.Tidy()
}

// A node is killed and starts again with the same identity, again and again.
func TestReboot(t *testing.T) {
	t.Parallel()
	c := lab.Start(t, programs, lab.Options{Size: 2})
	row := figures.Row{What: "ready again to the others", Promised: 5 * time.Second}
	for range count(3, 50) {
		m, other := c.Members[1], c.Members[0]
		id := m.Info.NodeID
		m.Kill()
		start := time.Now()
		m.Start(t, m.Flags...)
		harness.Poll(t, harness.Patience, "the other sees it ready", func() string {
			if v := other.View(t); v.Ready() != 2 {
				return fmt.Sprintf("%d ready", v.Ready())
			}
			return ""
		})
		row.Samples = append(row.Samples, time.Since(start))
		if m.Info.NodeID != id {
			t.Fatalf("it came back as %s, was %s", m.Info.NodeID, id)
		}
	}
	reachRow(t, "reboot", row)
	c.Tidy()
}

// A task whose deadline passes in the queue ends as expired, is never started, and stays so when
// an engine comes.
func TestDeadlineInTheQueue(t *testing.T) {
	t.Parallel()
	var ledger engine.Ledger
	s := harness.New(t, programs)
	eng := startEngine(t, s, engine.Config{Name: "a", Ledger: &ledger})
	addr := eng.Addr()
	if err := eng.Stop(); err != nil {
		t.Fatal(err)
	}
	a := s.Found(t, "a", "--engine", "http://"+addr)
	b := s.Join(t, a, "b")
	harness.Settle(t, a, b)
	ctx := within(t, "deadlines in the queue")
	conns := []*bus.Conn{a.Dial(t), b.Dial(t)}
	n := count(10, 50)
	for i := range n {
		task := lab.Task(fmt.Sprintf("late-%d", i))
		task.Timeout = time.Second
		if r, err := conns[i%2].Enqueue(ctx, task); err != nil || !r.Accepted {
			t.Fatalf("enqueue: %+v, %v", r, err)
		}
	}
	for i := range n {
		id := bus.TaskID(fmt.Sprintf("late-%d", i))
		harness.Poll(t, harness.Patience, string(id)+" ends", func() string {
			info, err := conns[0].Task(ctx, id)
			if err != nil || !info.State.Terminal() {
				return fmt.Sprintf("%s, %v", info.State, err)
			}
			if info.State != bus.StateExpired || info.Error == nil || !strings.Contains(info.Error.Message, "never started") {
				t.Errorf("%s is %s, %v: want it expired, never started", id, info.State, info.Error)
			}
			return ""
		})
	}
	again, err := engine.Start(t.Context(), addr, engine.Config{Name: "a", Ledger: &ledger})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := again.Stop(); err != nil {
			t.Error(err)
		}
	}()
	awaitModel(t, b, "a", engine.Model, true)
	d := newDriver(t)
	d.enqueue(ctx, conns[1], "in-time") // queued behind whatever may be left
	d.audit(ctx, conns[0])
	if runs := ledger.Runs(); len(runs) != 1 || runs[0].Marker != "in-time" {
		t.Errorf("runs %+v, want one, of the task without a deadline", runs)
	}
	reach(t, "deadline", n, "0 started")
}
