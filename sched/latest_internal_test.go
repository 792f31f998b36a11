package sched

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// What a node remembers of ended tasks, for those who ask, takes no more memory where results are as large as they
// get: the oldest go sooner.
func TestRememberedEndsAreBounded(t *testing.T) {
	t.Parallel()
	n := New(Config{ID: "myco-00000000000a"}, Effects{Wire: &queueOfOne{}})
	result := []byte(`"` + strings.Repeat("x", bus.MaxInline-2) + `"`)
	const tasks = endedBytes/bus.MaxInline + 10
	id := func(i int) bus.TaskID { return bus.TaskID(fmt.Sprintf("t%d", i)) }
	for i := range tasks {
		f := Final{Task: id(i), State: bus.StateDone, Node: oneWorker, Attempt: 1, Result: result}
		n.worker.remember(f)
		o := n.outbox
		o.mu.Lock()
		o.open(&entry{job: Job{Task: bus.Task{ID: id(i), Type: "work"}, Submitter: n.cfg.ID}, out: o.newStream(false)})
		o.mu.Unlock()
		o.complete(id(i), f)
	}
	for name, ended := range map[string]func(bus.TaskID) (Final, bool){"worker": n.worker.ended, "submitter": n.outbox.over} {
		size := 0
		for i := range tasks {
			f, _ := ended(id(i))
			size += len(f.Result)
		}
		if size > 64<<20 || size < 32<<20 {
			t.Errorf("the %s remembers %d MiB", name, size>>20)
		}
		if f, ok := ended(id(tasks - 1)); !ok || len(f.Result) != len(result) {
			t.Errorf("the %s has forgotten the last", name)
		}
		if _, ok := ended(id(0)); ok {
			t.Errorf("the %s remembers the first", name)
		}
	}
}

// One that is told again takes the place of what was told before, and counts once.
func TestLatestCountsOnce(t *testing.T) {
	t.Parallel()
	l := newLatest[int](2, 100)
	l.put("a", 1, 90)
	l.put("a", 2, 10)
	l.put("b", 3, 80)
	if a, _ := l.get("a"); a != 2 || l.bytes != 90 {
		t.Errorf("a is %d, of %d bytes together", a, l.bytes)
	}
	l.put("c", 4, 10)
	if _, ok := l.get("a"); ok || len(l.by) != 2 || l.bytes != 90 {
		t.Errorf("a is remembered: %v, %d of %d bytes, want two of 90", ok, len(l.by), l.bytes)
	}
}

// blobless is a store without large content.
type blobless struct{ Blobs }

func (blobless) HeldBlobs() ([]HeldBlob, error) { return nil, nil }

// The output of a task that has ended is kept for a minute, and not until as many others have ended.
func TestOutputGoesAtRest(t *testing.T) {
	t.Parallel()
	n := New(Config{ID: "myco-00000000000a"}, Effects{Wire: &queueOfOne{}, Blobs: blobless{}})
	o, now := n.outbox, n.now()
	e := &entry{job: Job{Task: bus.Task{ID: "t1", Type: "work"}}, out: o.newStream(false)}
	e.out.take(piece(1, 0, nil), now)
	o.keepTail("t1", e)
	all := o.tails[:1]
	o.collect(t.Context(), now.Add(tailFor-time.Second))
	if len(o.tails) != 1 {
		t.Error("the output of a task that has just ended is gone")
	}
	o.collect(t.Context(), now.Add(tailFor+time.Minute))
	if len(o.tails) != 0 || all[0].e != nil {
		t.Errorf("the output of %d ended tasks is kept", len(o.tails))
	}
}
