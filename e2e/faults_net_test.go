//go:build e2e && linux

package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/figures"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
	"github.com/mycoswarm/mycoswarm/e2e/lab"
)

// The queue host's link goes down, of two: it is as if it had been powered off. The other one
// hosts, and runs new work and what the silent one had.
func TestQueueHostIsPoweredOff(t *testing.T) {
	t.Parallel()
	var g gates
	c := lab.Start(t, programs, lab.Options{Size: 2, Script: g.script})
	first := figures.Row{What: "the first result on the other node", Promised: 5 * time.Second}
	for round := range figures.Repetitions(2) {
		host := c.Settle()
		other := c.Members[0]
		if other == host {
			other = c.Members[1]
		}
		held := fmt.Sprintf("held%d", round)
		for i := range 6 { // batch work leaves one slot of four free
			c.HandOver(t.Context(), other, lab.Durable(fmt.Sprintf("%s-%d", held, i)))
		}
		awaitRuns(t, c, 6, "every slot of both that batch work may have is taken", func(r engine.Run) bool { return named(held, engine.Running)(r) })
		mine := 0
		for _, r := range c.Ledger.Runs() {
			if r.Engine == other.Name && named(held, engine.Running)(r) {
				mine++
			}
		}
		if mine < 2 || mine > 4 { // one more where an engine did not answer for a moment
			t.Fatalf("%d of 6 tasks run on the node that stays, want about 3", mine)
		}
		down := time.Now()
		plug := c.Unplug(host)
		close(g.of(held)) // the tasks of both end; one side does not hear of the other
		c.HandOver(t.Context(), other, lab.Durable(fmt.Sprintf("free-%d", round)))
		runs, err := c.Ledger.Wait(within(t, "a result on the other node"), func(r []engine.Run) bool { return firstOn(r, other.Name, down) != nil })
		if err != nil {
			t.Fatal(err)
		}
		took := firstOn(runs, other.Name, down).End.Sub(down)
		first.Samples = append(first.Samples, took)
		if took > 3*first.Promised { // the network itself gives up after about 20 s
			t.Errorf("the first result on the other node comes only %v after", took.Round(time.Millisecond))
		}
		plug()
	}
	c.Settle()
	r := c.Audit(lab.Rules{Apart: true})
	for marker, runs := range c.Ledger.ByMarker() {
		if n := engine.Count(runs, func(r engine.Run) bool { return r.Engine == runs[0].Engine }); n != 1 {
			t.Errorf("task %s began %d times on the same node: %+v", marker, n, runs)
		}
	}
	t.Logf("%d of %d runs were again", r.Again, r.Runs)
	reachRow(t, "off", first)
	c.Tidy()
}

// A worker's link goes down with a task, of three: the task begins elsewhere, and what the silent
// one makes of it comes too late.
func TestWorkerIsPoweredOff(t *testing.T) {
	t.Parallel()
	var g gates
	c := lab.Start(t, programs, lab.Options{Size: 3, Script: g.script})
	row := figures.Row{What: "the task of a worker that has vanished begins elsewhere", Promised: 5 * time.Second}
	for round := range figures.Repetitions(2) {
		host := c.Settle()
		held := fmt.Sprintf("held%d", round)
		var victim *lab.Member
		var task string
		for i := 0; victim == nil; i++ {
			c.HandOver(t.Context(), host, lab.Durable(fmt.Sprintf("%s-%d", held, i)))
			awaitRuns(t, c, i+1, "it runs", named(held, engine.Running))
			for _, r := range c.Ledger.Runs() {
				for _, m := range c.Members {
					if m != host && m.Name == r.Engine && named(held, engine.Running)(r) {
						victim, task = m, r.Marker
					}
				}
			}
		}
		down := time.Now()
		plug := c.Unplug(victim)
		again := func(r engine.Run) bool { return r.Marker == task && r.Engine != victim.Name && r.Start.After(down) }
		runs, err := c.Ledger.Wait(within(t, "it begins elsewhere"), func(r []engine.Run) bool { return slices.ContainsFunc(r, again) })
		if err != nil {
			t.Fatal(err)
		}
		took := runs[slices.IndexFunc(runs, again)].Start.Sub(down)
		row.Samples = append(row.Samples, took)
		if took > 3*row.Promised { // the network itself gives up after about 20 s
			t.Errorf("it begins elsewhere only %v after", took.Round(time.Millisecond))
		}
		close(g.of(held))
		plug()
	}
	c.Settle()
	r := c.Audit(lab.Rules{Apart: true})
	t.Logf("%d of %d runs were again, %d superseded", r.Again, r.Runs, r.Superseded)
	reachRow(t, "worker-off", row)
	c.Tidy()
}

