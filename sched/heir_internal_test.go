package sched

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// quiet is a wire without anybody, and the queues of a host without work.
type quiet struct {
	Wire
	Queues
	counts  atomic.Int64
	dropped atomic.Uint64 // term
}

func (q *quiet) Routes() map[bus.NodeID]bool { return nil }
func (q *quiet) Inbox() string               { return "inbox" }
func (q *quiet) Publish(Msg) error           { return nil }

func (q *quiet) Counts(context.Context, QueueID) ([]KeyCount, error) {
	q.counts.Add(1)
	return nil, nil
}

func (q *quiet) Drop(_ context.Context, id QueueID) error { q.dropped.Store(id.Term); return nil }

func (q *quiet) node() *Node {
	return New(Config{ID: "myco-aaaaaaaaaaaa"}, Effects{Wire: q, Queues: q})
}

// A host that is made heir of another follows that with a term of its own, and ends the one before.
func TestHeirEndsItsOwnTerm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &quiet{}
		n := q.node()
		first, second := newHost(n, QueueID{n.cfg.ID, 1}), newHost(n, QueueID{n.cfg.ID, 3})
		for _, h := range []*host{first, second} {
			h.wg.Go(h.loop)
			n.became(h)
		}
		if n.host() != second || !first.over {
			t.Errorf("hosts %v, the first is over: %v; want the second, and the first over", n.host().q, first.over)
		}
		time.Sleep(dropAfter)
		synctest.Wait()
		if got := q.dropped.Load(); got != 1 {
			t.Errorf("dropped the queue of term %d, want 1", got)
		}
		n.stopHosting()
		first.stop() // without the fix it would run on
		n.bg.end()
	})
}

// stuckStore answers nothing until it is no longer waited for.
type stuckStore struct{ quiet }

func (*stuckStore) AddKey(ctx context.Context, _ QueueID, _ bus.Key) error {
	<-ctx.Done()
	return ctx.Err()
}

func (*stuckStore) Counts(ctx context.Context, _ QueueID) ([]KeyCount, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (*stuckStore) Watch(QueueID, func(bus.Key, bus.TaskID, uint64, Need), func(Claim)) (func(), error) {
	return func() {}, nil
}

// A host steps down at once, though its store does not answer: its election loop, which waits for that, would take the pause
// for a gap in which it slept, and judge nobody.
func TestStepsDownWhileItsStoreIsStuck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := &stuckStore{}
		n := New(Config{ID: "myco-aaaaaaaaaaaa"}, Effects{Wire: q, Queues: q})
		h := newHost(n, QueueID{n.cfg.ID, 1})
		if err := h.start(); err != nil {
			t.Fatal(err)
		}
		h.do(func() { h.stored(oneKey, "t1", 1, Need{}) })
		time.Sleep(sweepEvery + time.Millisecond)
		before := time.Now()
		h.stop()
		if took := time.Since(before); took > 0 {
			t.Errorf("its end took %v", took)
		}
	})
}
