package sched

import (
	"testing"

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
