package effectstest

import (
	"context"
	"fmt"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

// kept is a message of node 0, in the custody of node 1 or, without, of nobody.
func (e *env) kept(id bus.TaskID, shared bool, data string) sched.Kept {
	k := sched.Kept{Submitter: e.IDs[0], Custodian: bus.NoCustodian, Task: id, Data: []byte(data)}
	if shared {
		k.Custodian = e.IDs[1]
	}
	return k
}

// put checks what becomes of a message.
func (e *env) put(i int, k sched.Kept, first bool, want int, out sched.Put) {
	e.Helper()
	if got := e.Effects(i).Outbox.Put(e.ctx, k, first, want); got != out {
		e.Fatalf("put of %q to %d stores: %+v, want %+v", k.Data, want, got, out)
	}
}

// load returns a node's messages as "task=data".
func (e *env) load(i int) []string {
	e.Helper()
	all, err := e.Effects(i).Outbox.Load(e.ctx)
	e.check(err)
	var out []string
	for _, k := range all {
		if k.Submitter != e.IDs[0] {
			e.Fatalf("a message of %s", k.Submitter)
		}
		e.fresh(k)
		out = append(out, string(k.Task)+"="+string(k.Data))
	}
	return out
}

// fresh wants a message to tell when it was stored: a moment ago.
func (e *env) fresh(k sched.Kept) {
	e.Helper()
	if age := time.Since(k.At); age < -time.Second || age > time.Hour {
		e.Errorf("task %s was stored at %v, which is %v ago", k.Task, k.At, age)
	}
}

func (e *env) holds(i int, want ...string) {
	e.Helper()
	if got := e.load(i); fmt.Sprint(got) != fmt.Sprint(want) {
		e.Fatalf("node %d holds %v, want %v", i, got, want)
	}
}

var (
	one     = sched.Put{Stores: 1}
	two     = sched.Put{Stores: 2, Custodian: true}
	refused = sched.Put{Refused: 1}

	bothRefused = sched.Put{Refused: 2, Custodian: true}
)

func testOutboxOneStore(e *env) {
	e.holds(0)
	e.put(0, e.kept("t1", false, "task"), true, 1, one)
	e.put(0, e.kept("t1", false, "task"), true, 1, refused)
	e.put(1, e.kept("t1", false, "end"), false, 1, one)
	e.put(0, e.kept("t1", false, "task"), true, 1, refused)
	e.put(0, e.kept("t1", false, "other end"), false, 1, refused)
	e.put(0, e.kept("t2", false, "task"), true, 1, one)
	e.holds(0, "t1=task", "t1=end", "t2=task")
	e.holds(1)
}

func testOutboxTask(e *env) {
	e.check(e.Effects(0).Outbox.Ensure(e.ctx, e.IDs[0], e.IDs[1]))
	k := e.kept("t1", true, "task")
	e.put(0, e.kept("t0", true, "other"), true, 2, two)
	e.put(0, k, true, 2, two)
	e.put(0, e.kept("t1", true, "end"), false, 2, two)
	for i := range 2 {
		if data, err := e.Effects(i).Outbox.Task(e.ctx, k); err != nil || string(data) != "task" {
			e.Fatalf("node %d has %q, error %v", i, data, err)
		}
		if data, err := e.Effects(i).Outbox.End(e.ctx, k); err != nil || string(data) != "end" {
			e.Fatalf("node %d has the end %q, error %v", i, data, err)
		}
		_, err := e.Effects(i).Outbox.Task(e.ctx, e.kept("t2", true, ""))
		e.is(err, sched.ErrNotFound)
		_, err = e.Effects(i).Outbox.End(e.ctx, e.kept("t2", true, ""))
		e.is(err, sched.ErrNotFound)
	}
}

func testOutboxTwoStores(e *env) {
	e.check(e.Effects(0).Outbox.Ensure(e.ctx, e.IDs[0], e.IDs[1]))
	for i := range 2 {
		id := bus.TaskID(fmt.Sprint("t", i))
		e.put(i, e.kept(id, true, "task"), true, 2, two)
		e.put(1-i, e.kept(id, true, "task"), true, 2, bothRefused)
		e.put(1-i, e.kept(id, true, "end"), false, 2, two)
	}
	e.holds(0, "t0=task", "t0=end", "t1=task", "t1=end")
	e.holds(1, "t0=task", "t0=end", "t1=task", "t1=end")
}

// Who has no time for the own store's answer is told that it may have the message later, and it has.
func testOutboxPending(e *env) {
	k := e.kept("t1", false, "task")
	got := &record[string]{}
	stop, err := e.Effects(0).Outbox.Watch(func(k sched.Kept) { got.add(string(k.Task)) })
	e.check(err)
	defer stop()
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	switch p := e.Effects(0).Outbox.Put(ctx, k, true, 1); p {
	case sched.Put{Pending: true}, one: // which may be quicker
	default:
		e.Fatalf("put without time: %+v", p)
	}
	await(e, got, 1)
	e.put(0, k, true, 1, refused)
}

func testFirstEndStays(e *env) {
	e.check(e.Effects(0).Outbox.Ensure(e.ctx, e.IDs[0], e.IDs[1]))
	e.put(0, e.kept("t1", true, "task"), true, 2, two)
	e.put(1, e.kept("t1", true, "first end"), false, 2, two)
	e.put(0, e.kept("t1", true, "second end"), false, 2, bothRefused)
	e.put(1, e.kept("t1", true, "third end"), false, 2, bothRefused)
	e.holds(0, "t1=task", "t1=first end")
	e.holds(1, "t1=task", "t1=first end")
}

func testEnsure(e *env) {
	// Without the outbox at the custodian there is one store, and the wait ends with ctx.
	ctx, cancel := context.WithTimeout(e.ctx, 2*time.Second)
	defer cancel()
	if got := e.Effects(0).Outbox.Put(ctx, e.kept("t0", true, "task"), true, 2); got != one {
		e.Fatalf("put without a custodian: %+v", got)
	}
	e.check(e.Effects(1).Outbox.Ensure(e.ctx, e.IDs[0], e.IDs[1])) // by the custodian itself
	e.check(e.Effects(0).Outbox.Ensure(e.ctx, e.IDs[0], e.IDs[1]))
	e.check(e.Effects(0).Outbox.Ensure(e.ctx, e.IDs[0], e.IDs[1]))
	e.check(e.Effects(0).Outbox.Ensure(e.ctx, e.IDs[0], e.IDs[0])) // is always there
	e.put(0, e.kept("t1", true, "task"), true, 2, two)
	// What one store refuses may be new to the other.
	e.put(0, e.kept("t0", true, "task"), true, 2, sched.Put{Stores: 1, Refused: 1, Custodian: true})
	e.holds(1, "t1=task", "t0=task")
}

func testLoad(e *env) {
	e.check(e.Effects(0).Outbox.Ensure(e.ctx, e.IDs[0], e.IDs[1]))
	var want []string
	for i := range 30 {
		k := e.kept(bus.TaskID(fmt.Sprint("t", i)), true, "task")
		e.put(0, k, true, 2, two)
		want = append(want, string(k.Task)+"=task")
	}
	for i := range 2 {
		e.Restart(i)
		e.holds(i, want...)
	}
	e.put(0, e.kept("t7", true, "task"), true, 2, bothRefused)
	e.put(1, e.kept("t7", true, "end"), false, 2, two)
	e.put(0, e.kept("t7", true, "end"), false, 2, bothRefused)
	e.holds(0, append(want, "t7=end")...)
	e.holds(1, append(want, "t7=end")...)
}

func testOutboxWatch(e *env) {
	e.check(e.Effects(0).Outbox.Ensure(e.ctx, e.IDs[0], e.IDs[1]))
	var got [2]record[string]
	for i := range 2 {
		stop, err := e.Effects(i).Outbox.Watch(func(k sched.Kept) {
			e.fresh(k)
			got[i].add(fmt.Sprintf("%s %s %s=%s", k.Submitter, k.Custodian, k.Task, k.Data))
		})
		e.check(err)
		defer stop()
	}
	e.put(0, e.kept("t1", true, "task"), true, 2, two)
	e.put(1, e.kept("t1", true, "task"), true, 2, bothRefused)
	e.put(1, e.kept("t1", true, "end"), false, 2, two)
	e.put(0, e.kept("t1", true, "end"), false, 2, bothRefused)
	e.put(0, e.kept("t2", false, "task"), true, 1, one)
	e.put(0, e.kept("t3", true, "task"), true, 2, two)
	want := []string{"t1=task", "t1=end", "t2=task", "t3=task"}
	for i := range 2 {
		var expect []string
		for _, w := range want {
			custodian := e.IDs[1]
			if w == "t2=task" {
				if i == 1 {
					continue
				}
				custodian = bus.NoCustodian
			}
			expect = append(expect, fmt.Sprintf("%s %s %s", e.IDs[0], custodian, w))
		}
		if l := await(e, &got[i], len(expect)); fmt.Sprint(l) != fmt.Sprint(expect) {
			e.Fatalf("node %d saw %v, want %v", i, l, expect)
		}
	}
}

func testForget(e *env) {
	e.check(e.Effects(0).Outbox.Ensure(e.ctx, e.IDs[0], e.IDs[1]))
	for _, id := range []bus.TaskID{"t1", "t2", "t3"} {
		e.put(0, e.kept(id, true, "task"), true, 2, two)
	}
	e.put(0, e.kept("t2", true, "end"), false, 2, two)
	e.check(e.Effects(0).Outbox.Forget(e.ctx, e.kept("t2", true, "")))
	e.holds(0, "t1=task", "t3=task")
	e.holds(1, "t1=task", "t2=task", "t3=task", "t2=end")
	e.check(e.Effects(1).Outbox.Forget(e.ctx, e.kept("t2", true, "")))
	e.check(e.Effects(1).Outbox.Forget(e.ctx, e.kept("t2", true, "")))
	e.holds(1, "t1=task", "t3=task")
}
