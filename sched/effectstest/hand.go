package effectstest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
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
		_, err := e.await(i, q, 100*time.Millisecond, func(to string) { e.check(e.Effects(0).Hand(q, k, to, nil)) })
		return errors.Is(err, sched.ErrNotFound)
	}, "news of a slot")
}

// handed is what a host hands over to node i, of key k.
func (e *env) handed(i int, q sched.QueueID, k bus.Key, grant sched.Grant) (d sched.Delivery) {
	e.until(func() bool { // a queue may hear of what it stored a moment later
		var err error
		d, err = e.await(i, q, Limit, func(to string) { e.check(e.Effects(0).Hand(q, k, to, grant)) })
		if err != nil && !errors.Is(err, sched.ErrNotFound) {
			e.check(err)
		}
		return err == nil
	}, "a message that is handed over")
	return d
}

// missed is where node i's slot waited, for a moment and in vain.
func (e *env) missed(i int, q sched.QueueID) (to string) {
	if _, err := e.await(i, q, time.Millisecond, func(at string) { to = at }); !errors.Is(err, context.DeadlineExceeded) {
		e.Fatalf("waited in vain: %v", err)
	}
	return to
}

// takenBack waits until there is no claim for id.
func (e *env) takenBack(q sched.QueueID, id bus.TaskID) {
	e.until(func() bool {
		_, _, err := e.Effects(0).GetClaim(e.ctx, q, id)
		return errors.Is(err, sched.ErrNotFound)
	}, "a claim that was taken back")
}

