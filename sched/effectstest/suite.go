// Package effectstest is the contract of sched.Effects as tests: whatever implements it passes
// Run, over sockets or in memory. It knows nothing of how the effects are done.
package effectstest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

// Limit is how long anything may take that a test waits for, as Pass counts it.
const Limit = 30 * time.Second

// poll is how often a test looks for what has no signal.
const poll = 2 * time.Millisecond

// Swarm is two nodes that reach each other and each other's outboxes.
type Swarm struct {
	IDs [2]bus.NodeID
	// Effects returns the effects of node i since its last start.
	Effects func(i int) sched.Effects
	// Restart ends node i, keeps its disk, and starts it again. It returns when the nodes
	// reach each other.
	Restart func(i int)
	// Pass lets a time go by, by the clock that leases are measured with.
	Pass func(time.Duration)
}

// Factory starts a Swarm whose deliveries come again when they are not settled for lease, and
// ends it with the test.
type Factory func(t *testing.T, lease time.Duration) *Swarm

// never is a lease that no test outlives.
const never = time.Hour

// Run tests the effects of the swarms that start makes, a new one for each test.
func Run(t *testing.T, start Factory) {
	RunIn(t, func(t *testing.T, f func(*testing.T)) { f(t) }, start)
}

// RunIn is Run with each test called by bubble, which synctest.Test may be.
func RunIn(t *testing.T, bubble func(*testing.T, func(*testing.T)), start Factory) {
	tests := []struct {
		name  string
		lease time.Duration
		run   func(*env)
	}{
		{"Wire/Publish", never, testPublish},
		{"Queue/FeedOnce", never, testFeedOnce},
		{"Queue/FetchOldest", never, testFetchOldest},
		{"Queue/FetchNothing", never, testFetchNothing},
		{"Queue/Hand", never, testHand},
		{"Queue/HandNobody", never, testHandNobody},
		{"Queue/HandGranted", never, testHandGranted},
		{"Queue/HandGrantedNobody", never, testHandGrantedNobody},
		{"Queue/HandOtherTerm", never, testHandOtherTerm},
		{"Queue/Direct", never, testDirect},
		{"Queue/Nak", never, testNak},
		{"Queue/NakDelay", never, testNakDelay},
		{"Queue/LeaseEnds", time.Second, testLeaseEnds},
		{"Queue/Progress", 3 * time.Second, testProgress},
		{"Queue/AckFromAnyNode", never, testAckFromAnyNode},
		{"Queue/Free", never, testFree},
		{"Queue/Counts", never, testCounts},
		{"Queue/Keys", never, testKeys},
		{"Queue/DropKey", never, testDropKey},
		{"Queue/Discard", never, testDiscard},
		{"Queue/OldAndDrop", never, testOldAndDrop},
		{"Queue/TwoQueues", never, testTwoQueues},
		{"Queue/Watch", never, testWatchStored},
		{"Claim/CompareAndSet", never, testClaims},
		{"Claim/OneWins", never, testOneClaimWins},
		{"Claim/Watch", never, testWatchClaims},
		{"Claim/ThenPublish", never, testClaimThenPublish},
		{"Outbox/OneStore", never, testOutboxOneStore},
		{"Outbox/TwoStores", never, testOutboxTwoStores},
		{"Outbox/Task", never, testOutboxTask},
		{"Outbox/Pending", never, testOutboxPending},
		{"Outbox/FirstEndStays", never, testFirstEndStays},
		{"Outbox/Ensure", never, testEnsure},
		{"Outbox/Load", never, testLoad},
		{"Outbox/Watch", never, testOutboxWatch},
		{"Outbox/Forget", never, testForget},
		{"Blob/PutGetDrop", never, testBlobs},
		{"Blob/Restart", never, testBlobsRestart},
		{"Disk/Term", never, testTerm},
		{"Disk/Journal", never, testJournal},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := start(t, tt.lease)
				ctx, cancel := context.WithTimeout(t.Context(), 2*Limit)
				defer cancel()
				tt.run(&env{T: t, Swarm: s, ctx: ctx})
			})
		})
	}
}

