//go:build e2e && linux

package e2e_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/e2e/figures"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
	"github.com/mycoswarm/mycoswarm/e2e/lab"
	"github.com/mycoswarm/mycoswarm/internal/protect"
	"github.com/mycoswarm/mycoswarm/sched"
)

// catalogue is every fault that is promised something, in the order of the page. A row names what
// holds its promise up, all of it where there is more than one thing; TestBothWays runs its test
// without. A protection that has no name yet gets one in internal/protect.
var catalogue = []lab.Fault{
	{
		Key: "worker", Event: "a worker is killed with a task", Promise: "begins elsewhere <= 1 s after",
		Test:    "TestWorkerIsKilled",
		Without: []protect.Protection{sched.ProtectSupervise}, Then: `it begins elsewhere only [0-9.]+m?s after`,
	},
	{
		Key: "midway", Event: "a worker is killed in the middle of an answer", Promise: "the answer is whole, and the same as undisturbed; at most 5 tokens more than remained are made",
		Test:    "TestKilledInMidAnswer",
		Without: []protect.Protection{sched.ProtectContinue}, Then: `\d+ tokens were made after the kill, where \d+ remained`,
		Small: []string{lab.EnvKills + "=3"},
	},
	{
		Key: "worker-off", Event: "a worker is powered off (link down) with a task", Promise: "begins elsewhere <= 5 s after",
		Test:    "TestWorkerIsPoweredOff",
		Without: []protect.Protection{protect.Silence, protect.RoutePing, protect.Lease}, Then: `it begins elsewhere: not within \S+|begins elsewhere only \S+ after`,
	},
	{
		Key: "kills", Event: "workers and hosts of five are killed at random under load", Promise: "0 lost, 0 results told twice",
		Test:    "TestRandomKills",
		Without: []protect.Protection{sched.ProtectHoldBack}, Then: `task \S+ began on \w+ although \w+, which lives, had run it to its end`,
		Small: []string{lab.EnvKills + "=15"},
	},
	{
		Key: "custodians", Event: "both nodes that keep a task die, and return", Promise: "0 lost, nothing finished run again",
		Test:    "TestBothCustodiansDieAndReturn",
		Without: []protect.Protection{sched.ProtectStandIn, sched.ProtectSync, sched.ProtectClaim}, Then: `task \S+ began on \w+ although \w+, which lives, had run it to its end`,
	},
	{
		Key: "freeze", Event: "a worker is stopped (SIGSTOP) with tasks at every step, and goes on", Promise: "its late results are superseded, 0 told twice",
		Test:    "TestWorkerIsFrozen",
		Without: []protect.Protection{sched.ProtectCommit, sched.ProtectKeepFirst, sched.ProtectAskAwake}, Then: `\d+ results were told twice`,
	},
	{
		Key: "engine", Event: "an engine hangs, dribbles, breaks off, fails or talks nonsense", Promise: "answered by another; the hung request is cancelled",
		Test:    "TestEngineMisbehaves",
		Without: []protect.Protection{protect.Watchdog}, Then: `a hung engine's request is not cancelled|engines that misbehave: not within \S+`,
	},
	{
		Key: "host", Event: "the queue host is killed under load, of 3 and of 2", Promise: "0 lost, new work runs <= 1 s after, nothing running is run again",
		Test:    "TestQueueHostIsKilled",
		Without: []protect.Protection{sched.ProtectHoldBack}, Then: `task \S+ (began \d+ times on survivors|ran on a survivor at the kill and began again)`,
	},
	{
		Key: "off", Event: "the queue host is powered off (link down), of 2", Promise: "<= 5 s",
		Test:    "TestQueueHostIsPoweredOff",
		Without: []protect.Protection{protect.Silence, protect.RoutePing}, Then: `the first result on the other node comes only \S+ after|a result on the other node: not within \S+`,
	},
	{
		Key: "partition", Event: "a partition of 5 to 20 s heals, under load", Promise: "0 lost, one swarm <= 10 s after, duplicates counted",
		Test:    "TestPartitionHeals",
		Without: []protect.Protection{protect.OneHost}, Then: `all follow one host and hear all: not within \S+: .*`,
	},
	{
		Key: "silent", Event: "programs connect to the port for routes and say nothing", Promise: "nodes join meanwhile, the daemon answers, nobody is taken for lost",
		Test:    "TestSilentConnectionsToTheRoutePort",
		Without: []protect.Protection{protect.Handshake}, Then: `no answer from the daemon at \S+: .*: i/o timeout`,
	},
	{
		Key: "reboot", Event: "a node starts again with the same identity", Promise: "ready <= 5 s",
		Test:    "TestReboot",
		Without: []protect.Protection{protect.Restart}, Then: `the other sees it ready: not within \S+: 1 ready`,
	},
	{
		Event: "a data directory is cloned", Promise: "the second is refused <= 5 s",
		Test:    "TestCopiedDataDirectory",
		Without: []protect.Protection{protect.Alone, sched.ProtectTwin}, Then: `hangs: .*`,
	},
	{
		Key: "secret", Event: "the secret is wrong or missing", Promise: "no node comes in, and no task goes there; the error names it",
		Test:    "TestBadTokens",
		Without: []protect.Protection{protect.JoinProof, protect.TokenLife}, Then: `hangs: .*`,
	},
	{
		Event: "clocks differ by an hour or a year", Promise: "deadlines travel as time left",
		Test: "TestClocksThatDiffer", Package: "./sched",
		Without: []protect.Protection{protect.TimeLeft}, Then: `ended as .*, want it (done|expired)`,
	},
	{
		Key: "disk", Event: "the disk of the queue host is full", Promise: "refused within 1 s, naming node and path; accepted never lost; resumes by itself",
		Test:    "TestDiskIsFull",
		Without: []protect.Protection{protect.Room}, Then: `new durable tasks are refused: not within \S+: accepted|refused with .*: want the node and the path`,
	},
	{
		Key: "corrupt", Event: "a block of a store is flipped or cut", Promise: "noticed at the start; 0 lost",
		Test:    "TestStoreIsDamaged",
		Without: []protect.Protection{protect.Count}, Then: `the log tells of the loss: not within \S+`,
	},
	{
		Key: "power", Event: "power is lost in the moment after a task is accepted", Promise: "0 lost",
		Test:    "TestPowerIsLost",
		Without: []protect.Protection{protect.Sync}, Then: `no node of the swarm knows task \S+`,
	},
	{
		Key: "all", Event: "every node is killed at once", Promise: "0 lost",
		Test:    "TestEveryNodeIsKilledAtOnce",
		Without: []protect.Protection{protect.Disk}, Then: `no node of the swarm knows task \S+`,
	},
	{
		Key: "poison", Event: "a task kills whoever runs it", Promise: "dead after at most 3 crashes, with the nodes it killed",
		Test:    "TestPoisonTask",
		Without: []protect.Protection{protect.Bury}, Then: `the task begins 4 times: it is not held back after 3 crashes`,
	},
	{
		Key: "flood", Event: "a flood of tasks", Promise: "refused beyond a limit, with the depth and the time to come back; a person goes first",
		Test:    "TestFlood",
		Without: []protect.Protection{protect.Flood}, Then: `\d+ tasks of 480 KiB were taken, and none refused`,
	},
	{
		Key: "payload", Event: "a payload over 1 MiB: 0.9, 1.1 and 64 MB, and 300 MB", Promise: "works up to 256 MiB, both ways; refused beyond it, naming the limit; nothing is left over",
		Test:    "TestBigPayloads",
		Without: []protect.Protection{protect.Collect}, Then: `\d+ files of the kind "[^"]*" are left: not within \S+`,
	},
	{
		Event: "a byte of a large payload is flipped on disk", Promise: "the task gets the right bytes, from the other copy",
		Test:    "TestBigPayloadIsDamaged",
		Without: []protect.Protection{protect.Hash}, Then: `other bytes came back of \S+, .*`,
	},
	{
		Event: "who submitted a large payload is killed", Promise: "its worker gets the payload from the custodian",
		Test:    "TestBigPayloadOutlivesItsSubmitter",
		Without: []protect.Protection{protect.Payload}, Then: `keeps \[\], want 1 payloads`,
	},
	{
		Event: "a request is without end", Promise: "refused, naming the limit",
		Test: "TestSubmit", Package: "./gateway",
		Without: []protect.Protection{protect.BodySize}, Then: `long body of spaces: .*`,
	},
	{
		Event: "a reader of tokens is slow", Promise: "only its own stream lags",
		Test: "TestSlowReader", Package: "./internal/daemon",
		Without: []protect.Protection{protect.Window}, Then: `\d+ bytes wait for a reader with a window of \d+`,
	},
	{
		Key: "leave", Event: "a client leaves at a random byte", Promise: "the engine is told <= 1 s after",
		Test:    "TestClientsLeaveAtRandom",
		Without: []protect.Protection{protect.Left}, Then: `clients that leave: not within \S+`,
	},
	{
		Key: "deadline", Event: "a deadline passes in the queue", Promise: "expired, never started",
		Test:    "TestDeadlineInTheQueue",
		Without: []protect.Protection{protect.Deadline}, Then: `late-\d+ ends: not within \S+: queued`,
	},
	{
		Key: "upgrade", Event: "versions are mixed: three nodes are upgraded in turn under load, and one goes back", Promise: "0 lost, a banner while they differ",
		Test:    "TestRollingUpgrade",
		Without: []protect.Protection{protect.Mix}, Then: `says of versions: .*: not within \S+`,
	},
	{
		Event: "a node speaks no version of the protocol that another does", Promise: "no task goes there, and which to upgrade is said",
		Test:    "TestVersionsApart",
		Without: []protect.Protection{protect.Apart}, Then: `which to upgrade: not within \S+|a says that b is "ready"`,
	},
	{
		Event: "an older program meets a newer store", Promise: "it refuses it",
		Test: "TestDirectoryIsChecked", Package: "./bus/store",
		Without: []protect.Protection{protect.Version}, Then: `written by a newer version: error <nil>, want conflict`,
	},
	{
		Key: "names", Event: "names are equal, and multicast is lost", Promise: "static peers work, seen <= 5 s; each name means one node",
		Test:    "TestEqualNamesWithoutMulticast",
		Without: []protect.Protection{protect.Addresses}, Then: `the swarm settles: not within \S+`,
	},
	{
		Key: "engines", Event: "there is no engine, and one starts later", Promise: "seen <= 5 s, both ways",
		Test:    "TestEngineComesAndGoes",
		Without: []protect.Protection{protect.Looks}, Then: `b sees model \S+ at a: true: not within \S+`,
	},
	{
		Event: "an engine's address is a node's own, or another node's", Promise: "no node is taken for an engine",
		Test: "TestNodesAreNoEngines", Package: "./internal/daemon",
		Without: []protect.Protection{protect.Engines}, Then: `is taken for an engine of kind "\w+"`,
	},
	{
		Key: "stop", Event: "a busy daemon is stopped in good order", Promise: "<= 16 s; the others hear it; what it cannot finish is given back, 0 lost",
		Test:    "TestBusyDaemonStops",
		Without: []protect.Protection{protect.Goodbye}, Then: `has said that it goes: not within \S+`,
	},
	{
		Key: "chaos", Event: "all at once: kills, freezes, partitions, cancels, deadlines, joins, leaves, a revocation", Promise: "0 lost",
		Test:    "TestChaos",
		Without: []protect.Protection{protect.Disk}, Then: `durable task \S+ \(accepted: true, from \w+\) has not one end everywhere`,
		Small: []string{lab.EnvSeconds + "=20"},
	},
}

