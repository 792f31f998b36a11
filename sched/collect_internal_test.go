package sched

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// hung is a disk that answers nothing until it is no longer waited for.
type hung struct {
	Blobs
	till <-chan struct{}
}

func (h hung) HeldBlobs() ([]HeldBlob, error) {
	<-h.till
	return nil, nil
}

// A disk that hangs holds up no deadline of a task that is in memory alone.
func TestDeadlinePassesWhileTheDiskHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		till := make(chan struct{})
		q := &quiet{}
		n := New(Config{ID: "myco-aaaaaaaaaaaa"}, Effects{Wire: q, Queues: q, Blobs: hung{till: till}})
		j := *oneJob()
		j.Submitter, j.Task.Timeout = n.cfg.ID, 5*time.Second
		j.LeftMS, j.Stamp = 5000, n.now()
		out := n.outbox.newStream(false)
		n.outbox.mu.Lock()
		n.outbox.open(&entry{job: j, key: j.key(), out: out})
		n.outbox.mu.Unlock()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			n.outbox.care(ctx)
		}()
		time.Sleep(10 * time.Second)
		out.mu.Lock()
		_, ended := out.at(0, 0)
		out.mu.Unlock()
		if !ended {
			t.Error("a task goes on after its deadline")
		}
		cancel()
		close(till)
		<-done
		n.bg.end()
	})
}
