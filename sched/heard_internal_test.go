package sched

import (
	"slices"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Ends that wait for a slow disk take no more memory than is set aside. What does not fit is not fed for a while
// either, and asked for again; it counts no longer where nobody tells it any more.
func TestHeardEndThatDoesNotFit(t *testing.T) {
	t.Parallel()
	const self, other = bus.NodeID("myco-00000000000a"), bus.NodeID("myco-00000000000b")
	now := time.Unix(1_700_000_000, 0)
	n := New(Config{ID: self, Clock: func() time.Time { return now }}, Effects{Wire: &queueOfOne{}})
	n.bg.end() // nothing is written
	o := n.outbox
	ids := []bus.TaskID{"small", "large"}
	for _, id := range ids {
		j := Job{Task: bus.Task{ID: id, Type: "work"}, Submitter: self, Custodian: other}
		o.onKept(Kept{Submitter: self, Custodian: other, Task: id, Data: marshal(keptBody{Job: &j})})
		o.open(&entry{job: j, key: j.key(), out: o.newStream(true)})
	}
	o.learn(Final{Task: "small", State: bus.StateDone})
	o.learn(Final{Task: "large", State: bus.StateDone, Result: make([]byte, heardBytes)})
	if !o.isOver("small") || !o.isOver("large") || o.heard["small"].final == nil || o.heard["large"].final != nil {
		t.Fatalf("heard %+v", o.heard)
	}
	if got := o.openIDs(now); !slices.Equal(got, ids[1:]) {
		t.Errorf("%v are asked for again, want the one that did not fit", got)
	}
	now = now.Add(heardFor + time.Second)
	if due := o.dueHeard(); len(due) != 1 || due[0].final.Task != "small" {
		t.Errorf("%d ends are written: %+v", len(due), due)
	}
	if !o.isOver("small") || o.isOver("large") {
		t.Errorf("after %v, heard %+v", heardFor, o.heard)
	}
	j := o.kept["small"].job
	o.onKept(Kept{Submitter: self, Custodian: other, Task: "small", Data: marshal(keptBody{Job: &j, Final: &Final{Task: "small", State: bus.StateDone}})})
	if len(o.heard) != 0 || o.heardBytes != 0 {
		t.Errorf("with the end on the own disk, %d bytes are held of %+v", o.heardBytes, o.heard)
	}
}
