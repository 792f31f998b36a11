package sched

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/protect"
)

// Times of what is too large for a message.
const (
	locateWait = 500 * time.Millisecond // for nodes to say who has a blob; below silentFor
	carryLimit = 5 * time.Minute        // for a payload, or a result, to get where it goes
	unfedFor   = 300 * time.Millisecond // until a task is given out again whose payload is away
)

// payload returns the name of j's payload, where that is too large for a message.
func (j *Job) payload() (BlobID, bool) {
	if j.Blob == nil {
		return BlobID{}, false
	}
	return blobID(j.Task.ID, false, j.Blob), true
}

// contentOf is sumOf for a task whose payload may be a blob: of one that is too large for a message
// the sum is the same with the payload and without.
func contentOf(t bus.Task, b *bus.Blob) contentSum {
	if b == nil && len(t.Payload) > bus.MaxInline {
		of := bus.BlobOf(t.Payload)
		b = &of
	}
	if b == nil {
		return sumOf(t)
	}
	return sha256.Sum256([]byte(t.Type + "\x00\x00" + b.SHA256))
}

// size is how much memory, in bytes, an open task's payload and unknown fields take at its submitter.
func (e *entry) size() int {
	if e.job.Blob != nil && !e.job.Durable() {
		return int(e.job.Blob.Size) + inline(&e.job.Task)
	}
	return inline(&e.job.Task)
}

// inline is what t carries along, in bytes, beside its short fields.
func inline(t *bus.Task) int { return len(t.Payload) + len(t.Later) }

// detach takes a payload that is too large for a message out of the job.
func (j *Job) detach() (data []byte) {
	if len(j.Task.Payload) <= bus.MaxInline {
		return nil
	}
	data = j.Task.Payload
	j.Task.DropPayload()
	b := bus.BlobOf(data)
	j.Blob = &b
	return data
}

// lend keeps the payload of an attached task in memory, for workers to fetch, and opens the task.
func (o *outbox) lend(e *entry) error {
	id, large := e.job.payload()
	if !large {
		return nil
	}
	data := e.data
	e.data = nil
	ctx, cancel := context.WithTimeout(context.Background(), effectWait)
	defer cancel()
	err := o.n.putBlob(ctx, o.n.cfg.ID, id, true, data)
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.lending, id.Task)
	o.openBytes -= e.size()
	if err == nil {
		o.open(e)
	}
	return err
}

// keepPayload puts the payload of a durable task on the disks of both custodians, before the task
// itself is: whoever has the task has the payload. Where the second does not take it the task has
// one copy, until a custodian is found that does; so it has where copies is 1 and the second takes
// longer than acceptWait.
func (o *outbox) keepPayload(ctx context.Context, e *entry, copies int) error {
	id, large := e.job.payload()
	if !large {
		return nil
	}
	data := e.data
	e.data = nil
	ctx, cancel := context.WithTimeout(ctx, carryLimit)
	defer cancel()
	sctx, enough := context.WithCancel(ctx)
	defer enough()
	var both sync.WaitGroup
	var second error
	if c := e.job.Custodian; c != bus.NoCustodian && !protect.Payload.Off() {
		both.Go(func() { second = o.n.putBlob(sctx, c, id, false, data) })
	}
	first := o.n.putBlob(ctx, o.n.cfg.ID, id, false, data)
	if copies < 2 {
		defer time.AfterFunc(acceptWait, enough).Stop()
	}
	both.Wait()
	if second != nil {
		o.n.log.Warn("the second copy of a payload is not made yet", "task", id.Task, "custodian", e.job.Custodian, "err", second)
		e.job.Custodian = bus.NoCustodian
	}
	if first != nil {
		return fmt.Errorf("keep the payload: %w", first)
	}
	return nil
}

// putBack puts the payload of an open durable task where it should be and is not: an earlier try to
// have the task accepted may have lost it.
func (o *outbox) putBack(ctx context.Context, j *Job, data []byte) error {
	id, large := j.payload()
	if !large {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, carryLimit)
	defer cancel()
	for _, at := range []bus.NodeID{o.n.cfg.ID, j.Custodian} {
		if at == bus.NoCustodian || at != o.n.cfg.ID && !o.n.members.alive(at) {
			continue
		}
		err := o.n.fx.HasBlob(ctx, at, id)
		if errors.Is(err, ErrNotFound) {
			err = o.n.putBlob(ctx, at, id, false, data)
		}
		if err != nil && at == o.n.cfg.ID {
			return fmt.Errorf("keep the payload: %w", err)
		}
		if err != nil {
			o.n.log.Warn("put a payload back", "task", id.Task, "at", at, "err", err)
		}
	}
	return nil
}

