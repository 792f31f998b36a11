package sched

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// carryPause is between tries to hand a result over.
const carryPause = 500 * time.Millisecond

// encodeResult makes JSON of what a handler returned.
func encodeResult(result any) (json.RawMessage, error) {
	if raw, ok := result.(json.RawMessage); ok && len(raw) > bus.MaxInline && json.Valid(raw) {
		return raw, nil // without another copy
	}
	return bus.Marshal(result)
}

// carry puts a result that is too large for a message where its end will be shown from, before that
// is written anywhere. It returns why it could not, or was to do so no longer.
func (w *worker) carry(ctx context.Context, a *attempt, f *Final) error {
	if len(f.Result) <= bus.MaxInline {
		return nil
	}
	data := f.Result
	b := bus.BlobOf(data)
	f.Result, f.Blob = nil, &b
	a.setPhase("result", carryLimit)
	ctx, cancel := context.WithTimeoutCause(ctx, carryLimit, bus.Retry(bus.Errorf(bus.CodeUnavailable, "nobody takes its result")))
	defer cancel()
	id := blobID(a.job.Task.ID, true, &b)
	for ctx.Err() == nil {
		if a.job.Durable() && w.keepResult(ctx, a.job, id, data) {
			return nil
		}
		if !a.job.Durable() {
			err := w.n.putBlob(ctx, a.job.Submitter, id, true, data)
			if err == nil {
				return nil
			}
			w.n.log.Info("hand a result over", "task", id.Task, "to", a.job.Submitter, "err", err)
			if !w.n.members.alive(a.job.Submitter) {
				return w.submitterState(a.job)
			}
		}
		select {
		case <-time.After(carryPause):
		case <-ctx.Done():
		}
	}
	return context.Cause(ctx)
}

// keepResult puts the result of a durable task on two disks, as its end will be: of its custodians, and where fewer
// than two take it, of this node and of others.
func (w *worker) keepResult(ctx context.Context, j *Job, id BlobID, data []byte) bool {
	put := func(at bus.NodeID) bool {
		err := w.n.putBlob(ctx, at, id, false, data)
		if err != nil {
			w.n.log.Warn("keep a result", "task", id.Task, "at", at, "err", err)
		}
		return err == nil
	}
	var all sync.WaitGroup
	took := make([]bool, 2)
	for i, at := range []bus.NodeID{j.Submitter, j.Custodian} {
		if at != bus.NoCustodian && w.n.members.alive(at) {
			all.Go(func() { took[i] = put(at) })
		}
	}
	all.Wait()
	disks := 0
	for _, ok := range took {
		if ok {
			disks++
		}
	}
	for _, at := range w.n.otherStores(j) {
		if disks < len(took) && put(at) {
			disks++
		}
	}
	return disks > 0
}

// otherStores are the nodes that may keep the result of j beside its custodians, this one first.
func (n *Node) otherStores(j *Job) (ids []bus.NodeID) {
	v := n.members.view()
	for _, id := range append([]bus.NodeID{n.cfg.ID, n.outbox.hostID()}, v.Live()...) {
		p := v.Peers[id]
		if id == "" || id == j.Submitter || id == j.Custodian || slices.Contains(ids, id) || id != n.cfg.ID && !takesCopies(p) {
			continue
		}
		ids = append(ids, id)
	}
	return ids
}

// Whole puts the result into t that ResultBlob stands for. CodeUnavailable: no node that can be
// reached has it.
func (n *Node) Whole(ctx context.Context, t *bus.TaskInfo) error {
	if t.ResultBlob == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, carryLimit)
	defer cancel()
	id := blobID(t.ID, true, t.ResultBlob)
	data, _, err := n.fetch(ctx, id, n.whoMayHave(t.Submitter, t.NodeID))
	if err != nil {
		return bus.Errorf(bus.CodeUnavailable, "the result of task %s, %d bytes, cannot be had: %w", t.ID, id.Size, err).
			WithHint("start the nodes that keep it, %s among them; of an attached task it is kept for a minute", t.Submitter)
	}
	t.Result, t.ResultBlob = data, nil
	return nil
}

// Taken tells that the client of an attached task has its result: nobody else asks for it.
func (n *Node) Taken(id bus.TaskID, b *bus.Blob) {
	if b != nil {
		n.outbox.dropBlob(blobID(id, true, b))
	}
}