// reached is what this run has reached, and earlier ones that it goes on from.
var reached struct {
	mu sync.Mutex
	lab.Reached
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
	if err := reached.Row(tested(t), key, count, figure); err != nil {
		t.Errorf("note a row: %v", err)
	}
}

// tested is the version under test.
func tested(t *testing.T) string {
	t.Helper()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	return harness.Revision(context.Background(), root)
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
	p := lab.Page{Version: strings.Join(reached.Versions, " and "), When: time.Now()}
	for _, table := range []struct {
		from []lab.Fault
		to   *[]lab.Fault
	}{{catalogue, &p.Faults}, {attacks, &p.Attacks}} {
		for _, f := range table.from {
			got, ok := reached.Rows[f.Key]
			if f.Key != "" && !ok {
				fmt.Fprintf(os.Stderr, "docs/reliability.md is left as it is: %s has not run\n", f.Test)
				return nil
			}
			if f.Harm = reached.Harm[f.Event]; len(f.Without) > 0 && f.Harm == "" {
				fmt.Fprintf(os.Stderr, "docs/reliability.md is left as it is: %s has not failed without its protection\n", f.Test)
				return nil
			}
			f.Count, f.Figure = got.Count, got.Figure
			*table.to = append(*table.to, f)
		}
	}
	root, err := harness.Root()
	if err != nil {
		return err
	}
	return p.Write(root)
}
