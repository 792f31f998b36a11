package jet_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

var pings = bus.Key{Lane: bus.Interactive, Priority: 5, Class: "ping"}

// cycle is what a no-op task costs beyond its messages: feed, fetch, claim, commit, ack.
func cycle(ctx context.Context, feeder, worker sched.Effects, q sched.QueueID, id bus.TaskID) error {
	if err := feeder.Feed(ctx, q, pings, id, sched.Need{}, []byte(`{"type":"ping"}`)); err != nil {
		return err
	}
	var d sched.Delivery
	for {
		var err error
		if d, err = worker.Fetch(ctx, q, pings, 0); err == nil {
			break
		}
	}
	c := sched.Claim{Task: id, State: bus.StateRunning, Worker: q.Host, Attempt: 1, Ack: d.Ack, Key: d.Key, Seq: d.Seq}
	rev, err := worker.CreateClaim(ctx, q, c, []byte(`{"state":"running"}`))
	if err != nil {
		return err
	}
	c.State = bus.StateDone
	if _, err := worker.UpdateClaim(ctx, q, c, []byte(`{"state":"done"}`), rev, nil); err != nil {
		return err
	}
	return worker.Ack(d.Ack)
}

// BenchmarkCycle compares a task's cycle with the floor: a publish to a stream in memory and its
// acknowledgement, over the same connection.
func BenchmarkCycle(b *testing.B) {
	ctx := context.Background()
	nodes := swarm(b, 2, 0)
	host := nodes[0].jet.Effects()
	q := sched.QueueID{Host: nodes[0].ID, Term: 1}
	check(b, host.Open(ctx, q))
	check(b, host.AddKey(ctx, q, pings))
	if _, err := nodes[0].Store.JetStream().CreateStream(ctx, jetstream.StreamConfig{
		Name: "FLOOR", Subjects: []string{"floor.>"}, Storage: jetstream.MemoryStorage,
	}); err != nil {
		b.Fatal(err)
	}
	n := 0
	for _, at := range []struct {
		name string
		i    int
		nc   *nats.Conn
	}{{"near", 0, nodes[0].store}, {"far", 1, nodes[1].fabric}} {
		fx := nodes[at.i].jet.Effects()
		b.Run("floor/"+at.name, func(b *testing.B) {
			for b.Loop() {
				n++
				if _, err := at.nc.RequestWithContext(ctx, fmt.Sprint("floor.", n), []byte("x")); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("cycle/"+at.name, func(b *testing.B) {
			for b.Loop() {
				n++
				check(b, cycle(ctx, fx, fx, q, bus.TaskID(fmt.Sprint("t", n))))
			}
		})
		b.Run("fetch-nothing/"+at.name, func(b *testing.B) {
			for b.Loop() {
				_, _ = fx.Fetch(ctx, q, pings, 0)
			}
		})
	}
	b.Run("feed", func(b *testing.B) {
		for b.Loop() {
			n++
			check(b, host.Feed(ctx, q, pings, bus.TaskID(fmt.Sprint("t", n)), sched.Need{}, nil))
		}
	})
	b.Run("claim", func(b *testing.B) {
		for b.Loop() {
			n++
			_, err := host.CreateClaim(ctx, q, sched.Claim{Task: bus.TaskID(fmt.Sprint("t", n)), Key: pings}, nil)
			check(b, err)
		}
	})
	b.Run("journal", func(b *testing.B) {
		for b.Loop() {
			check(b, host.Begin("t", 1))
			check(b, host.Finish("t"))
		}
	})
	b.Run("outbox/near", func(b *testing.B) {
		for b.Loop() {
			n++
			k := sched.Kept{Submitter: nodes[0].ID, Task: bus.TaskID(fmt.Sprint("t", n))}
			if p := host.Outbox.Put(ctx, k, true, 1); p.Stores != 1 {
				b.Fatal(p)
			}
		}
	})
	check(b, host.Outbox.Ensure(ctx, nodes[0].ID, nodes[1].ID))
	b.Run("outbox/two", func(b *testing.B) {
		for b.Loop() {
			n++
			k := sched.Kept{Submitter: nodes[0].ID, Custodian: nodes[1].ID, Task: bus.TaskID(fmt.Sprint("t", n))}
			if p := host.Outbox.Put(ctx, k, true, 2); p.Stores != 2 {
				b.Fatal(p)
			}
		}
	})
}

// BenchmarkLoad reads 10,000 tasks back, as a node does when it starts.
func BenchmarkLoad(b *testing.B) {
	const tasks = 10_000
	nodes := swarm(b, 1, 0)
	js := nodes[0].Store.JetStream()
	for i := range tasks {
		subject := bus.SubjectOutbox(nodes[0].ID, bus.NoCustodian, fmt.Sprint("t", i))
		_, err := js.PublishAsync(subject, make([]byte, 500), jetstream.WithStallWait(time.Minute))
		check(b, err)
	}
	<-js.PublishAsyncComplete()
	for b.Loop() {
		all, err := nodes[0].jet.Effects().Outbox.Load(context.Background())
		check(b, err)
		if len(all) != tasks {
			b.Fatalf("loaded %d of %d", len(all), tasks)
		}
	}
}