func testHand(e *env) {
	q := e.open(1, keyA, e.keyC())
	for i := range 2 {
		for _, k := range []bus.Key{keyA, e.keyC()} {
			e.reachable(i, q, k)
			e.feed(1-i, q, k, "t1", "one")
			e.feed(1-i, q, k, "t2", "two")
			d := e.handed(i, q, k, nil)
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
		old := e.missed(i, q)
		e.feed(1-i, q, keyA, "t1", "x")
		e.check(e.Effects(0).Hand(q, keyA, old, nil)) // nobody waits any more: it goes back
		d := e.fetch(1-i, q, keyA)
		e.check(e.Effects(i).Ack(d.Ack))
		e.empty(q, keyA)
	}
}

// granted is what a host claims for node i, and counts how often it is asked.
func (e *env) granted(i int, asked *atomic.Int32) sched.Grant {
	return func(id bus.TaskID, d sched.Delivery) (sched.Claim, []byte, bool) {
		asked.Add(1)
		return sched.Claim{Task: id, State: bus.StateRunning, Worker: e.IDs[i], Attempt: 1, Ack: d.Ack, Key: d.Key, Seq: d.Seq}, []byte(`{"attempt":1}`), true
	}
}

// What a host hands over is claimed on its way, where there is no record.
func testHandGranted(e *env) {
	q := e.open(1, keyA)
	var told record[sched.Claim]
	stop, err := e.Effects(0).Watch(q, func(bus.Key, bus.TaskID, uint64, sched.Need) {}, told.add)
	e.check(err)
	defer stop()
	for i := range 2 {
		e.reachable(i, q, keyA)
		var asked atomic.Int32
		id := bus.TaskID(fmt.Sprintf("granted-%d", i))
		e.feed(1-i, q, keyA, id, "x")
		d := e.handed(i, q, keyA, e.granted(i, &asked))
		rec, rev, err := e.Effects(i).GetClaim(e.ctx, q, id)
		e.check(err)
		if asked.Load() != 1 || d.Rev == 0 || d.Rev != rev || string(rec) != `{"attempt":1}` || d.Nonce == "" || string(d.Data) != "x" || d.Key != keyA {
			e.Fatalf("node %d was handed %+v after %d grants; the record is %s at revision %d", i, d, asked.Load(), rec, rev)
		}
		if all := await(e, &told, 2*i+1); all[2*i].Task != id || all[2*i].State != bus.StateRunning || all[2*i].Worker != e.IDs[i] {
			e.Fatalf("who watches was told %+v", all)
		}
		e.check(e.Effects(i).Nak(d.Ack, 0))
		again := e.handed(i, q, keyA, e.granted(i, &asked))
		if asked.Load() != 2 || again.Rev != 0 || again.Nonce == d.Nonce {
			e.Fatalf("handed %+v again, after %d grants, where there is a record", again, asked.Load())
		}
		c := sched.Claim{Task: id, State: bus.StateDone, Worker: e.IDs[i], Attempt: 1, Ack: again.Ack, Key: keyA, Seq: d.Seq}
		_, err = e.Effects(i).UpdateClaim(e.ctx, q, c, []byte(`{}`), d.Rev, nil)
		e.check(err)
		e.check(e.Effects(i).Ack(again.Ack))
		e.empty(q, keyA)
	}
}

// What is claimed for a slot that waits no more is given back with its claim.
func testHandGrantedNobody(e *env) {
	q := e.open(1, keyA)
	for i := range 2 {
		e.reachable(i, q, keyA)
		old := e.missed(i, q)
		id := bus.TaskID(fmt.Sprintf("late-%d", i))
		e.feed(1-i, q, keyA, id, "x")
		var asked atomic.Int32
		e.check(e.Effects(0).Hand(q, keyA, old, e.granted(i, &asked)))
		d := e.fetch(1-i, q, keyA)
		e.takenBack(q, id)
		e.check(e.Effects(i).Ack(d.Ack))
		e.empty(q, keyA)
	}
}

// A slot waits for work of one term. What its host hands over of another, for the slot has not heard of that
// yet, is given back with its claim.
func testHandOtherTerm(e *env) {
	before, q := e.open(1, keyA), e.open(2, keyA)
	for i := range 2 {
		e.reachable(i, q, keyA)
		id := bus.TaskID(fmt.Sprintf("other-%d", i))
		e.feed(1-i, q, keyA, id, "x")
		var asked atomic.Int32
		d, err := e.await(i, before, 200*time.Millisecond, func(to string) { e.check(e.Effects(0).Hand(q, keyA, to, e.granted(i, &asked))) })
		if err == nil {
			e.Fatalf("handed %+v of another term", d)
		}
		d = e.fetch(1-i, q, keyA)
		e.takenBack(q, id)
		e.check(e.Effects(i).Ack(d.Ack))
		e.empty(q, keyA)
	}
}

// What was never in the queue is claimed and delivered all the same, once; where nobody waits the claim
// is taken back.
func testDirect(e *env) {
	q := e.open(1, keyA)
	for i := range 2 {
		e.reachable(i, q, keyA)
		id := bus.TaskID(fmt.Sprintf("direct-%d", i))
		c := sched.Claim{Task: id, State: bus.StateRunning, Worker: e.IDs[i], Attempt: 1, Key: keyA}
		give := func(to string) error {
			return e.Effects(0).Direct(q, id, sched.Delivery{Key: keyA, Data: []byte("x")}, to, c, []byte(`{"attempt":1}`))
		}
		var slot string
		d, err := e.await(i, q, Limit, func(to string) { slot = to; e.check(give(to)) })
		e.check(err)
		rec, rev, err := e.Effects(i).GetClaim(e.ctx, q, id)
		e.check(err)
		if d.Rev == 0 || d.Rev != rev || string(rec) != `{"attempt":1}` || d.Nonce != slot || string(d.Data) != "x" || d.Key != keyA ||
			d.Ack != "" || d.Seq != 0 || d.Delivered != 1 || !d.At.IsZero() {
			e.Fatalf("node %d was handed %+v; the record is %s at revision %d", i, d, rec, rev)
		}
		if err := give(slot); !errors.Is(err, sched.ErrConflict) {
			e.Fatalf("handed over again: %v, want a conflict", err)
		}
		c.State = bus.StateDone
		_, err = e.Effects(i).UpdateClaim(e.ctx, q, c, []byte(`{}`), rev, nil)
		e.check(err)

		id, c.Task, c.State = "late-"+id, "late-"+id, bus.StateRunning
		e.check(give(slot)) // nobody waits there any more
		e.takenBack(q, id)
		e.empty(q, keyA)
	}
}
