//go:build e2e && linux

package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/figures"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// An engine that starts after the daemon is used, one that stops is not asked any more; the
// capabilities follow. A peer sees both.
func TestEngineComesAndGoes(t *testing.T) {
	var ledger engine.Ledger
	s := harness.New(t, programs)
	addr := freeAddr(t)
	a := s.Found(t, "a", "--engine", "http://"+addr)
	b := s.Join(t, a, "b")
	harness.Settle(t, a, b)
	var came, went []time.Duration
	for i := range figures.Repetitions(1) {
		eng, err := engine.Start(t.Context(), addr, engine.Config{Name: "a", Ledger: &ledger})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		awaitModel(t, b, "a", engine.Model, true)
		came = append(came, time.Since(start))
		if caps := b.View(t).Node("a").Capabilities; !inference(caps) {
			t.Errorf("capabilities %v, want an inference one", caps)
		}
		marker := fmt.Sprintf("run-%d", i)
		if got := ask(t, b, engine.Prompt(marker)); got.Text != "done "+marker || got.NodeName != "a" {
			t.Errorf("answer %+v, want a's", got)
		}
		if err := eng.Stop(); err != nil {
			t.Fatal(err)
		}
		start = time.Now()
		awaitModel(t, b, "a", engine.Model, false)
		went = append(went, time.Since(start))
		if caps := b.View(t).Node("a").Capabilities; inference(caps) {
			t.Errorf("capabilities %v, want no inference one", caps)
		}
	}
	rows := []figures.Row{
		{What: "an engine that started is noticed", Promised: 5 * time.Second, Samples: came},
		{What: "an engine that stopped is noticed", Promised: 5 * time.Second, Samples: went},
	}
	reachRow(t, "engines", rows[0])
	reachRow(t, "engines", rows[1])
	reach(t, "engines", len(came), fmt.Sprintf("capability there after %s, gone after %s", figures.Format(rows[0].Median()), figures.Format(rows[1].Median())))
	record(t, b, "engines", "An engine starts, or stops, under a running daemon",
		"Two processes on loopback. Counted until `myco swarm` on the other node shows it.", rows...)
}

func inference(capabilities []string) bool {
	return slices.ContainsFunc(capabilities, func(c string) bool { return strings.HasSuffix(c, "_inference") })
}

// A model that nobody has: whoever waits is told who has what, and a durable task waits.
func TestUnknownModel(t *testing.T) {
	t.Parallel()
	var ledger engine.Ledger
	s := harness.New(t, programs)
	a := s.Found(t, "a", "--engine", startEngine(t, s, engine.Config{Name: "a", Ledger: &ledger}).URL())
	awaitModel(t, a, "a", engine.Model, true)

	r := a.Myco(t, "ask", "-m", "absent:7b", engine.Prompt("never"))
	if r.Code != 3 || !strings.Contains(r.Stderr, "absent:7b") || !strings.Contains(r.Stderr, engine.Model) {
		t.Errorf("%s\nwant exit code 3, the model asked for, and who has which", r)
	}
	if r.Stdout != "" {
		t.Errorf("stdout %q, want nothing", r.Stdout)
	}

	r = a.Myco(t, "ask", "--detach", "--json", "-m", "absent:7b", engine.Prompt("waits"))
	var receipt bus.Receipt
	if r.Code != 0 {
		t.Fatalf("%s", r)
	}
	lastObject(t, r, &receipt)
	if !receipt.Accepted || receipt.ID == "" || !strings.Contains(r.Stderr+receipt.Warning, "absent:7b") {
		t.Errorf("%s\nwant it accepted, with a warning that names the model", r)
	}
	var info bus.TaskInfo
	if a.JSON(t, &info, "task", "show", string(receipt.ID)); info.State != bus.StateQueued || info.Attempts != 0 {
		t.Errorf("task %+v, want it queued and never tried", info)
	}

	// Nothing is lost: once a node has the model, the task runs.
	b := s.Join(t, a, "b", "--engine",
		startEngine(t, s, engine.Config{Name: "b", Ledger: &ledger, Models: []string{"absent:7b"}}).URL())
	harness.Poll(t, harness.Patience, "the task that waited runs", func() string {
		if b.JSON(t, &info, "task", "show", string(receipt.ID)); info.State != bus.StateDone {
			return fmt.Sprintf("%+v", info)
		}
		return ""
	})
	if info.NodeID != b.Info.NodeID || info.Attempts != 1 {
		t.Errorf("task %+v, want one attempt, on b", info)
	}
	if runs := ledger.Runs(); len(runs) != 1 || runs[0].Engine != "b" || runs[0].Marker != "waits" {
		t.Errorf("runs %+v, want one of the task that waited", runs)
	}
}

