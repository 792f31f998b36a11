package jet

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/bus/fabric/fabrictest"
	"github.com/mycoswarm/mycoswarm/sched"
)

// The records of ends go when they are old, and the oldest sooner when they are too many; those of
// runs, and of ends that were written anew, stay.
func TestClaimsExpire(t *testing.T) {
	t.Parallel()
	c := newClaims(func(sched.Msg) error { return nil })
	now := time.Unix(0, 0)
	put := func(id bus.TaskID, state bus.TaskState, size int, rev uint64) uint64 {
		t.Helper()
		rev, err := c.put(sched.Claim{Task: id, State: state}, make([]byte, size), rev, nil, now)
		if err != nil {
			t.Fatal(err)
		}
		return rev
	}
	has := func(id bus.TaskID) bool {
		_, _, err := c.get(id)
		if err != nil && !errors.Is(err, sched.ErrNotFound) {
			t.Fatal(err)
		}
		return err == nil
	}
	put("runs", bus.StateRunning, 10, 0)
	put("old", bus.StateDone, 10, 0)
	again := put("again", bus.StateDone, 10, 0)
	now = now.Add(claimAge - time.Second)
	put("again", bus.StateDone, 10, again)
	now = now.Add(2 * time.Second)
	put("new", bus.StateDone, 10, 0)
	if !has("runs") || has("old") || !has("again") || !has("new") {
		t.Errorf("runs %v, old %v, again %v, new %v: want all but the old end", has("runs"), has("old"), has("again"), has("new"))
	}
	const each = 1 << 20
	for i := range endedMost/each + 2 {
		put(bus.TaskID(fmt.Sprint("big", i)), bus.StateDone, each, 0)
	}
	if has("new") || has("again") || has("big0") || !has("big2") || !has("runs") {
		t.Errorf("new %v, again %v, big0 %v, big2 %v, runs %v: want the oldest ends gone", has("new"), has("again"), has("big0"), has("big2"), has("runs"))
	}
}

// A queue in which nothing happens any more lets go of the ends of before.
func TestClaimsExpireAtRest(t *testing.T) {
	t.Parallel()
	nc, err := fabrictest.Swarm(t, 1)[0].Store.Conn("jet")
	fabrictest.Check(t, err)
	nc.Close() // what the queue holds is not asked for here
	c := newClaims(func(sched.Msg) error { return nil })
	for _, id := range []bus.TaskID{"old", "new"} {
		_, err := c.put(sched.Claim{Task: id, State: bus.StateDone}, make([]byte, 10), 0, nil, time.Now())
		fabrictest.Check(t, err)
	}
	c.records["old"].at = time.Now().Add(-claimAge - time.Second)
	j := &Jet{store: &link{nc: nc, waiting: map[string]chan *nats.Msg{}}, claims: map[uint64]*claims{1: c}}
	if _, err := j.Counts(t.Context(), sched.QueueID{Term: 1}); err == nil {
		t.Fatal("a queue is counted over a closed connection")
	}
	if _, _, err := c.get("old"); !errors.Is(err, sched.ErrNotFound) || c.size != 10 {
		t.Errorf("the record of an old end is there: %v, %d bytes", err, c.size)
	}
	if _, _, err := c.get("new"); err != nil {
		t.Errorf("the record of a new end: %v", err)
	}
}
