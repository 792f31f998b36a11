package sched

import (
	"context"
	"sync"
)

// current is the queue that this node works with, and a signal of its change.
type current struct {
	mu      sync.Mutex
	q       QueueID
	set     bool
	ctx     context.Context // ends when q changes; nil while there is none
	cancel  context.CancelFunc
	changed chan struct{} // closed and replaced on every change
}

func newCurrent() *current { return &current{changed: make(chan struct{})} }

// put makes q the current queue, or none where ok is false. It reports whether that is new.
func (c *current) put(q QueueID, ok bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.set == ok && c.q == q {
		return false
	}
	if c.cancel != nil {
		c.cancel()
		c.cancel, c.ctx = nil, nil
	}
	c.q, c.set = q, ok
	if ok {
		c.ctx, c.cancel = context.WithCancel(context.Background())
	}
	close(c.changed)
	c.changed = make(chan struct{})
	return true
}

func (c *current) get() (QueueID, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.q, c.set
}

func (c *current) is(q QueueID) bool {
	now, ok := c.get()
	return ok && now == q
}

// wait returns the current queue once there is one, with a context that ends with ctx or when
// the queue is no longer the current one.
func (c *current) wait(ctx context.Context) (QueueID, context.Context, context.CancelFunc, error) {
	for {
		c.mu.Lock()
		q, ok, qctx, changed := c.q, c.set, c.ctx, c.changed
		c.mu.Unlock()
		if ok {
			both, cancel := context.WithCancel(ctx)
			stop := context.AfterFunc(qctx, cancel)
			return q, both, func() { stop(); cancel() }, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return QueueID{}, nil, nil, ctx.Err()
		}
	}
}

// during returns a context that ends with ctx, after effectWait, or at the next change: what is asked of
// a host is not waited for once that is no longer the host.
func (c *current) during(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, effectWait)
	c.mu.Lock()
	qctx, changed := c.ctx, c.changed
	c.mu.Unlock()
	if qctx != nil {
		stop := context.AfterFunc(qctx, cancel)
		return ctx, func() { stop(); cancel() }
	}
	go func() {
		select {
		case <-changed:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// change returns a channel that is closed at the next change.
func (c *current) change() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}
