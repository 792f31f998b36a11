package effectstest

import (
	"fmt"
	"slices"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

func testFeedOnce(e *env) {
	q := e.open(1, keyA)
	for range 3 {
		e.feed(0, q, keyA, "t1", "one")
		e.feed(1, q, keyA, "t1", "one, again")
	}
	d := e.fetch(1, q, keyA)
	if string(d.Data) != "one" || d.Delivered != 1 || d.Seq == 0 {
		e.Fatalf("delivery %+v with data %q, want the first that was fed, delivered once", d, d.Data)
	}
	e.none(0, q, keyA)
	e.feed(0, q, keyA, "t1", "while it runs")
	e.none(0, q, keyA)
	e.check(e.Effects(1).Ack(d.Ack))
	e.empty(q, keyA)
	var again sched.Delivery
	e.until(func() bool { // it is gone from the queue a moment after it is settled
		e.feed(0, q, keyA, "t1", "after it ended")
		var err error
		again, err = e.Effects(0).Fetch(e.ctx, q, keyA, 0)
		return err == nil
	}, "the same task once more")
	if again.Seq == d.Seq || again.Delivered != 1 {
		e.Fatalf("delivery %+v, want another message than sequence %d", again, d.Seq)
	}
}

func testFetchOldest(e *env) {
	keys := []bus.Key{keyA, keyB, e.keyC()}
	q := e.open(3, keys...)
	e.open(3, keys...) // both may be called again
	for i := range 5 {
		for k, key := range keys {
			e.feed(i%2, q, key, bus.TaskID(fmt.Sprintf("t_%d-%d", k, i)), fmt.Sprint(k, i))
		}
	}
	for k, key := range slices.Backward(keys) {
		last := uint64(0)
		for i := range 5 {
			d := e.fetch(i%2, q, key)
			if string(d.Data) != fmt.Sprint(k, i) || d.Seq <= last {
				e.Fatalf("fetch %d of key %d: %q with sequence %d after %d", i, k, d.Data, d.Seq, last)
			}
			last = d.Seq
		}
		e.none(0, q, key)
	}
}

func testFetchNothing(e *env) {
	q := e.open(1, keyA)
	e.none(0, q, keyA)
	e.none(1, q, keyA)
	if err := e.Effects(0).Feed(e.ctx, sched.QueueID{Host: e.IDs[0], Term: 99}, keyA, "t", sched.Need{}, nil); err == nil {
		e.Fatal("fed a queue that is not there")
	}
	if _, err := e.Effects(0).Fetch(e.ctx, sched.QueueID{Host: e.IDs[0], Term: 99}, keyA, 0); err == nil {
		e.Fatal("fetched from a queue that is not there")
	}
	e.feed(1, q, keyA, "t1", "x")
	e.fetch(1, q, keyA)
}

func testNak(e *env) {
	q := e.open(1, keyA)
	for i := range 2 {
		e.feed(0, q, keyA, bus.TaskID(fmt.Sprint("t", i)), "x")
		first := e.fetch(i, q, keyA)
		e.none(i, q, keyA)
		e.check(e.Effects(i).Nak(first.Ack, 0))
		again := e.fetch(1-i, q, keyA)
		if again.Seq != first.Seq || again.Delivered != 2 {
			e.Fatalf("after nak: sequence %d delivered %d times, want %d twice", again.Seq, again.Delivered, first.Seq)
		}
		e.check(e.Effects(1 - i).Ack(again.Ack))
		e.empty(q, keyA)
	}
}

func testNakDelay(e *env) {
	const delay = 2 * time.Second
	q := e.open(1, keyA)
	e.feed(0, q, keyA, "t1", "x")
	e.feed(0, q, keyA, "t2", "y")
	first := e.fetch(1, q, keyA)
	e.check(e.Effects(1).Nak(first.Ack, delay))
	if d := e.fetch(1, q, keyA); string(d.Data) != "y" {
		e.Fatalf("fetched %q, want the one that is not held back", d.Data)
	}
	e.none(1, q, keyA)
	if again := e.fetch(1, q, keyA); again.Seq != first.Seq || again.Delivered != 2 {
		e.Fatalf("after the delay: %+v", again)
	}
}

func testLeaseEnds(e *env) {
	q := e.open(1, keyA)
	e.feed(0, q, keyA, "t1", "x")
	first := e.fetch(1, q, keyA)
	again := e.fetch(0, q, keyA)
	if again.Seq != first.Seq || again.Delivered != 2 || again.Ack == first.Ack {
		e.Fatalf("after the lease: %+v, first %+v", again, first)
	}
	e.check(e.Effects(1).Ack(first.Ack)) // nothing is fenced: the old delivery's ack counts
	e.empty(q, keyA)
}

func testProgress(e *env) {
	const lease = 3 * time.Second // as in Run
	q := e.open(1, keyA)
	e.feed(0, q, keyA, "t1", "x")
	d := e.fetch(1, q, keyA)
	for range 12 { // for one and a half leases
		e.Pass(lease / 8)
		e.check(e.Effects(1).Progress(d.Ack))
		e.none(0, q, keyA)
	}
	e.check(e.Effects(1).Ack(d.Ack))
	e.empty(q, keyA)
}

func testAckFromAnyNode(e *env) {
	q := e.open(1, keyA)
	for by := range 2 {
		for settler := range 2 {
			e.feed(0, q, keyA, bus.TaskID(fmt.Sprint("t", 2*by+settler)), "x")
			d := e.fetch(by, q, keyA)
			e.until(func() bool { // an ack may get lost where the news of the key is not known yet
				e.check(e.Effects(settler).Ack(d.Ack))
				return e.count(q, keyA).Unacked == 0
			}, "an acknowledgement")
		}
	}
}

func testFree(e *env) {
	keys := []bus.Key{keyA, e.keyC()}
	q := e.open(7, keys...)
	for _, k := range keys {
		e.feed(0, q, k, "t1", "one")
		e.feed(0, q, k, "t2", "two")
		d1, d2 := e.fetch(1, q, k), e.fetch(1, q, k)
		e.check(e.Effects(1).Ack(d2.Ack))
		e.until(func() bool { return e.count(q, k).Unacked == 1 }, "the acknowledgement")
		c := e.count(q, k)
		if c.DeliveredSeq < d1.Seq {
			e.Fatalf("count %+v, want sequence %d among the delivered", c, d1.Seq)
		}
		e.check(e.Effects(0).Free(q, c, d1.Seq))
		again := e.fetch(1, q, k)
		if again.Seq != d1.Seq || again.Delivered != 2 {
			e.Fatalf("freed: %+v, want sequence %d again", again, d1.Seq)
		}
		e.check(e.Effects(0).Free(q, e.count(q, k), d2.Seq)) // it is gone, and stays so
		e.none(1, q, k)
	}
}

func testCounts(e *env) {
	q := e.open(1, keyA, keyB)
	if c := e.count(q, keyA); c != (sched.KeyCount{Key: keyA}) {
		e.Fatalf("empty queue counts %+v", c)
	}
	for i := range 5 {
		e.feed(0, q, keyA, bus.TaskID(fmt.Sprint("t", i)), "x")
	}
	d1, d2 := e.fetch(1, q, keyA), e.fetch(0, q, keyA)
	if off := time.Since(d1.At); off < 0 || off > Limit {
		e.Fatalf("stored %v ago", off)
	}
	e.check(e.Effects(1).Ack(d1.Ack))
	want := sched.KeyCount{Key: keyA, Pending: 3, Unacked: 1, DeliveredSeq: d2.Seq, ConsumerSeq: 2}
	var got sched.KeyCount
	e.until(func() bool { got = e.count(q, keyA); return got.Unacked == 1 && got.Pending == 3 }, "3 waiting, 1 out")
	if got != want {
		e.Fatalf("counts %+v, want %+v", got, want)
	}
	if c := e.count(q, keyB); c.Pending+c.Unacked != 0 {
		e.Fatalf("the other key counts %+v", c)
	}
	e.feed(0, q, e.keyC(), "t", "x") // of which the host has not heard
	e.until(func() bool { return e.count(q, e.keyC()) == sched.KeyCount{Key: e.keyC(), Pending: 1} }, "a key that was not added")
}

func testKeys(e *env) {
	keys := []bus.Key{keyA, keyB, e.keyC()}
	q := e.open(1, keys...)
	has := func(want ...bus.Key) {
		e.Helper()
		for i := range 2 {
			e.until(func() bool { // what is settled is gone a moment later
				got, err := e.Effects(i).Keys(e.ctx, q)
				e.check(err)
				return len(got) == len(want) && !slices.ContainsFunc(want, func(k bus.Key) bool { return !slices.Contains(got, k) })
			}, fmt.Sprintf("node %d sees %d of %d keys", i, len(want), len(keys)))
		}
	}
	has()
	for i, k := range keys {
		e.feed(i%2, q, k, bus.TaskID(fmt.Sprint("t", i)), "x")
		has(keys[:i+1]...)
	}
	d := e.fetch(1, q, keyA)
	has(keys...) // it may come back
	e.check(e.Effects(1).Ack(d.Ack))
	has(keys[1:]...)
}

// What is fed of a key that is dropped is there once it is added again.
func testDropKey(e *env) {
	for _, k := range []bus.Key{keyA, e.keyC()} {
		q := e.open(1, keyA, keyB, e.keyC())
		fx := e.Effects(0)
		e.feed(1, q, k, "before", "x")
		e.check(e.Effects(1).Ack(e.fetch(1, q, k).Ack))
		e.empty(q, k)
		e.check(fx.DropKey(e.ctx, q, k))
		e.check(fx.DropKey(e.ctx, q, k))
		all, err := fx.Counts(e.ctx, q)
		e.check(err)
		if len(all) != 2 || slices.ContainsFunc(all, func(c sched.KeyCount) bool { return c.Key == k }) {
			e.Fatalf("the queue counts %+v after key %v was dropped", all, k)
		}
		e.none(0, q, k)
		e.feed(1, q, k, "t1", "one")
		e.feed(0, q, k, "t2", "two")
		e.until(func() bool { return e.count(q, k) == sched.KeyCount{Key: k, Pending: 2} }, "a key that was dropped")
		e.none(0, q, k)
		e.check(fx.AddKey(e.ctx, q, k))
		for _, want := range []string{"one", "two"} {
			if d := e.fetch(1, q, k); string(d.Data) != want || d.Delivered != 1 {
				e.Fatalf("delivery %+v with data %q, want %q for the first time", d, d.Data, want)
			}
		}
		e.check(fx.DropKey(e.ctx, q, k)) // while both are out
		e.check(fx.AddKey(e.ctx, q, k))
		if d := e.fetch(0, q, k); string(d.Data) != "one" {
			e.Fatalf("delivery %+v with data %q, want what was out once more", d, d.Data)
		}
		e.check(fx.Drop(e.ctx, q))
	}
}

func testDiscard(e *env) {
	q := e.open(1, keyA)
	for i := range 3 {
		e.feed(i%2, q, keyA, bus.TaskID(fmt.Sprint("t", i)), fmt.Sprint(i))
	}
	out := e.fetch(1, q, keyA)
	e.check(e.Effects(0).Discard(q, out.Seq))
	e.check(e.Effects(0).Discard(q, out.Seq+1))
	want := sched.KeyCount{Key: keyA, Pending: 1, DeliveredSeq: out.Seq, ConsumerSeq: 1}
	e.until(func() bool { return e.count(q, keyA) == want }, "one of three messages is left")
	e.check(e.Effects(1).Ack(out.Ack)) // of what is gone
	if d := e.fetch(1, q, keyA); string(d.Data) != "2" {
		e.Fatalf("fetched %q, want what was not discarded", d.Data)
	}
	e.none(0, q, keyA)
}

func testOldAndDrop(e *env) {
	fx := e.Effects(0)
	q1, q2 := e.open(1, keyA), e.open(2, keyA)
	e.feed(0, q1, keyA, "t1", "x")
	_, err := fx.CreateClaim(e.ctx, q1, sched.Claim{Task: "t1", Key: keyA}, []byte("r"))
	e.check(err)
	old, err := fx.Old(e.ctx)
	e.check(err)
	if len(old) != 2 || !slices.Contains(old, q1) || !slices.Contains(old, q2) {
		e.Fatalf("queues %v, want terms 1 and 2", old)
	}
	if other, err := e.Effects(1).Old(e.ctx); err != nil || len(other) != 0 {
		e.Fatalf("the other node has %v, error %v", other, err)
	}
	e.check(fx.Drop(e.ctx, q1))
	e.check(fx.Drop(e.ctx, q1))
	old, err = fx.Old(e.ctx)
	e.check(err)
	if len(old) != 1 || old[0] != q2 {
		e.Fatalf("queues %v, want term 2 alone", old)
	}
	e.open(1, keyA)
	e.none(0, q1, keyA)
	_, _, err = fx.GetClaim(e.ctx, q1, "t1")
	e.is(err, sched.ErrNotFound)
}

func testTwoQueues(e *env) {
	qs := []sched.QueueID{e.open(1, keyA), e.open(2, keyA), {Host: e.IDs[1], Term: 1}}
	e.check(e.Effects(1).Open(e.ctx, qs[2]))
	e.check(e.Effects(1).AddKey(e.ctx, qs[2], keyA))
	var ds []sched.Delivery
	for i, q := range qs {
		e.feed(0, q, keyA, "t1", fmt.Sprint(i))
		ds = append(ds, e.fetch(0, q, keyA))
		if string(ds[i].Data) != fmt.Sprint(i) {
			e.Fatalf("queue %d delivered %q", i, ds[i].Data)
		}
	}
	e.check(e.Effects(0).Ack(ds[0].Ack))
	e.empty(qs[0], keyA)
	for _, i := range []int{1, 2} {
		e.check(e.Effects(0).Nak(ds[i].Ack, 0))
		if d := e.fetch(1, qs[i], keyA); d.Delivered != 2 {
			e.Fatalf("queue %d: %+v, want its message still there", i, d)
		}
	}
}

type storedCall struct {
	key  bus.Key
	id   bus.TaskID
	seq  uint64
	need sched.Need
}

func testWatchStored(e *env) {
	keys := []bus.Key{keyA, e.keyC()}
	q := e.open(4, keys...)
	var got record[storedCall]
	stop, err := e.Effects(0).Watch(q,
		func(k bus.Key, id bus.TaskID, seq uint64, need sched.Need) { got.add(storedCall{k, id, seq, need}) }, func(sched.Claim) {})
	e.check(err)
	const n = 50
	for i := range n {
		id := bus.TaskID(fmt.Sprint("t", i))
		need := sched.Need{}
		if i%3 == 0 {
			need = sched.Need{Prompt: i, Affinity: uint64(i) << 60, From: e.IDs[0]}
		}
		for range 2 { // the second is not stored, and not told
			e.feedNeeding(i%2, q, keys[i%2], id, need, "x")
		}
	}
	calls := await(e, &got, n)
	for i, c := range calls {
		if c.key != keys[i%2] || c.id != bus.TaskID(fmt.Sprint("t", i)) {
			e.Fatalf("call %d is %+v", i, c)
		}
		if has := c.need != (sched.Need{}); has != (i%3 == 0) || has && c.need.Prompt != i {
			e.Fatalf("call %d is told that the task needs %+v", i, c.need)
		}
		if d := e.fetch(1, q, c.key); d.Seq != c.seq {
			e.Fatalf("fetched sequence %d, told %d", d.Seq, c.seq)
		}
	}
	stop()
	e.feed(0, q, keyA, "late", "x")
	e.fetch(0, q, keyA)
	if l := len(got.list()); l != n {
		e.Fatalf("%d calls for %d messages", l, n)
	}
}
