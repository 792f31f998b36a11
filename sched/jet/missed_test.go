package jet_test

import (
	"context"
	"slices"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/bus/fabric/fabrictest"
	"github.com/mycoswarm/mycoswarm/sched"
)

// What the store did not tell of is read from it: with the next message that it tells of, and once a connection that was cut
// is there again.
func TestWatchMissesNothing(t *testing.T) {
	t.Parallel()
	n := swarm(t, 1, 0)[0]
	ctx, cancel := context.WithTimeout(t.Context(), fabrictest.Limit)
	defer cancel()
	out := n.jet.Effects().Outbox
	_, err := out.Load(ctx)
	check(t, err)
	put := func(id bus.TaskID) {
		t.Helper()
		k := sched.Kept{Submitter: n.ID, Custodian: bus.NoCustodian, Task: id, Data: []byte("x")}
		if p := out.Put(ctx, k, true, 1); p.Stores != 1 {
			t.Fatalf("put %s: %+v", id, p)
		}
	}
	seen := make(chan bus.TaskID, 100)
	watch := func() (stop func()) {
		t.Helper()
		stop, err := out.Watch(func(k sched.Kept) { seen <- k.Task })
		check(t, err)
		return stop
	}
	wants := func(want ...bus.TaskID) {
		t.Helper()
		var got []bus.TaskID
		for len(got) < len(want) {
			select {
			case id := <-seen:
				got = append(got, id)
			case <-ctx.Done():
				t.Fatalf("told of %v, want %v", got, want)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("told of %v, want %v", got, want)
		}
	}
	put("t1") // nobody hears of it
	put("t2")
	stop := watch()
	put("t3")
	wants("t1", "t2", "t3")
	put("t4")
	wants("t4")
	stop()
	put("t5")
	stop = watch()
	check(t, n.store.ForceReconnect())
	wants("t5")
	put("t6")
	wants("t6")
	stop()
}

// Of one stream that cannot be read the others do not wait for what the store has not told of.
func TestWatchReadsTheOtherStreams(t *testing.T) {
	t.Parallel()
	n := swarm(t, 1, 0)[0]
	ctx, cancel := context.WithTimeout(t.Context(), fabrictest.Limit)
	defer cancel()
	out := n.jet.Effects().Outbox
	_, err := out.Load(ctx)
	check(t, err)
	if p := out.Put(ctx, sched.Kept{Submitter: n.ID, Custodian: bus.NoCustodian, Task: "t1", Data: []byte("x")}, true, 1); p.Stores != 1 {
		t.Fatalf("%+v", p)
	}
	js, err := jetstream.New(n.store)
	check(t, err)
	// It is the first of the list, and does not answer.
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{Name: "CUSTODY_0", Subjects: []string{"broken"}, Storage: jetstream.MemoryStorage})
	check(t, err)
	_, err = js.Publish(ctx, "broken", nil)
	check(t, err)
	seen := make(chan bus.TaskID, 100)
	stop, err := out.Watch(func(k sched.Kept) { seen <- k.Task })
	check(t, err)
	defer stop()
	check(t, n.store.ForceReconnect())
	select {
	case id := <-seen:
		if id != "t1" {
			t.Errorf("told of %s", id)
		}
	case <-ctx.Done():
		t.Error("what was missed is not told of")
	}
}
