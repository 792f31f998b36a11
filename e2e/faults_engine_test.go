//go:build e2e && linux

package e2e_test

import (
	"fmt"
	"slices"
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

// An engine that hangs before the first token or after some, dribbles, breaks off, stops without
// an end, fails or talks nonsense: the task is answered by another node, its reader sees one
// answer, and the engine that hung is told to stop.
func TestEngineMisbehaves(t *testing.T) {
	t.Parallel()
	const first, token = 2 * time.Second, time.Second
	half := []string{"do", "ne "} // as the others begin
	faults := map[string]engine.Script{
		"silent":   {Words: []string{}, Ending: engine.Hang},
		"hangs":    {Words: half, Ending: engine.Hang},
		"dribbles": {Words: strings.SplitAfter("done once in a long time ", " "), Between: 3 * token},
		"resets":   {Words: half, Ending: engine.Reset},
		"stops":    {Words: half, Ending: engine.Stop},
		"fails":    {Words: half, Ending: engine.Fail},
		"lies":     {Words: half, Ending: engine.Lie},
	}
	var mu sync.Mutex
	begun := map[string]bool{}
	c := lab.Start(t, programs, lab.Options{
		Size:  2,
		Flags: []string{"--slots", "16", "--first-token-limit", first.String(), "--token-limit", token.String()},
		Script: func(r engine.Request) engine.Script {
			mu.Lock()
			defer mu.Unlock()
			kind, _, _ := strings.Cut(r.Marker, "-")
			if begun[r.Marker] {
				return engine.Script{}
			}
			begun[r.Marker] = true
			return faults[kind]
		},
	})
	d, ctx := newDriver(t), within(t, "engines that misbehave")
	d.submit(ctx, c.Members[0].Conn, "silent-alone")
	if _, err := c.Ledger.Wait(ctx, func(r []engine.Run) bool { return len(r) == 2 }); err != nil {
		t.Fatal(err)
	}
	if runs := c.Ledger.Runs(); runs[0].Engine == runs[1].Engine {
		t.Errorf("runs %+v, want the second one on the other engine", runs)
	}
	for kind := range faults {
		d.submit(ctx, c.Members[0].Conn, kind+"-attached")
		d.enqueue(ctx, c.Members[1].Conn, kind+"-durable")
	}
	d.audit(ctx, c.Members[1].Conn)
	if runs, err := c.Ledger.Wait(ctx, func(r []engine.Run) bool {
		return engine.Count(r, func(r engine.Run) bool { return r.Outcome == engine.Running }) == 0
	}); err != nil {
		t.Errorf("a hung engine's request is not cancelled: %+v", runs)
	}
	hung := figures.Row{What: "from the last sign of a hung engine to the end of its request"}
	for marker, runs := range c.Ledger.ByMarker() {
		if len(runs) != 2 || runs[1].Outcome != engine.Finished {
			t.Errorf("task %s: runs %+v, want a second one", marker, runs)
			continue
		}
		switch kind, _, _ := strings.Cut(marker, "-"); kind {
		case "silent", "hangs", "dribbles":
			if runs[0].Outcome != engine.Left {
				t.Errorf("task %s: the hung engine's request is %q, want it cancelled", marker, runs[0].Outcome)
			}
			hung.Samples = append(hung.Samples, runs[0].End.Sub(runs[0].Start))
		}
		info, err := c.Members[0].Conn.Task(ctx, bus.TaskID(marker))
		if err != nil || info.Attempts != 2 {
			t.Errorf("task %s: %d attempts, error %v, want 2", marker, info.Attempts, err)
		}
	}
	// The watchdog looks once a second.
	if limit := figures.Limit * (first + 2*time.Second); hung.Median() > limit {
		t.Errorf("hung requests ended after %v, want within %v", hung.Median(), limit)
	}
	reach(t, "engine", len(faults)*2+1, fmt.Sprintf("a hung request ends after %s, with limits of %v and %v", figures.Format(hung.Median()), first, token))
}

// A request at which every engine hangs, or breaks off, is given up after three attempts, on both nodes; whoever
// waits for it is told so, and the other tasks are done.
func TestEveryEngineMisbehaves(t *testing.T) {
	t.Parallel()
	const first, token = 2 * time.Second, time.Second
	c := lab.Start(t, programs, lab.Options{
		Size:  2,
		Flags: []string{"--first-token-limit", first.String(), "--token-limit", token.String()},
		Script: func(r engine.Request) engine.Script {
			switch kind, _, _ := strings.Cut(r.Marker, "-"); kind {
			case "silent":
				return engine.Script{Words: []string{}, Ending: engine.Hang}
			case "resets":
				return engine.Script{Words: []string{}, Ending: engine.Reset}
			}
			return engine.Script{}
		},
	})
	d, ctx := newDriver(t), within(t, "engines that never answer")
	here := c.Members[0]
	for _, kind := range []string{"silent", "resets"} {
		var err error
		for _, e := range here.Conn.Submit(ctx, lab.Task(kind+"-attached")) {
			err = e // of the end
		}
		wantGivenUp(t, kind+"-attached", bus.AsError(err), "mycod --first-token-limit", "the engine's log")
		if _, err := here.Conn.Enqueue(ctx, lab.Task(kind+"-durable")); err != nil {
			t.Fatal(err)
		}
		id := kind + "-durable"
		harness.Poll(t, harness.Patience, id+" is dead", func() string {
			info, err := here.Conn.Task(ctx, bus.TaskID(id))
			if err != nil || !info.State.Terminal() {
				return fmt.Sprintf("%s, attempt %d, %v", info.State, info.Attempts, err)
			}
			wantGivenUp(t, id, info.Error, "myco dead retry "+id)
			return ""
		})
		if show := here.Myco(t, "dead", "show", id); !strings.Contains(show.Stdout, "gave up after 3 attempts") || !strings.Contains(show.Stdout, "myco dead retry "+id) {
			t.Errorf("myco dead show: %s", show)
		}
	}
	for marker, runs := range c.Ledger.ByMarker() {
		if len(runs) != 3 {
			t.Errorf("task %s: runs %+v, want 3", marker, runs)
		}
		if last := runs[len(runs)-1]; last.Engine == runs[0].Engine && last.Engine == runs[1%len(runs)].Engine {
			t.Errorf("task %s: runs %+v, want some on each node", marker, runs)
		}
	}
	d.enqueue(ctx, here.Conn, "fine-after")
	d.audit(ctx, here.Conn)
}

// wantGivenUp wants the error of a task that was given up, with one of hints.
func wantGivenUp(t *testing.T, id string, e *bus.Error, hints ...string) {
	t.Helper()
	if e == nil || e.Code != bus.CodeDead || !strings.HasPrefix(e.Message, "gave up after 3 attempts in which the engine hung or failed, on ") ||
		!slices.ContainsFunc(hints, func(h string) bool { return strings.Contains(e.Hint, h) }) {
		t.Errorf("task %s: %+v", id, e)
	}
}

// Clients leave at a random byte of their answer: each engine is told within a second.
func TestClientsLeaveAtRandom(t *testing.T) {
	t.Parallel()
	seed := lab.Seed(t, 0)
	r := lab.Rand(seed, 1)
	words := make([]string, 2000)
	for i := range words {
		words[i] = fmt.Sprintf("word%d ", i)
	}
	s := harness.New(t, programs)
	c := lab.Gather(t, s, lab.Options{Size: 2, Script: func(engine.Request) engine.Script {
		return engine.Script{Words: words, Between: 10 * time.Millisecond}
	}})
	row := figures.Row{What: "the engine is told", Promised: time.Second}
	ctx := within(t, "clients that leave")
	for i := range count(8, 40) {
		m := c.Members[i%2]
		id, bytes, abrupt := fmt.Sprintf("left-%d", i), r.IntN(4000), r.IntN(2) == 0
		conn := m.Dial(t)
		stream, err := conn.Start(ctx, lab.Task(id))
		if err != nil {
			t.Fatal(err)
		}
		got, left := 0, time.Time{}
		for chunk, err := range stream.Chunks() {
			if err != nil {
				if left.IsZero() {
					t.Errorf("%s after %d bytes: %v", id, got, err)
				}
				break
			}
			if got += len(chunk.Data); got >= bytes {
				left = time.Now()
				if abrupt {
					conn.Close() // as a process that dies
				}
				break // as a user who presses ^C
			}
		}
		runs, err := c.Ledger.Wait(ctx, func(runs []engine.Run) bool {
			return engine.Count(runs, func(r engine.Run) bool { return r.Marker == id && r.Outcome == engine.Left }) == 1
		})
		if err != nil {
			t.Fatalf("%s (abrupt: %v): %v", id, abrupt, err)
		}
		for _, run := range runs {
			if run.Marker == id {
				row.Samples = append(row.Samples, run.End.Sub(left))
			}
		}
	}
	if n := len(c.Ledger.Runs()); n != len(row.Samples) {
		t.Errorf("%d runs of %d tasks: one whose client left ran again", n, len(row.Samples))
	}
	reachRow(t, "leave", row)
}

// A task kills whoever runs it: after three nodes it is dead, and names them; nobody else runs it.
func TestPoisonTask(t *testing.T) {
	t.Parallel()
	var g gates
	c := lab.Start(t, programs, lab.Options{Size: 5, Script: g.script})
	ctx := within(t, "a task that kills")
	d := newDriver(t)
	from := c.Settle()
	r, err := from.Conn.Enqueue(ctx, lab.Task("poison"))
	if err != nil || !r.Accepted {
		t.Fatalf("enqueue: %+v, %v", r, err)
	}
	for k := 1; k <= 3; k++ {
		runs, err := c.Ledger.Wait(ctx, func(r []engine.Run) bool { return len(r) == k })
		if err != nil {
			t.Fatalf("run %d: %v", k, err)
		}
		for _, m := range c.Members {
			if m.Name == runs[k-1].Engine {
				m.Kill()
				if k == 3 { // it may be behind a link that is down
					heldFor(t, c, c.Members[(c.Index(m)+1)%len(c.Members)], m.Name)
				}
				m.Start(t, m.Flags...)
			}
		}
	}
	c.Settle()
	var info bus.TaskInfo
	harness.Poll(t, harness.Patience/3, "the task is dead", func() string {
		if info, err = from.Conn.Task(ctx, "poison"); err != nil || !info.State.Terminal() {
			return fmt.Sprintf("%s, attempt %d, %v; runs %+v", info.State, info.Attempts, err, c.Ledger.Runs())
		}
		return ""
	})
	runs := c.Ledger.Runs()
	if info.State != bus.StateDead || info.Error == nil || len(runs) != 3 {
		t.Fatalf("task %+v after %d runs, want it dead after 3", info, len(runs))
	}
	for _, run := range runs {
		for _, m := range c.Members {
			if m.Name == run.Engine && !strings.Contains(info.Error.Message, string(m.Info.NodeID)) {
				t.Errorf("the dead letter %q does not name %s, which it killed", info.Error.Message, m.Name)
			}
		}
	}
	d.enqueue(ctx, from.Conn, "free-after")
	d.audit(ctx, from.Conn)
	close(g.of("poison")) // it is cured
	retryDead(t, c)
	reach(t, "poison", 1, fmt.Sprintf("dead after %d crashes, and names them", len(runs)))
	c.Tidy()
}

// heldFor waits until the poison task is held back for the node of a name.
func heldFor(t *testing.T, c *lab.Crew, from *lab.Member, name string) {
	t.Helper()
	want := "held back: it may still run on " + name + ", which has been away for "
	harness.Poll(t, harness.Patience/3, "it is told for whom the task is held back", func() string {
		if n := len(c.Ledger.Runs()); n > 3 {
			t.Fatalf("the task begins %d times: it is not held back after 3 crashes", n)
		}
		show, why := from.Myco(t, "task", "show", "poison"), from.Myco(t, "task", "why", "poison")
		if !strings.Contains(show.Stdout, want) || !strings.Contains(why.Stdout, want) {
			return show.String() + why.String()
		}
		return ""
	})
}

// retryDead hands the one dead letter over again, from some node, and wants it done and the letter gone.
func retryDead(t *testing.T, c *lab.Crew) {
	t.Helper()
	here, there := c.Members[1], c.Members[2]
	var dead []bus.TaskInfo
	here.JSON(t, &dead, "dead", "ls")
	if len(dead) != 1 || dead[0].ID != "poison" || dead[0].Error == nil {
		t.Fatalf("dead letters: %+v", dead)
	}
	var again struct {
		TaskID bus.TaskID `json:"task_id"`
	}
	there.JSON(t, &again, "dead", "retry", "poison")
	harness.Poll(t, harness.Patience, "it is done", func() string {
		var info bus.TaskInfo
		here.JSON(t, &info, "task", "show", string(again.TaskID))
		if info.State != bus.StateDone {
			return string(info.State)
		}
		return ""
	})
	here.JSON(t, &dead, "dead", "ls")
	if r := here.Myco(t, "dead", "rm", "poison"); len(dead) != 0 || r.Code != 3 {
		t.Errorf("dead letters after the retry: %+v; rm: %s", dead, r)
	}
}
