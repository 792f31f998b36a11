package jet_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/bus/fabric/fabrictest"
	"github.com/mycoswarm/mycoswarm/sched"
)

// fetch takes a message that must come.
func fetch(t *testing.T, fx sched.Effects, q sched.QueueID, k bus.Key) sched.Delivery {
	t.Helper()
	var d sched.Delivery
	fabrictest.Eventually(t, func() bool {
		var err error
		if d, err = fx.Fetch(t.Context(), q, k, 0); err != nil && !errors.Is(err, sched.ErrNotFound) {
			t.Fatal(err)
		}
		return err == nil
	}, "a message of %v", k)
	return d
}

// Work that arrives when its fetch has been given up goes back at once, and is never taken for
// what the next fetch asked for.
func TestLateDeliveryGoesBack(t *testing.T) {
	t.Parallel()
	nodes := swarm(t, 2, time.Hour)
	host := nodes[0].jet.Effects()
	q := sched.QueueID{Host: nodes[0].ID, Term: 1}
	other := bus.Key{Lane: bus.Batch, Priority: 1, Class: "inference", Model: "m"}
	check(t, host.Open(t.Context(), q))
	check(t, host.AddKey(t.Context(), q, pings))
	check(t, host.AddKey(t.Context(), q, other))
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	late := 0
	for i := range 40 {
		worker := nodes[i%2].jet.Effects()
		check(t, host.Feed(t.Context(), q, pings, bus.TaskID(fmt.Sprint("p", i)), sched.Need{}, []byte("ping")))
		check(t, host.Feed(t.Context(), q, other, bus.TaskID(fmt.Sprint("o", i)), sched.Need{}, []byte("other")))
		d, err := worker.Fetch(gone, q, pings, 0)
		if err == nil { // it came in that very moment, and counts
			check(t, worker.Nak(d.Ack, 0))
		} else if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		} else {
			late++
		}
		d = fetch(t, worker, q, other)
		if string(d.Data) != "other" || d.Key != other {
			t.Fatalf("fetched %q, want the key that was asked for", d.Data)
		}
		check(t, worker.Ack(d.Ack))
		check(t, worker.Ack(fetch(t, worker, q, pings).Ack))
	}
	if late == 0 {
		t.Error("no delivery came late: nothing was tested")
	}
}

// Slots fetch side by side, and each message goes to one.
func TestManySlots(t *testing.T) {
	t.Parallel()
	nodes := swarm(t, 2, time.Hour)
	host := nodes[0].jet.Effects()
	q := sched.QueueID{Host: nodes[0].ID, Term: 1}
	check(t, host.Open(t.Context(), q))
	check(t, host.AddKey(t.Context(), q, pings))
	const n = 200
	for i := range n {
		check(t, host.Feed(t.Context(), q, pings, bus.TaskID(fmt.Sprint("t", i)), sched.Need{}, nil))
	}
	var mu sync.Mutex
	seen := map[uint64]int{}
	var wg sync.WaitGroup
	for slot := range 8 {
		wg.Go(func() {
			fx := nodes[slot%2].jet.Effects()
			for t.Context().Err() == nil {
				d, err := fx.Fetch(t.Context(), q, pings, slot)
				if err != nil && !errors.Is(err, sched.ErrNotFound) {
					t.Error(err)
					return
				}
				mu.Lock()
				if err == nil {
					seen[d.Seq]++
				}
				all := len(seen) == n
				mu.Unlock()
				if all {
					return
				}
			}
		})
	}
	wg.Wait()
	for seq, times := range seen {
		if times != 1 {
			t.Errorf("sequence %d was fetched %d times", seq, times)
		}
	}
}

// Everything is loaded, over more than one page, by count and by bytes.
func TestLoadPages(t *testing.T) {
	t.Parallel()
	nodes := swarm(t, 1, 0)
	fx := nodes[0].jet.Effects()
	const small, large, writers = 1100, 12, 20
	var wg sync.WaitGroup
	put := func(id string, data []byte) {
		k := sched.Kept{Submitter: nodes[0].ID, Task: bus.TaskID(id), Data: data}
		if p := fx.Outbox.Put(t.Context(), k, true, 1); p.Stores != 1 {
			t.Errorf("put %s: %+v", id, p)
		}
	}
	for w := range writers {
		wg.Go(func() {
			for i := w; i < small; i += writers {
				put(fmt.Sprint("small", i), nil)
			}
		})
	}
	wg.Wait()
	for i := range large {
		put(fmt.Sprint("large", i), make([]byte, bus.MaxInline))
	}
	all, err := fx.Outbox.Load(t.Context())
	check(t, err)
	seen := map[bus.TaskID]bool{}
	for _, k := range all {
		seen[k.Task] = true
	}
	if len(all) != small+large || len(seen) != small+large {
		t.Fatalf("loaded %d, %d of them different, want %d", len(all), len(seen), small+large)
	}
	for i := range large {
		if k := all[small+i]; k.Task != bus.TaskID(fmt.Sprint("large", i)) || len(k.Data) != bus.MaxInline {
			t.Fatalf("message %d is %s with %d bytes", small+i, k.Task, len(k.Data))
		}
	}
}

// A custodian that lost its disk gets its outbox again: a Put that it does not answer makes the
// next Ensure look.
func TestEnsureAfterLoss(t *testing.T) {
	t.Parallel()
	nodes := swarm(t, 2, 0)
	a, b := nodes[0], nodes[1]
	box := a.jet.Effects().Outbox
	check(t, box.Ensure(t.Context(), a.ID, b.ID))
	check(t, b.Store.JetStream().DeleteStream(t.Context(), "CUSTODY_"+string(a.ID)+"_at_"+string(b.ID)))
	k := sched.Kept{Submitter: a.ID, Custodian: b.ID, Task: "t1"}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if p := box.Put(ctx, k, true, 2); p.Stores != 1 {
		t.Fatalf("put without the custodian: %+v", p)
	}
	check(t, box.Ensure(t.Context(), a.ID, b.ID))
	if p := box.Put(t.Context(), k, false, 2); p.Stores != 2 {
		t.Fatalf("put after the custodian came back: %+v", p)
	}
}

// Nobody at home is an answer: a Put does not wait for its context.
func TestPutToNobody(t *testing.T) {
	t.Parallel()
	nodes := swarm(t, 1, 0)
	k := sched.Kept{Submitter: "myco-000000000000", Custodian: "myco-111111111111", Task: "t1"}
	if p := nodes[0].jet.Effects().Outbox.Put(t.Context(), k, true, 2); p != (sched.Put{}) {
		t.Fatalf("put to nobody: %+v", p)
	}
}
