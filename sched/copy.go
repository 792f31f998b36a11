package sched

import (
	"context"
	"errors"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Limits of the copies of payloads to new custodians, and of results to those that are back: each takes memory, as much as
// the payload or the result.
const (
	copiesMost    = 2                // at one time
	copyPause     = 10 * time.Second // after a copy that failed; it doubles with each
	copyPauseMost = 5 * time.Minute
)

// replaceLarge is replaceCustodian for a task whose payload is too large for a message, in the
// background: it takes a while, and deadlines do not wait for it.
func (o *outbox) replaceLarge(ctx context.Context, e *entry, c bus.NodeID) {
	if o.beginCopy(e) {
		o.n.bg.run(func() {
			o.endCopy(e, o.copyPayload(ctx, &e.job, c) && o.replaceCustodian(ctx, e, c))
		})
	}
}

// beginCopy reports whether a copy of e's payload may begin; endCopy follows then.
func (o *outbox) beginCopy(e *entry) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.copies >= copiesMost {
		return false
	}
	o.copies++
	e.copying = true
	return true
}

func (o *outbox) endCopy(e *entry, copied bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.copies--
	e.copying = false
	if copied {
		e.copied = backoff{}
	} else {
		e.copied.wait(o.n.now(), copyPause, copyPauseMost)
	}
}

// copyPayload puts the payload of a durable task on the disk of a new custodian, unless it is there.
func (o *outbox) copyPayload(ctx context.Context, j *Job, c bus.NodeID) bool {
	id, large := j.payload()
	if !large {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, carryLimit)
	defer cancel()
	err := o.n.copyBlob(ctx, id, c, j.Submitter, j.Custodian)
	if err != nil {
		o.n.log.Warn("copy a payload to a new custodian", "task", id.Task, "custodian", c, "err", err)
	}
	return err == nil
}

// copyBlob puts a blob on the disk of a node, unless it is there. from are those that should have it.
func (n *Node) copyBlob(ctx context.Context, id BlobID, to bus.NodeID, from ...bus.NodeID) error {
	hctx, enough := context.WithTimeout(ctx, effectWait)
	err := n.fx.HasBlob(hctx, to, id)
	enough()
	if !errors.Is(err, ErrNotFound) {
		return err
	}
	data, _, err := n.fetch(ctx, id, n.whoMayHave(from...))
	if err != nil {
		return err
	}
	return n.putBlob(ctx, to, id, false, data)
}

// putBlob and getBlob are the effects, given up once node at is lost: it would not answer.
func (n *Node) putBlob(ctx context.Context, at bus.NodeID, id BlobID, memory bool, data []byte) error {
	ctx, cancel := n.whileAlive(ctx, at)
	defer cancel()
	return n.fx.PutBlob(ctx, at, id, memory, data)
}

func (n *Node) getBlob(ctx context.Context, at bus.NodeID, id BlobID) ([]byte, error) {
	ctx, cancel := n.whileAlive(ctx, at)
	defer cancel()
	return n.fx.GetBlob(ctx, at, id)
}

var errHolderLost = errors.New("that node is lost")

// whileAlive returns a context that ends with ctx, or once node at is lost.
func (n *Node) whileAlive(ctx context.Context, at bus.NodeID) (context.Context, func()) {
	if at == n.cfg.ID {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		t := time.NewTicker(pollEvery)
		defer t.Stop()
		for n.members.alive(at) {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
			}
		}
		cancel(errHolderLost)
	}()
	return ctx, func() { cancel(nil) }
}
