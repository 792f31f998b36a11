package effectstest

import (
	"fmt"
	"sync"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

func (e *env) claim(id bus.TaskID, attempt int) sched.Claim {
	return sched.Claim{
		Task: id, State: bus.StateRunning, Worker: e.IDs[1], Attempt: attempt,
		Ack: "$JS.ACK.some.subject", Key: e.keyC(), Seq: 42,
	}
}

// create claims from a node.
func (e *env) create(i int, q sched.QueueID, c sched.Claim, rec string) uint64 {
	e.Helper()
	rev, err := e.Effects(i).CreateClaim(e.ctx, q, c, []byte(rec))
	e.check(err)
	return rev
}

func testClaims(e *env) {
	q := e.open(1)
	for i, id := range []bus.TaskID{"near", "far"} {
		fx, other := e.Effects(i), e.Effects(1-i)
		_, _, err := fx.GetClaim(e.ctx, q, id)
		e.is(err, sched.ErrNotFound)
		c := e.claim(id, 1)
		rev := e.create(i, q, c, "one")
		_, err = other.CreateClaim(e.ctx, q, c, []byte("two"))
		e.is(err, sched.ErrConflict)
		rec, got, err := other.GetClaim(e.ctx, q, id)
		e.check(err)
		if string(rec) != "one" || got != rev {
			e.Fatalf("claim %q revision %d, want %q %d", rec, got, "one", rev)
		}
		c.State = bus.StateDone
		rev2, err := fx.UpdateClaim(e.ctx, q, c, []byte("three"), rev, nil)
		e.check(err)
		_, err = other.UpdateClaim(e.ctx, q, c, []byte("four"), rev, nil)
		e.is(err, sched.ErrConflict)
		_, err = fx.CreateClaim(e.ctx, q, c, []byte("five"))
		e.is(err, sched.ErrConflict)
		rec, got, err = fx.GetClaim(e.ctx, q, id)
		e.check(err)
		if string(rec) != "three" || got != rev2 || rev2 <= rev {
			e.Fatalf("claim %q revision %d, want %q %d after %d", rec, got, "three", rev2, rev)
		}
	}
	_, err := e.Effects(0).UpdateClaim(e.ctx, q, e.claim("none", 1), nil, 1, nil)
	e.is(err, sched.ErrConflict)
}

func testOneClaimWins(e *env) {
	q := e.open(1)
	const n = 8
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { _, errs[i] = e.Effects(i%2).CreateClaim(e.ctx, q, e.claim("t", 1), []byte{byte(i)}) })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else {
			e.is(err, sched.ErrConflict)
		}
	}
	if won != 1 {
		e.Fatalf("%d of %d claims won", won, n)
	}
}

func testWatchClaims(e *env) {
	q := e.open(9)
	var got record[sched.Claim]
	stop, err := e.Effects(0).Watch(q, func(bus.Key, bus.TaskID, uint64, sched.Need) {}, got.add)
	e.check(err)
	defer stop()
	want := []sched.Claim{e.claim("t1", 1), e.claim("t2", 1), e.claim("t1", 2), {Task: "t1", State: bus.StateDone, Key: keyB}}
	rev := e.create(1, q, want[0], "x")
	e.create(0, q, want[1], "x")
	_, err = e.Effects(1).CreateClaim(e.ctx, q, want[1], nil) // refused, and not told
	e.is(err, sched.ErrConflict)
	rev, err = e.Effects(1).UpdateClaim(e.ctx, q, want[2], nil, rev, nil)
	e.check(err)
	_, err = e.Effects(0).UpdateClaim(e.ctx, q, want[3], nil, rev, nil)
	e.check(err)
	for i, c := range await(e, &got, len(want)) {
		if c != want[i] {
			e.Fatalf("call %d is %+v, want %+v", i, c, want[i])
		}
	}
}

// A message that goes with a write is published where the write is done, once, and only there.
func testClaimThenPublish(e *env) {
	q := e.open(1)
	inbox := e.Effects(1).Inbox()
	var got record[sched.Msg]
	stop, err := e.Effects(1).Subscribe(inbox+".*", got.add)
	e.check(err)
	defer stop()
	e.until(func() bool { // the host hears of a subscription a moment later
		e.check(e.Effects(0).Publish(sched.Msg{Subject: inbox + ".hello"}))
		return len(got.list()) > 0
	}, "a first message")
	for i := range 2 {
		fx, c := e.Effects(i), e.claim(bus.TaskID(fmt.Sprint("t", i)), 1)
		rev := e.create(i, q, c, "one")
		then := &sched.Msg{Subject: fmt.Sprintf("%s.%d", inbox, i), Data: []byte("the end")}
		_, err = fx.UpdateClaim(e.ctx, q, c, []byte("two"), rev+1, then)
		e.is(err, sched.ErrConflict)
		_, err = fx.UpdateClaim(e.ctx, q, c, []byte("two"), rev, then)
		e.check(err)
		if rec, _, err := fx.GetClaim(e.ctx, q, c.Task); err != nil || string(rec) != "two" {
			e.Fatalf("claim %q, error %v", rec, err)
		}
		e.check(e.Effects(0).Publish(sched.Msg{Subject: inbox + fmt.Sprint(".last", i)}))
		published := func() (n int, last bool) {
			for _, m := range got.list() {
				if m.Subject == then.Subject && string(m.Data) == "the end" {
					n++
				}
				last = last || m.Subject == inbox+fmt.Sprint(".last", i)
			}
			return n, last
		}
		e.until(func() bool { _, last := published(); return last }, "the last message")
		if n, _ := published(); n != 1 {
			e.Fatalf("the message of node %d was published %d times", i, n)
		}
	}
}
