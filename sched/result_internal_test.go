package sched

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// disk is a store that has the ends of tasks, and of some what came before.
type disk struct {
	Outboxes
	ends, firsts map[bus.TaskID][]byte
	err          error
}

func (d *disk) Task(_ context.Context, k Kept) ([]byte, error) {
	if d.firsts[k.Task] == nil {
		return nil, ErrNotFound
	}
	return d.firsts[k.Task], d.err
}

func (d *disk) End(_ context.Context, k Kept) ([]byte, error) {
	if d.ends[k.Task] == nil {
		return nil, ErrNotFound
	}
	return d.ends[k.Task], d.err
}

// The results of durable tasks that have ended do not stay in memory, for a day each: they are read from the disk.
func TestResultsAreOnDisk(t *testing.T) {
	t.Parallel()
	const self, other = bus.NodeID("myco-00000000000a"), bus.NodeID("myco-00000000000b")
	d := &disk{ends: map[bus.TaskID][]byte{}}
	n := New(Config{ID: self}, Effects{Wire: &queueOfOne{}, Outbox: d})
	o := n.outbox
	const size, tasks = 500 << 10, 200
	id := func(i int) bus.TaskID { return bus.TaskID(fmt.Sprintf("t%d", i)) }
	result := func(i int) string { return fmt.Sprintf(`"%d%s"`, i, strings.Repeat("x", size)) }
	for i := range tasks {
		j := Job{Task: bus.Task{ID: id(i), Type: "work"}, Submitter: other, Custodian: self}
		f := Final{Task: id(i), State: bus.StateDone, Node: oneWorker, Attempt: 1, Result: []byte(result(i))}
		k := Kept{Submitter: other, Custodian: self, Task: id(i), At: time.Now()}
		k.Data = marshal(keptBody{Job: &j})
		o.onKept(k)
		k.Data = marshal(keptBody{Job: &j, Final: &f})
		d.ends[id(i)] = k.Data
		o.onKept(k)
	}
	inMemory := 0
	for _, k := range o.kept {
		inMemory += len(k.final.Result)
	}
	for _, r := range o.read.by {
		inMemory += len(r.v)
	}
	if inMemory > 64<<20 {
		t.Errorf("%d MiB of results are in memory", inMemory>>20)
	}
	for _, i := range []int{0, tasks - 1} {
		if f := o.whole(o.known(id(i)), id(i)); len(f) != 1 || string(f[0].Info.Result) != result(i) {
			t.Errorf("who asks for task %d is told of %d, or not of its result", i, len(f))
		}
		if f, ok, err := o.endOf(id(i)); !ok || err != nil || string(f.Result) != result(i) {
			t.Errorf("the end of task %d is known: %v, %v, with %d bytes", i, ok, err, len(f.Result))
		}
		out, err := n.AttachAt(id(i), 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		if c, err := out.Next(t.Context()); err != nil || c.End == nil || string(c.End.Result) != result(i) {
			t.Errorf("who attaches to task %d reads %d bytes, %v, and %v", i, len(c.Data), c.End != nil, err)
		}
	}
	d.err = errors.New("input/output error")
	if f := o.whole(o.known(id(0)), id(0)); len(f) != 0 {
		t.Errorf("of a result that cannot be read is told: %+v", f[0].Info.State)
	}
	if _, ok, err := o.endOf(id(0)); !ok || !errors.Is(err, d.err) {
		t.Errorf("a task whose result cannot be read has ended: %v, %v", ok, err)
	}
	if _, err := n.AttachAt(id(0), 0, 0); !errors.Is(err, d.err) {
		t.Errorf("who attaches to it reads %v", err)
	}
}

// Who keeps an end for a custodian that is away was never told the task: its store has room for a second end. The result
// is that of the one which it tells.
func TestResultOfOneOfTwoEnds(t *testing.T) {
	t.Parallel()
	const self, submitter, custodian = bus.NodeID("myco-00000000000a"), bus.NodeID("myco-00000000000b"), bus.NodeID("myco-00000000000c")
	d := &disk{ends: map[bus.TaskID][]byte{}, firsts: map[bus.TaskID][]byte{}}
	o := New(Config{ID: self}, Effects{Wire: &queueOfOne{}, Outbox: d}).outbox
	j := Job{Task: bus.Task{ID: "t1", Type: "work"}, Submitter: submitter, Custodian: custodian}
	first := Final{Task: "t1", State: bus.StateDone, Node: oneWorker, Attempt: 1, Nonce: "n1", Result: []byte(`"` + strings.Repeat("x", 2000) + `"`)}
	second := Final{Task: "t1", State: bus.StateCancelled, Attempt: 1, Nonce: "n2"}
	k := Kept{Submitter: submitter, Custodian: self, Task: "t1", At: time.Now()}
	for i, f := range []Final{first, second} {
		k.Data = marshal(keptBody{Job: &j, Final: &f})
		if i == 0 {
			d.firsts["t1"] = k.Data
		}
		d.ends["t1"] = k.Data
		o.onKept(k)
	}
	o.read = newLatest[json.RawMessage](0, 0) // others have ended since
	if f, ok, err := o.endOf("t1"); !ok || err != nil || f.State != bus.StateDone || string(f.Result) != string(first.Result) {
		t.Errorf("the end is %s, with %d bytes: %v, %v; want that which came first, with its own %d", f.State, len(f.Result), ok, err, len(first.Result))
	}
}

// A small result is with its end.
func TestSmallResultsStayInMemory(t *testing.T) {
	t.Parallel()
	o := New(Config{ID: "myco-00000000000a"}, Effects{Wire: &queueOfOne{}}).outbox // there is no disk
	j := Job{Task: bus.Task{ID: "t1", Type: "work"}, Submitter: "myco-00000000000b", Custodian: o.n.cfg.ID}
	f := Final{Task: "t1", State: bus.StateDone, Node: oneWorker, Attempt: 1, Result: []byte(`"` + strings.Repeat("x", 1000) + `"`)}
	o.onKept(Kept{Submitter: j.Submitter, Custodian: j.Custodian, Task: "t1", Data: marshal(keptBody{Job: &j, Final: &f}), At: time.Now()})
	o.read = newLatest[json.RawMessage](0, 0)
	if f, ok, err := o.endOf("t1"); !ok || err != nil || len(f.Result) != 1002 {
		t.Errorf("the end is known: %v, %v, with %d bytes", ok, err, len(f.Result))
	}
}

// What is looked through many times a second are the tasks that are open, not those of the last day.
func TestOpenTasksAreApart(t *testing.T) {
	t.Parallel()
	o := New(Config{ID: "myco-00000000000a"}, Effects{Wire: &queueOfOne{}}).outbox
	keep := func(id bus.TaskID, state bus.TaskState) {
		b := keptBody{Job: &Job{Task: bus.Task{ID: id, Type: "work"}, Submitter: "myco-00000000000b", Custodian: o.n.cfg.ID}}
		if state != "" {
			b.Final = &Final{Task: id, State: state, Node: oneWorker, Attempt: 1}
		}
		o.onKept(Kept{Submitter: b.Job.Submitter, Custodian: b.Job.Custodian, Task: id, Data: marshal(b), At: time.Now()})
	}
	rests := func() bool {
		o.untilLook()
		return o.resting
	}
	keep("t1", "")
	keep("t2", "")
	keep("t1", bus.StateDone)
	keep("t3", bus.StateDone) // its end alone, as a stand-in has it
	if len(o.kept) != 3 || len(o.keptOpen) != 1 || o.keptOpen["t2"] != o.kept["t2"] || rests() {
		t.Errorf("%d of %d tasks are open, want t2 alone", len(o.keptOpen), len(o.kept))
	}
	keep("t2", bus.StateDead)
	clear(o.standing)
	if len(o.keptOpen) != 0 || !rests() {
		t.Errorf("%d tasks are open, want none", len(o.keptOpen))
	}
}

// slow is a store that deletes nothing before it may, and then fails as it is told.
type slow struct {
	Outboxes
	may chan error
}

func (s slow) Forget(context.Context, Kept) error { return <-s.may }

// Very many ends may be old at once, and a disk is slow: deadlines, and cancels, do not wait for that. What it did not
// delete is known until it has.
func TestOldEndsAreForgottenAside(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const self = bus.NodeID("myco-00000000000a")
		store := slow{may: make(chan error)}
		o := New(Config{ID: self, Retention: time.Hour}, Effects{Wire: &queueOfOne{}, Outbox: store}).outbox
		b := keptBody{Job: &Job{Task: bus.Task{ID: "t1", Type: "work"}, Submitter: self, Custodian: bus.NoCustodian}, Final: &Final{Task: "t1", State: bus.StateDone, Node: oneWorker}}
		o.onKept(Kept{Submitter: self, Custodian: bus.NoCustodian, Task: "t1", At: time.Now(), Data: marshal(b)})
		for _, err := range []error{ErrNotFound, nil} {
			time.Sleep(2 * time.Hour)
			o.forgetOld(t.Context(), time.Now())
			store.may <- err
			synctest.Wait()
			if has := o.kept["t1"] != nil; has != (err != nil) {
				t.Errorf("the disk says %v: is it known, %v", err, has)
			}
		}
	})
}

// recorded is a quiet node's store with one record.
type recorded struct {
	quiet
	rec Record
}

func (r *recorded) GetClaim(context.Context, QueueID, bus.TaskID) ([]byte, uint64, error) {
	return marshal(r.rec), 1, nil
}

// Who ends a task in the moment that a worker does, for its deadline has passed, counts no attempt that was claimed for that alone.
func TestClaimedToEndIsNoAttempt(t *testing.T) {
	t.Parallel()
	for _, unrun := range []bool{false, true} {
		by := bus.NodeID("myco-bbbbbbbbbbbb")
		q := &recorded{rec: Record{State: bus.StateExpired, Worker: by, Attempt: 1, Final: &Final{State: bus.StateExpired, Attempt: 1, Unrun: unrun}}}
		n := New(Config{ID: "myco-aaaaaaaaaaaa"}, Effects{Wire: q, Queues: q})
		n.queue.put(QueueID{n.cfg.ID, 1}, true)
		if got, at := n.outbox.attemptsRead(t.Context(), oneJob()); got != 1-boolInt(unrun) || (at == by) == unrun {
			t.Errorf("where the last attempt is unrun, %v, it had %d, at %q", unrun, got, at)
		}
	}
}
