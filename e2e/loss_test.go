//go:build e2e && linux

package e2e_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/figures"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// pace is how long a scripted answer takes where a swarm is killed under load: the 300 tasks
// then last for seconds, and many are under way at any moment.
const pace = 100 * time.Millisecond

func paced(engine.Request) engine.Script { return engine.Script{Before: pace} }

// long is how long every tenth takes: it goes on while there is no queue host.
const long = 1500 * time.Millisecond

func pacedAndLong(r engine.Request) engine.Script {
	if strings.HasSuffix(r.Marker, "0") {
		return engine.Script{Before: long}
	}
	return paced(r)
}

// held lets the first n answers of script go, and holds the others back until free is called: however slowly
// tasks are submitted, the others are left when all are.
func held(n int64, script func(engine.Request) engine.Script) (holding func(engine.Request) engine.Script, free func()) {
	var asked atomic.Int64
	gate := make(chan struct{})
	return func(r engine.Request) engine.Script {
		s := script(r)
		if asked.Add(1) > n {
			s.Gate = gate
		}
		return s
	}, func() { close(gate) }
}

// cluster starts size nodes on loopback, each with a scripted engine and six slots.
func cluster(t *testing.T, ledger *engine.Ledger, size int, script func(engine.Request) engine.Script) []*harness.Node {
	t.Helper()
	s := harness.New(t, programs)
	var nodes []*harness.Node
	for i := range size {
		name := string(rune('a' + i))
		flags := []string{
			"--slots", "6",
			"--engine", startEngine(t, s, engine.Config{Name: name, Ledger: ledger, Script: script}).URL(),
		}
		if i == 0 {
			nodes = append(nodes, s.Found(t, name, flags...))
		} else {
			nodes = append(nodes, s.Join(t, nodes[0], name, flags...))
		}
	}
	harness.Settle(t, nodes...)
	for _, at := range nodes {
		for _, n := range nodes {
			awaitModel(t, at, n.Name, engine.Model, true)
		}
	}
	return nodes
}

// hostAndRest returns the queue host among nodes, and the others.
func hostAndRest(t *testing.T, nodes []*harness.Node) (*harness.Node, []*harness.Node) {
	t.Helper()
	host := harness.Settle(t, nodes...)
	var rest []*harness.Node
	for _, n := range nodes {
		if n != host {
			rest = append(rest, n)
		}
	}
	return host, rest
}

// kill -9 of the queue host under 300 tasks, half of them durable, on three and on two nodes:
// nothing accepted is lost, and nothing that ran on a survivor is started again.
func TestQueueHostIsKilled(t *testing.T) {
	var rows []figures.Row
	var survivor *harness.Node
	for _, size := range []int{3, 2} {
		row := figures.Row{What: fmt.Sprintf("first result on the new host, of %d nodes", size), Promised: time.Second}
		for range figures.Repetitions(1) {
			var took time.Duration
			survivor, took = killHost(t, size)
			row.Samples = append(row.Samples, took)
		}
		rows = append(rows, row)
	}
	samples := append(append([]time.Duration(nil), rows[0].Samples...), rows[1].Samples...)
	reachRow(t, "host", figures.Row{What: "the first result on the new host", Promised: time.Second, Samples: samples})
	record(t, survivor, "host-loss", "The queue host is killed under load",
		fmt.Sprintf("300 tasks of %v each and every tenth of %v, half of them durable (of these half submitted on the host that dies), on processes "+
			"on loopback with six slots each; kill -9 of the queue host once 40 have ended. In every run none that was "+
			"accepted was lost, and none that ran on a survivor was started again. Counted from the kill to the end of the first "+
			"run that began under the new host.", pace, long), rows...)
}