// An engine that breaks off in the middle: the task runs again, and its reader sees one
// answer, not a splice of two.
func TestEngineBreaksOff(t *testing.T) {
	t.Parallel()
	for ending, name := range map[engine.Ending]string{engine.Reset: "reset", engine.Hang: "stop"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var ledger engine.Ledger
			s := harness.New(t, programs)
			first := make(chan struct{}, 1)
			first <- struct{}{}
			script := func(engine.Request) engine.Script {
				select {
				case <-first:
					return engine.Script{Words: []string{"done "}, Ending: ending}
				default:
					return engine.Script{}
				}
			}
			engines := map[string]*engine.Engine{}
			for _, node := range []string{"a", "b"} {
				engines[node] = startEngine(t, s, engine.Config{Name: node, Ledger: &ledger, Script: script})
			}
			a := s.Found(t, "a", "--engine", engines["a"].URL())
			b := s.Join(t, a, "b", "--engine", engines["b"].URL())
			harness.Settle(t, a, b)
			awaitModel(t, a, "a", engine.Model, true)
			awaitModel(t, a, "b", engine.Model, true)

			d, ctx := newDriver(t), within(t, "a task whose engine breaks off")
			d.submit(ctx, a.Dial(t), "broken")
			runs, err := ledger.Wait(ctx, func(r []engine.Run) bool { return len(r) > 0 })
			if err != nil {
				t.Fatal(err)
			}
			if ending == engine.Hang {
				if err := engines[runs[0].Engine].Stop(); err != nil {
					t.Fatal(err)
				}
			}
			d.audit(ctx, a.Dial(t))
			if n := len(ledger.Runs()); n != 2 {
				t.Errorf("%d runs, want 2: %+v", n, ledger.Runs())
			}
		})
	}
}

// Whoever asked leaves: the engine is told within a second, and no node is busy afterwards.
func TestLeavingCancels(t *testing.T) {
	t.Parallel()
	var ledger engine.Ledger
	s := harness.New(t, programs)
	eng := startEngine(t, s, engine.Config{Name: "a", Ledger: &ledger, Script: func(engine.Request) engine.Script {
		return engine.Script{Words: []string{"one "}, Ending: engine.Hang}
	}})
	a := s.Found(t, "a", "--engine", eng.URL())
	b := s.Join(t, a, "b")
	harness.Settle(t, a, b)
	awaitModel(t, b, "a", engine.Model, true)

	cli := b.LaunchMyco(t, "ask", engine.Prompt("left"))
	ctx := within(t, "a client that leaves")
	if _, err := ledger.Wait(ctx, func(r []engine.Run) bool { return len(r) == 1 }); err != nil {
		t.Fatal(err)
	}
	cli.Kill()
	gone := time.Now()
	runs, err := ledger.Wait(ctx, func(r []engine.Run) bool { return r[0].Outcome == engine.Left })
	if err != nil {
		t.Fatal(err)
	}
	if took := runs[0].End.Sub(gone); took > figures.Limit*time.Second {
		t.Errorf("the engine was told after %v, want within %v", took, figures.Limit*time.Second)
	}
	harness.Poll(t, harness.Patience, "no node is busy", func() string {
		if v := b.View(t); v.Node("a").Busy != 0 {
			return fmt.Sprintf("%+v", v)
		}
		return ""
	})
	if n := len(ledger.Runs()); n != 1 {
		t.Errorf("%d runs, want 1: a task whose client left is not tried again", n)
	}
}