// dropPayload deletes the payload of j here, in the background.
func (o *outbox) dropPayload(j *Job) {
	if id, large := j.payload(); large && !protect.Collect.Off() {
		o.n.bg.run(func() { o.dropBlob(id) })
	}
}

func (o *outbox) dropBlob(id BlobID) {
	if err := o.n.fx.DropBlob(id); err != nil {
		o.n.log.Warn("delete large content", "task", id.Task, "result", id.Result, "err", err)
	}
}

// dropAll deletes the payload and the result of a task that is forgotten.
func (o *outbox) dropAll(k *kept) {
	if id, large := k.job.payload(); large {
		o.dropBlob(id)
	}
	if k.final != nil && k.final.Blob != nil {
		o.dropBlob(blobID(k.job.Task.ID, true, k.final.Blob))
	}
}

// whoMayHave returns the nodes to ask for a blob: this one, then those that should have it, then all
// others that live.
func (n *Node) whoMayHave(first ...bus.NodeID) []bus.NodeID {
	out := []bus.NodeID{n.cfg.ID}
	v := n.members.view()
	for _, id := range append(first, v.Live()...) {
		if v.Alive(id) && !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// locate returns those of nodes that may have a blob, the first that says so before the others; nil
// where none does within locateWait. It asks them side by side: nobody renews the task's lease yet.
func (n *Node) locate(ctx context.Context, id BlobID, nodes []bus.NodeID) []bus.NodeID {
	ctx, cancel := context.WithTimeout(ctx, locateWait)
	defer cancel()
	type reply struct {
		at  bus.NodeID
		err error
	}
	replies := make(chan reply, len(nodes))
	for _, at := range nodes {
		go func() { replies <- reply{at, n.fx.HasBlob(ctx, at, id)} }()
	}
	left := slices.Clone(nodes)
	for range nodes {
		r := <-replies
		if r.err == nil {
			left = slices.DeleteFunc(left, func(at bus.NodeID) bool { return at == r.at })
			return slices.Insert(left, 0, r.at)
		}
		if errors.Is(r.err, ErrNotFound) {
			left = slices.DeleteFunc(left, func(at bus.NodeID) bool { return at == r.at })
		}
	}
	return nil
}

// fetch returns a blob from the first of nodes that has it with the right bytes, and those that have
// it with wrong ones.
func (n *Node) fetch(ctx context.Context, id BlobID, nodes []bus.NodeID) (data []byte, wrong []bus.NodeID, err error) {
	for _, at := range nodes {
		if ctx.Err() != nil {
			return nil, wrong, context.Cause(ctx)
		}
		data, gerr := n.getBlob(ctx, at, id)
		switch {
		case gerr == nil:
			return data, wrong, nil
		case errors.Is(gerr, ErrCorrupt):
			n.log.Warn("large content is damaged", "task", id.Task, "result", id.Result, "at", at, "err", gerr)
			wrong = append(wrong, at)
			err = errors.Join(err, gerr)
		case !errors.Is(gerr, ErrNotFound):
			n.log.Info("fetch large content", "task", id.Task, "from", at, "err", gerr)
			err = errors.Join(err, gerr)
		}
	}
	if err == nil {
		err = ErrNotFound
	}
	return nil, wrong, err
}

// unfed gives a task back whose payload no node has that can be reached. It was no attempt: it
// goes on once one of its holders is back, however long that takes.
func (w *worker) unfed(ctx context.Context, a *attempt) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), effectWait)
	defer cancel()
	w.unfeds.Do(string(a.job.Task.ID), func() {
		w.n.log.Info("give back: nobody has its payload", "task", a.job.Task.ID, "submitter", a.job.Submitter, "custodian", a.job.Custodian)
	})
	a.rec.State, a.rec.Why = bus.StateQueued, "no node that is there has its payload"
	a.rec.Attempt--
	if _, err := w.n.fx.UpdateClaim(ctx, a.q, a.head(), marshal(a.rec), a.rev, nil); errors.Is(err, ErrConflict) {
		return // another has it
	}
	w.nak(a.ack(), unfedFor)
}

// fed fetches the payload of an attempt, where that is too large for a message. Who has it damaged
// is given the right one.
func (w *worker) fed(ctx context.Context, a *attempt, task *bus.Task) error {
	id, large := a.job.payload()
	if !large {
		return nil
	}
	a.setPhase("payload", carryLimit)
	data, wrong, err := w.n.fetch(ctx, id, a.from)
	if err != nil {
		return bus.Retry(bus.Errorf(bus.CodeUnavailable, "its payload of %d bytes cannot be had: %w", id.Size, err))
	}
	for _, at := range wrong {
		if err := w.n.putBlob(ctx, at, id, false, data); err != nil {
			w.n.log.Warn("mend a payload", "task", id.Task, "at", at, "err", err)
		}
	}
	task.Payload = data
	a.setPhase(startPhase, firstOutput)
	return nil
}