// env is what a test works with.
type env struct {
	*testing.T
	*Swarm
	ctx context.Context //nolint:containedctx // the test's own, for all its calls
}

func (e *env) check(err error) {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
}

func (e *env) is(err, want error) {
	e.Helper()
	if !errors.Is(err, want) {
		e.Fatalf("got error %v, want %v", err, want)
	}
}

// until waits until ok.
func (e *env) until(ok func() bool, what string) {
	e.Helper()
	for range int(Limit / poll) {
		if ok() {
			return
		}
		e.Pass(poll)
	}
	e.Fatalf("not within %v: %s", Limit, what)
}

// Keys of all kinds of names.
var (
	keyA = bus.Key{Lane: bus.Interactive, Priority: 5, Class: "inference", Model: "qwen2.5:14b"}
	keyB = bus.Key{Lane: bus.Batch, Priority: 10, Class: "ping"}
)

// keyC has the longest model name, and the pin of a node.
func (e *env) keyC() bus.Key {
	long := make([]byte, 256)
	for i := range long {
		long[i] = "hf.co/x:"[i%8]
	}
	return bus.Key{Lane: bus.Batch, Priority: 1, Class: "inference", Model: string(long), Pin: e.IDs[1]}
}

// open makes a queue on node 0 with keys, and waits until both nodes have heard of it.
func (e *env) open(term uint64, keys ...bus.Key) sched.QueueID {
	e.Helper()
	q := sched.QueueID{Host: e.IDs[0], Term: term}
	e.check(e.Effects(0).Open(e.ctx, q))
	for _, k := range keys {
		e.check(e.Effects(0).AddKey(e.ctx, q, k))
	}
	for i := range 2 {
		e.until(func() bool {
			_, err := e.Effects(i).UpdateClaim(e.ctx, q, sched.Claim{Task: "nobody", Key: keyA}, nil, 1, nil)
			return errors.Is(err, sched.ErrConflict)
		}, "news of the queue")
	}
	return q
}

// feed feeds from a node until the queue has it: a new queue is heard of a moment later.
func (e *env) feed(i int, q sched.QueueID, k bus.Key, id bus.TaskID, data string) {
	e.Helper()
	e.feedNeeding(i, q, k, id, sched.Need{}, data)
}

// feedNeeding is feed of a task with a need.
func (e *env) feedNeeding(i int, q sched.QueueID, k bus.Key, id bus.TaskID, need sched.Need, data string) {
	e.Helper()
	var err error
	e.until(func() bool {
		err = e.Effects(i).Feed(e.ctx, q, k, id, need, []byte(data))
		return err == nil
	}, "feed")
}

// fetch takes a message that must come.
func (e *env) fetch(i int, q sched.QueueID, k bus.Key) sched.Delivery {
	e.Helper()
	var d sched.Delivery
	e.until(func() bool {
		var err error
		d, err = e.Effects(i).Fetch(e.ctx, q, k, 0)
		if err != nil && !errors.Is(err, sched.ErrNotFound) {
			e.Fatal(err)
		}
		return err == nil
	}, "a message of "+k.String())
	if d.Key != k {
		e.Fatalf("delivery of key %v, want %v", d.Key, k)
	}
	return d
}

// none checks that key has nothing to fetch.
func (e *env) none(i int, q sched.QueueID, k bus.Key) {
	e.Helper()
	d, err := e.Effects(i).Fetch(e.ctx, q, k, 0)
	if !errors.Is(err, sched.ErrNotFound) {
		e.Fatalf("fetched %q, sequence %d, error %v; want %v", d.Data, d.Seq, err, sched.ErrNotFound)
	}
}

// count returns what q holds of key.
func (e *env) count(q sched.QueueID, k bus.Key) sched.KeyCount {
	e.Helper()
	all, err := e.Effects(0).Counts(e.ctx, q)
	e.check(err)
	for _, c := range all {
		if c.Key == k {
			return c
		}
	}
	return sched.KeyCount{} // not heard of
}

// empty waits until q holds nothing of key.
func (e *env) empty(q sched.QueueID, k bus.Key) {
	e.Helper()
	e.until(func() bool { c := e.count(q, k); return c.Pending+c.Unacked == 0 }, "an empty queue")
}