// firstOn returns the first run to finish of those that began on an engine after at.
func firstOn(runs []engine.Run, name string, at time.Time) *engine.Run {
	var first *engine.Run
	for i, r := range runs {
		if r.Engine == name && r.Outcome == engine.Finished && r.Start.After(at) && (first == nil || r.End.Before(first.End)) {
			first = &runs[i]
		}
	}
	return first
}

// Five nodes fall apart in two groups for a while and meet again, under load on both sides:
// nothing is lost, and they are one swarm again within ten seconds.
func TestPartitionHeals(t *testing.T) {
	t.Parallel()
	seed := lab.Seed(t, 0)
	r := lab.Rand(seed, 1)
	c := lab.Start(t, programs, lab.Options{Size: 5})
	row := figures.Row{What: "one swarm again", Promised: 10 * time.Second}
	end := c.Load(lab.Load{Every: 100 * time.Millisecond}, lab.Rand(seed, 2))
	for range count(2, 20) {
		long := time.Duration(5000+r.IntN(count(3000, 15000))) * time.Millisecond
		c.Run([]lab.Step{{After: time.Second, Act: lab.Cut, Group: 1 + uint(r.IntN(30)), Lasts: long}}, nil)
		healed := time.Now()
		harness.Poll(t, harness.Patience, "all follow one host and hear all", func() string { return divided(c) })
		row.Samples = append(row.Samples, time.Since(healed))
	}
	end()
	c.Settle()
	rep := c.Audit(lab.Rules{Apart: true})
	reachRow(t, "partition", row)
	reach(t, "partition", len(row.Samples), fmt.Sprintf("0 of %d lost; %s after %s; %d of %d runs were duplicates",
		rep.Accepted+rep.Attached, row.What, figures.Format(row.Median()), rep.Twice, rep.Runs))
	c.Tidy()
}

// divided tells what keeps a crew from being one swarm.
func divided(c *lab.Crew) string {
	var host bus.NodeID
	for _, m := range c.Members {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		st, err := m.Conn.Status(ctx)
		nodes, nerr := m.Conn.Nodes(ctx)
		cancel()
		if err != nil || nerr != nil {
			return fmt.Sprintf("%s: %v, %v", m.Name, err, nerr)
		}
		ready := 0
		for _, n := range nodes {
			if n.State == bus.NodeReady {
				ready++
			}
		}
		if h := st.Swarm.QueueHost; h == "" || host != "" && h != host || ready != len(c.Members) {
			return fmt.Sprintf("%s follows %s and hears %d ready", m.Name, h, ready)
		}
		host = st.Swarm.QueueHost
	}
	return ""
}

// Everything at once: submits, cancels, deadlines, clients that leave, kills, freezes, partitions,
// unplugged nodes, nodes that leave and join and that stop and start, and one that is put out for good
// while another takes its place. Three minutes in all.
func TestChaos(t *testing.T) {
	for name, seed := range map[string]uint64{"fixed": 7, "fresh": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // each on a network of its own, and most of the time both wait
			seed := lab.Seed(t, seed)
			run := time.Duration(lab.Number(t, lab.EnvSeconds, 90)) * time.Second
			t.Logf("%v of chaos with seed %d", run, seed)
			c := lab.Start(t, programs, lab.Options{Size: 5})
			until := time.Now().Add(run)
			end := c.Load(lab.Load{Every: 60 * time.Millisecond, Wild: true}, lab.Rand(seed, 2))
			c.Run(lab.Chaos(lab.Rand(seed, 1), len(c.Members), run), func() bool { return time.Now().Before(until) })
			end()
			c.Settle()
			r := c.Audit(lab.Rules{Apart: true})
			reach(t, "chaos", 1, r.String())
			c.Tidy()
		})
	}
}
