package effectstest

import (
	"context"
	"errors"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

// await waits at a slot for what hand is called for.
func (e *env) await(i int, q sched.QueueID, limit time.Duration, hand func(to string)) (sched.Delivery, error) {
	e.Helper()
	to, wait, err := e.Effects(i).Await(q, 7)
	e.check(err)
	hand(to)
	ctx, cancel := context.WithTimeout(e.ctx, limit)
	defer cancel()
	return wait(ctx)
}

// reachable waits until the host has heard of a node's slot, by handing it nothing.
func (e *env) reachable(i int, q sched.QueueID, k bus.Key) {
	e.Helper()
	e.until(func() bool {
		_, err := e.await(i, q, 100*time.Millisecond, func(to string) { e.check(e.Effects(0).Hand(q, k, to)) })
		return errors.Is(err, sched.ErrNotFound)
	}, "news of a slot")
}

func testHand(e *env) {
	q := e.open(1, keyA, e.keyC())
	for i := range 2 {
		for _, k := range []bus.Key{keyA, e.keyC()} {
			e.reachable(i, q, k)
			e.feed(1-i, q, k, "t1", "one")
			e.feed(1-i, q, k, "t2", "two")
			var d sched.Delivery
			e.until(func() bool { // a queue may hear of what it stored a moment later
				var err error
				d, err = e.await(i, q, Limit, func(to string) { e.check(e.Effects(0).Hand(q, k, to)) })
				if err != nil && !errors.Is(err, sched.ErrNotFound) {
					e.check(err)
				}
				return err == nil
			}, "a message that is handed over")
			if string(d.Data) != "one" || d.Key != k || d.Delivered != 1 || d.Seq == 0 {
				e.Fatalf("handed %+v with data %q, want the oldest of %v", d, d.Data, k)
			}
			e.check(e.Effects(i).Ack(d.Ack))
			e.check(e.Effects(i).Ack(e.fetch(i, q, k).Ack))
			e.empty(q, k)
		}
	}
}

func testHandNobody(e *env) {
	q := e.open(1, keyA)
	for i := range 2 {
		e.reachable(i, q, keyA)
		var old string
		if _, err := e.await(i, q, time.Millisecond, func(to string) { old = to }); !errors.Is(err, context.DeadlineExceeded) {
			e.Fatalf("waited in vain: %v", err)
		}
		e.feed(1-i, q, keyA, "t1", "x")
		e.check(e.Effects(0).Hand(q, keyA, old)) // nobody waits any more: it goes back
		d := e.fetch(1-i, q, keyA)
		e.check(e.Effects(i).Ack(d.Ack))
		e.empty(q, keyA)
	}
}
