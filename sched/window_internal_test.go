package sched

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// hoarding counts what is fed, by class and user.
type hoarding struct {
	queueOfOne
	fed map[string]int
}

func (h *hoarding) Feed(_ context.Context, _ QueueID, key bus.Key, id bus.TaskID, _ Need, data []byte) error {
	var j Job
	err := bus.Unmarshal(data, &j)
	if err == nil {
		h.fed[key.Class+j.Task.User]++
	}
	return err
}

// What nobody can run, or a user who sends very much, keeps no other task out of the queue.
func TestWindowIsNotFilledByOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const self = bus.NodeID("myco-00000000000a")
		q := &hoarding{fed: map[string]int{}}
		o := New(Config{ID: self}, Effects{Wire: q, Queues: q}).outbox
		add := func(n int, typ, user string) {
			for range n {
				o.count++
				j := Job{Task: bus.Task{ID: bus.TaskID(fmt.Sprintf("t%d", o.count)), Type: typ, User: user}, Submitter: self, Custodian: oneWorker}
				o.open(&entry{job: j, key: j.key(), order: o.count, born: time.Now(), out: o.newStream(true)})
			}
		}
		host := QueueID{Host: oneWorker, Term: 1}
		add(5000, "paint", "")
		o.feedOpen(t.Context(), host)
		add(10, "work", "")
		add(5000, "paint", "a")
		for range 3 {
			time.Sleep(time.Second)
			o.feedOpen(t.Context(), host)
		}
		if d := o.untilLook(); d != 10_010*lookFor {
			t.Errorf("with %d open tasks it looks after %v, want %v", len(o.entries), d, 10_010*lookFor)
		}
		if want := map[string]int{"paint": feedWindow, "work": 10, "painta": feedWindow / windowParts}; fmt.Sprint(q.fed) != fmt.Sprint(want) {
			t.Errorf("fed are %v, want %v", q.fed, want)
		}
	})
}

// A custodian, too, keeps no more in the queue of what a submitter left behind, the most urgent first.
func TestWindowOfACustodian(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const self = bus.NodeID("myco-00000000000a")
		q := &hoarding{fed: map[string]int{}}
		o := New(Config{ID: self}, Effects{Wire: q, Queues: q}).outbox
		add := func(n int, typ string, priority int) {
			for range n {
				id := bus.TaskID(fmt.Sprintf("t%d", len(o.kept)))
				j := Job{Task: bus.Task{ID: id, Type: typ, Lane: bus.Batch, Priority: priority}, Submitter: oneWorker, Custodian: self}
				o.onKept(Kept{Submitter: oneWorker, Custodian: self, Task: id, At: time.Now(), Data: marshal(keptBody{Job: &j})})
			}
		}
		add(3000, "paint", 5)
		add(10, "work", 9)
		host := QueueID{Host: "myco-00000000000c", Term: 1}
		for range 3 {
			time.Sleep(time.Second)
			o.feedKept(t.Context(), host)
		}
		if want := map[string]int{"paint": feedWindow - 10, "work": 10}; fmt.Sprint(q.fed) != fmt.Sprint(want) {
			t.Errorf("fed are %v, want %v", q.fed, want)
		}
		o.mu.Lock()
		o.setEnd(o.kept["t0"], Final{Task: "t0", State: bus.StateCancelled})
		fed := o.kept["t0"].fed == host
		o.mu.Unlock()
		if o.feedKept(t.Context(), host); !fed || q.fed["paint"] != feedWindow-9 {
			t.Errorf("the place of one that has ended is not given to another: %v fed", q.fed)
		}
	})
}

// BenchmarkFeedOpen looks at very many open tasks, of which one may be fed.
func BenchmarkFeedOpen(b *testing.B) {
	const self = bus.NodeID("myco-00000000000a")
	q := &hoarding{fed: map[string]int{}}
	o := New(Config{ID: self}, Effects{Wire: q, Queues: q}).outbox
	for i := range openMost {
		j := Job{Task: bus.Task{ID: bus.TaskID(fmt.Sprintf("t%d", i)), Type: "work"}, Submitter: self, Custodian: oneWorker}
		o.open(&entry{job: j, key: j.key(), order: uint64(i), born: time.Now(), out: o.newStream(true)})
	}
	host := QueueID{Host: oneWorker, Term: 1}
	o.feedOpen(b.Context(), host)
	for b.Loop() {
		o.feedOpen(b.Context(), host)
	}
}
