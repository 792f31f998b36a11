package jet_test

import (
	"context"
	"slices"
	"testing"

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
