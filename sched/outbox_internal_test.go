package sched

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// A task ends while its custodian is replaced: who reads the end reads no half of a name. It is the race
// detector that notices.
func TestEndsWhileItsCustodianIsReplaced(t *testing.T) {
	t.Parallel()
	q := &queueOfOne{}
	o := New(Config{ID: "myco-00000000000a"}, Effects{Wire: q}).outbox
	e := &entry{job: Job{Task: bus.Task{ID: "t1", Type: "work"}, Submitter: "myco-00000000000a", Custodian: oneWorker}, out: o.newStream(true)}
	o.mu.Lock()
	o.open(e)
	o.mu.Unlock()
	out := o.output(e)
	e.out.take(piece(1, 0, nil), o.n.now())
	o.complete("t1", Final{Task: "t1", State: bus.StateDone, Attempt: 1, Nonce: "x", Chunks: 1})
	replaced := make(chan struct{})
	go func() {
		defer close(replaced)
		o.mu.Lock()
		defer o.mu.Unlock()
		e.job.Custodian = another
	}()
	for range 2 {
		c, err := out.Next(t.Context())
		if err != nil || c.End != nil && (!c.End.Durable || c.End.Submitter != o.n.cfg.ID) {
			t.Errorf("reads %+v, %v", c, err)
		}
	}
	<-replaced
}

// A submitter tells that it has lost tasks while their custodian looks which it feeds. It is the race detector that
// notices.
func TestTasksAreLostWhileOthersAreFed(t *testing.T) {
	t.Parallel()
	const self, submitter = bus.NodeID("myco-00000000000a"), bus.NodeID("myco-00000000000b")
	q := &queueOfOne{}
	o := New(Config{ID: self}, Effects{Wire: q, Queues: q}).outbox
	var ids []bus.TaskID
	for i := range feedWindow {
		id := bus.TaskID(fmt.Sprintf("t%d", i))
		b := keptBody{Job: &Job{Task: bus.Task{ID: id, Type: "work"}, Submitter: submitter, Custodian: self}}
		o.onKept(Kept{Submitter: submitter, Custodian: self, Task: id, At: time.Now(), Data: marshal(b)})
		ids = append(ids, id)
	}
	told := make(chan struct{})
	go func() {
		defer close(told)
		for _, id := range ids {
			o.orphan(submitter, []bus.TaskID{id})
		}
	}()
	for range 20 {
		o.feedKept(t.Context(), QueueID{Host: oneWorker, Term: 1})
	}
	<-told
	if fed, _ := q.told(); fed < len(ids) {
		t.Errorf("%d tasks are fed, want %d", fed, len(ids))
	}
}

// starting is a store that gets the end of a task right after that was read from it.
type starting struct {
	Outboxes
	task, end Kept
	tell      func(Kept)
}

func (s *starting) Watch(fn func(Kept)) (stop func(), err error) {
	s.tell = fn
	return func() { s.tell = nil }, nil
}

func (s *starting) Load(context.Context) ([]Kept, error) {
	if s.tell != nil {
		s.tell(s.end)
	}
	return []Kept{s.task}, nil
}

// What others write to the store while this node starts is known here, too: a custodian that does not know of an end
// which it has on disk feeds the task again, and nobody tells it.
func TestEndComesWhileTheStoreIsRead(t *testing.T) {
	t.Parallel()
	const self, submitter = bus.NodeID("myco-00000000000a"), bus.NodeID("myco-00000000000b")
	for _, from := range []bus.NodeID{submitter, self} {
		j := Job{Task: bus.Task{ID: "t1", Type: "work", Payload: []byte(`"x"`)}, Submitter: from, Custodian: self}
		if from == self {
			j.Custodian = submitter
		}
		kept := func(b keptBody) Kept {
			return Kept{Submitter: from, Custodian: j.Custodian, Task: "t1", Data: marshal(b)}
		}
		store := &starting{task: kept(keptBody{Job: &j}), end: kept(keptBody{Job: &j, Final: &Final{Task: "t1", State: bus.StateDone, Node: oneWorker, Attempt: 1}})}
		n := New(Config{ID: self}, Effects{Wire: &queueOfOne{}, Outbox: store})
		stop, err := n.takeIn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		k := n.outbox.kept["t1"]
		if f, ok := n.outbox.over("t1"); !ok || f.State != bus.StateDone || len(n.outbox.entries) != 0 || len(k.job.Task.Payload) != 0 || k.sum == (contentSum{}) {
			t.Errorf("of a task of %s: %+v, %v, %d open, %+v", from, f, ok, len(n.outbox.entries), k)
		}
	}
}

// recording counts the records that are written into a queue.
type recording struct {
	queueOfOne
	written []bus.TaskID
	bytes   int
}

func (r *recording) CreateClaim(_ context.Context, _ QueueID, c Claim, rec []byte) (uint64, error) {
	r.written = append(r.written, c.Task)
	r.bytes += len(rec)
	return 1, nil
}

// A new host reads the results of known ends from its disk before it is announced, and the records of its queue take
// 64 MiB and let go of the first: the latest ends are loaded, and no more than that.
func TestLatestEndsAreLoaded(t *testing.T) {
	t.Parallel()
	const self, tasks = bus.NodeID("myco-00000000000a"), 200
	q, d := &recording{}, &disk{ends: map[bus.TaskID][]byte{}}
	o := New(Config{ID: self}, Effects{Wire: q, Queues: q, Outbox: d}).outbox
	for i := range tasks {
		id := bus.TaskID(fmt.Sprintf("t%d", i))
		j := Job{Task: bus.Task{ID: id, Type: "work"}, Submitter: oneWorker, Custodian: self}
		f := Final{Task: id, State: bus.StateDone, Node: oneWorker, Attempt: 1, Result: []byte(`"` + strings.Repeat("x", 500<<10) + `"`)}
		k := Kept{Submitter: oneWorker, Custodian: self, Task: id, At: time.Now().Add(time.Duration(i-tasks) * time.Second), Data: marshal(keptBody{Job: &j, Final: &f})}
		d.ends[id] = k.Data
		o.onKept(k)
	}
	o.preload(t.Context(), QueueID{Host: self, Term: 1})
	if len(q.written) == 0 || q.written[0] != "t199" || q.bytes > 64<<20 {
		t.Errorf("%d records with %d MiB, want the latest ends, and 64 MiB at most", len(q.written), q.bytes>>20)
	}
}

// A clock that is set ahead, as that of a machine without a battery is once it has a network, makes no end old: it would be
// deleted before anybody has read it. What seems to come from the future is new.
func TestEndsAreNoOlderWhenTheClockIsSet(t *testing.T) {
	t.Parallel()
	const self = bus.NodeID("myco-00000000000a")
	o := New(Config{ID: self}, Effects{Wire: &queueOfOne{}}).outbox
	for name, age := range map[bus.TaskID]time.Duration{"new": 0, "old": time.Hour, "next": -time.Hour} {
		b := keptBody{Job: &Job{Task: bus.Task{ID: name, Type: "work"}, Submitter: oneWorker, Custodian: self}, Final: &Final{Task: name, State: bus.StateDone, Node: oneWorker}}
		o.onKept(Kept{Submitter: oneWorker, Custodian: self, Task: name, At: time.Now().Add(-age).Round(0), Data: marshal(b)})
		at := o.kept[name].endAt
		if got := time.Since(at) - max(age, 0); got.Abs() > time.Minute || !strings.Contains(at.String(), " m=") { // as times of the clock that only goes forward are shown
			t.Errorf("the end of %s, of %v ago, is of %v", name, age, at)
		}
	}
}
