//go:build e2e && linux

package e2e_test

import (
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/e2e/figures"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
	"github.com/mycoswarm/mycoswarm/e2e/lab"
)

// catalogue is every fault that is promised something, in the order of the page.
var catalogue = []lab.Fault{
	{Key: "worker", Event: "a worker is killed with a task", Promise: "begins elsewhere <= 1 s after", Test: "TestWorkerIsKilled"},
	{Key: "kills", Event: "workers and hosts of five are killed at random under load", Promise: "0 lost, 0 results told twice", Test: "TestRandomKills"},
	{Key: "custodians", Event: "both nodes that keep a task die, and return", Promise: "0 lost, nothing finished run again", Test: "TestBothCustodiansDieAndReturn"},
	{Key: "freeze", Event: "a worker is stopped (SIGSTOP) with tasks at every step, and goes on", Promise: "its late results are superseded, 0 told twice", Test: "TestWorkerIsFrozen"},
	{Key: "engine", Event: "an engine hangs, dribbles, breaks off, fails or talks nonsense", Promise: "answered by another; the hung request is cancelled", Test: "TestEngineMisbehaves"},
	{Key: "host", Event: "the queue host is killed under load, of 3 and of 2", Promise: "0 lost, new work runs <= 1 s after, nothing running is run again", Test: "TestQueueHostIsKilled"},
	{Key: "off", Event: "the queue host is powered off (link down), of 2", Promise: "<= 5 s", Test: "TestQueueHostIsPoweredOff"},
	{Key: "partition", Event: "a partition of 5 to 20 s heals, under load", Promise: "0 lost, one swarm <= 10 s after, duplicates counted", Test: "TestPartitionHeals"},
	{Key: "reboot", Event: "a node starts again with the same identity", Promise: "ready <= 5 s", Test: "TestReboot"},
	{Event: "a data directory is cloned", Promise: "the second is refused <= 5 s", Test: "TestCopiedDataDirectory"},
	{Event: "the secret is wrong or missing", Promise: "no task goes there; the log names it", Test: "TestBadTokens"},
	{Event: "clocks differ by an hour or a year", Promise: "deadlines travel as time left", Test: "TestClocksThatDiffer (sched)"},
	{Key: "disk", Event: "the disk of the queue host is full", Promise: "refused within 1 s, naming node and path; accepted never lost; resumes by itself", Test: "TestDiskIsFull"},
	{Key: "corrupt", Event: "a block of a store is flipped or cut", Promise: "noticed at the start; 0 lost", Test: "TestStoreIsDamaged"},
	{Key: "power", Event: "power is lost in the moment after a task is accepted", Promise: "0 lost", Test: "TestPowerIsLost"},
	{Key: "all", Event: "every node is killed at once", Promise: "0 lost", Test: "TestEveryNodeIsKilledAtOnce"},
	{Key: "poison", Event: "a task kills whoever runs it", Promise: "dead after at most 3 crashes, with the nodes it killed", Test: "TestPoisonTask"},
	{Key: "flood", Event: "a flood of tasks", Promise: "refused beyond a limit, with the depth and the time to come back; a person goes first", Test: "TestFlood"},
	{Key: "payload", Event: "a payload over 1 MiB: 0.9, 1.1 and 64 MB, and 300 MB", Promise: "works up to 256 MiB, both ways; refused beyond it, naming the limit; nothing is left over", Test: "TestBigPayloads"},
	{Event: "a reader of tokens is slow", Promise: "only its own stream lags", Test: "TestSlowReader (internal/daemon)"},
	{Key: "leave", Event: "a client leaves at a random byte", Promise: "the engine is told <= 1 s after", Test: "TestClientsLeaveAtRandom"},
	{Key: "deadline", Event: "a deadline passes in the queue", Promise: "expired, never started", Test: "TestDeadlineInTheQueue"},
	{Event: "versions are mixed", Promise: "an older program refuses a newer store", Test: "TestDirectoryIsChecked"},
	{Event: "names are equal, or multicast is lost", Promise: "static peers work", Test: "TestWaysToJoin"},
	{Event: "there is no engine, and one starts later", Promise: "seen <= 5 s, both ways", Test: "TestEngineComesAndGoes"},
	{Key: "chaos", Event: "all at once: kills, freezes, partitions, cancels, deadlines, joins, leaves", Promise: "0 lost", Test: "TestChaos"},
}

// reached is what this run has reached, by the key of the fault.
var reached struct {
	mu      sync.Mutex
	version string
	rows    map[string]lab.Fault
}

// reach notes that a fault's test passed: how often the fault was made, and the figure. A test
// that has failed notes nothing.
func reach(t *testing.T, key string, count int, figure string) {
	t.Helper()
	t.Logf("%s: %d times: %s", key, count, figure)
	if t.Failed() {
		return
	}
	reached.mu.Lock()
	defer reached.mu.Unlock()
	if reached.rows == nil {
		reached.rows = map[string]lab.Fault{}
	}
	reached.rows[key] = lab.Fault{Count: count, Figure: figure}
}

// reachRow checks a time against its promise as the pages of figures do, and notes it.
func reachRow(t *testing.T, key string, r figures.Row) {
	t.Helper()
	if len(r.Samples) == 0 {
		t.Errorf("%s: nothing was measured", r.What)
		return
	}
	if r.Promised > 0 && r.Median() > figures.Limit*r.Promised {
		t.Errorf("%s: median %s, over %d times the promised %s", r.What, figures.Format(r.Median()), figures.Limit, figures.Format(r.Promised))
	}
	reach(t, key, len(r.Samples), fmt.Sprintf("%s after %s", r.What, figures.Format(r.Median())))
}

// writeCatalogue writes docs/reliability.md, when it is asked for and every test of it has passed.
func writeCatalogue() error {
	if os.Getenv(figures.EnvRecord) != "1" {
		return nil
	}
	reached.mu.Lock()
	defer reached.mu.Unlock()
	p := lab.Page{Version: reached.version, When: time.Now()}
	for _, f := range catalogue {
		got, ok := reached.rows[f.Key]
		if f.Key != "" && !ok {
			fmt.Fprintf(os.Stderr, "docs/reliability.md is left as it is: %s has not run\n", f.Test)
			return nil
		}
		f.Count, f.Figure = got.Count, got.Figure
		p.Faults = append(p.Faults, f)
	}
	root, err := harness.Root()
	if err != nil {
		return err
	}
	return p.Write(root)
}