// killHost is one run; it returns a survivor, and the time from the kill to the first result
// on the new host.
func killHost(t *testing.T, size int) (*harness.Node, time.Duration) {
	t.Helper()
	const half, before = 150, 40
	var ledger engine.Ledger
	script, free := held(before, pacedAndLong)
	nodes := cluster(t, &ledger, size, script)
	host, rest := hostAndRest(t, nodes)
	survivor := rest[0]
	announced := nextHost(t, survivor, host.Info.NodeID)
	onHost, onSurvivor := host.Dial(t), survivor.Dial(t)
	ctx := within(t, "300 tasks and a kill")

	d := newDriver(t)
	for i := range half {
		d.submit(ctx, onSurvivor, fmt.Sprintf("attached-%d-%03d", size, i))
		c := onSurvivor
		if i%2 == 0 {
			c = onHost
		}
		d.enqueue(ctx, c, fmt.Sprintf("durable-%d-%03d", size, i))
	}
	finished := func(r engine.Run) bool { return r.Outcome == engine.Finished }
	if runs, err := ledger.Wait(ctx, func(r []engine.Run) bool { return engine.Count(r, finished) >= before }); err != nil {
		t.Fatalf("%d runs: %v", len(runs), err)
	}
	left := 2*half - engine.Count(ledger.Runs(), finished)
	free()
	killed := time.Now()
	host.Kill()

	var newHost time.Time
	select {
	case newHost = <-announced:
	case <-ctx.Done():
		t.Fatal("no other node became queue host")
	}
	runs, err := ledger.Wait(ctx, func(r []engine.Run) bool { return firstAfter(r, newHost) != nil })
	if err != nil {
		t.Fatal(err)
	}
	took := firstAfter(runs, newHost).End.Sub(killed)
	d.audit(ctx, onSurvivor)
	auditRuns(t, &ledger, host, killed, 2*half)
	t.Logf("%d nodes: new host after %v, first result after %v, %d tasks were left", size,
		newHost.Sub(killed).Round(time.Millisecond), took.Round(time.Millisecond), left)
	for _, n := range rest {
		n.Kill()
	}
	return survivor, took
}

// firstAfter returns the first run to finish of those that began after at.
func firstAfter(runs []engine.Run, at time.Time) *engine.Run {
	var first *engine.Run
	for i, r := range runs {
		if r.Outcome == engine.Finished && r.Start.After(at) && (first == nil || r.End.Before(first.End)) {
			first = &runs[i]
		}
	}
	return first
}

// auditRuns reads the engines' half of the ledger: every task ran to its end, none that a
// survivor was running at the kill began a second time, and none ran twice on survivors.
func auditRuns(t *testing.T, ledger *engine.Ledger, dead *harness.Node, killed time.Time, want int) {
	t.Helper()
	tasks := ledger.ByMarker()
	if len(tasks) != want {
		t.Errorf("%d different tasks ran, want %d", len(tasks), want)
	}
	again, running := 0, 0
	for marker, runs := range tasks {
		finished := engine.Count(runs, func(r engine.Run) bool { return r.Outcome == engine.Finished })
		if finished == 0 {
			t.Errorf("task %s never ran to its end: %+v", marker, runs)
		}
		survivors := engine.Count(runs, func(r engine.Run) bool { return r.Engine != dead.Name })
		if survivors > 1 {
			t.Errorf("task %s began %d times on survivors: %+v", marker, survivors, runs)
		}
		held := engine.Count(runs, func(r engine.Run) bool {
			return r.Engine != dead.Name && r.Start.Before(killed) && r.End.After(killed)
		})
		running += held
		if held > 0 && len(runs) > 1 {
			t.Errorf("task %s ran on a survivor at the kill and began again: %+v", marker, runs)
		}
		if len(runs) > 1 {
			again++
		}
	}
	t.Logf("%d tasks ran on survivors at the kill; %d of the dead node's ran again", running, again)
}

// leaseLasts is the least time that a dead worker's lease goes on: 5 s, renewed every second.
const leaseLasts = 4 * time.Second

// kill -9 of a worker: its task runs elsewhere, and does not wait for the lease.
func TestWorkerIsKilled(t *testing.T) {
	row := figures.Row{What: "the task of a killed worker begins elsewhere", Promised: time.Second}
	var host *harness.Node
	for i := range figures.Repetitions(2) {
		var ledger engine.Ledger
		gate := make(chan struct{})
		held := func(r engine.Request) engine.Script { return engine.Script{Gate: gate} }
		nodes := cluster(t, &ledger, 3, held)
		var workers []*harness.Node
		host, workers = hostAndRest(t, nodes)
		c, ctx := host.Dial(t), within(t, "a task whose worker is killed")

		// Fill the host, so that the task that counts runs on one of the others.
		d := newDriver(t)
		victim, marker := (*harness.Node)(nil), ""
		for k := 0; victim == nil; k++ {
			if k > 18 {
				t.Fatal("no worker but the host got a task")
			}
			id := fmt.Sprintf("held-%d-%d", i, k)
			d.submit(ctx, c, id)
			runs, err := ledger.Wait(ctx, func(r []engine.Run) bool { return len(r) == k+1 })
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range workers {
				if w.Name == runs[k].Engine {
					victim, marker = w, id
				}
			}
		}
		killed := time.Now()
		victim.Kill()
		runs, err := ledger.Wait(ctx, func(r []engine.Run) bool { return len(begun(r, marker)) == 2 })
		if err != nil {
			t.Fatalf("task %s: %+v: %v", marker, runs, err)
		}
		second := begun(runs, marker)[1]
		if second.Engine == victim.Name {
			t.Errorf("the task ran again on the engine of the dead worker: %+v", second)
		}
		took := second.Start.Sub(killed)
		row.Samples = append(row.Samples, took)
		if took > leaseLasts {
			t.Errorf("it begins elsewhere only %v after, when the lease of the dead has run out", took.Round(time.Millisecond))
		}
		close(gate)
		d.audit(ctx, c)
		for id := range d.attached {
			if n := len(begun(ledger.Runs(), string(id))); string(id) != marker && n != 1 {
				t.Errorf("task %s began %d times, want once: its worker lives", id, n)
			}
		}
		if n := len(begun(ledger.Runs(), marker)); n != 2 {
			t.Errorf("task %s began %d times, want 2", marker, n)
		}
		for _, n := range nodes {
			n.Kill()
		}
	}
	reachRow(t, "worker", row)
	record(t, host, "worker-loss", "A worker is killed",
		"Three processes on loopback; kill -9 of the one whose engine has the task. Counted from the kill to "+
			"the beginning of the run on another node's engine.", row)
}

func begun(runs []engine.Run, marker string) []engine.Run {
	var of []engine.Run
	for _, r := range runs {
		if r.Marker == marker {
			of = append(of, r)
		}
	}
	return of
}

// Durable tasks survive the death of every node at once, before anything could run them:
// accepted means on disk.
func TestEveryNodeIsKilledAtOnce(t *testing.T) {
	t.Parallel()
	var ledger engine.Ledger
	s := harness.New(t, programs)
	a := s.Found(t, "a")
	b := s.Join(t, a, "b")
	harness.Settle(t, a, b)
	d, ctx := newDriver(t), within(t, "durable tasks and a restart")
	onA, onB := a.Dial(t), b.Dial(t)
	for i := range 20 {
		c := onA
		if i%2 == 0 {
			c = onB
		}
		d.enqueue(ctx, c, fmt.Sprintf("kept-%02d", i))
	}
	a.Kill()
	b.Kill()
	a.Start(t, "--engine", startEngine(t, s, engine.Config{Name: "a", Ledger: &ledger}).URL())
	b.Start(t, "--peer", a.Info.FabricAddr)
	harness.Settle(t, a, b)
	d.audit(ctx, b.Dial(t))
	tasks := ledger.ByMarker()
	if len(tasks) != 20 {
		t.Errorf("%d tasks ran, want 20", len(tasks))
	}
	for marker, runs := range tasks {
		if len(runs) != 1 {
			t.Errorf("task %s began %d times, want once", marker, len(runs))
		}
	}
	reach(t, "all", 1, "0 of 20 lost")
	var info bus.TaskInfo
	if b.JSON(t, &info, "task", "show", "kept-00"); info.State != bus.StateDone || info.NodeID != a.Info.NodeID {
		t.Errorf("task show: %+v, want done, on a", info)
	}
}
