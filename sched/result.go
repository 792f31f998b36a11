package sched

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Results of durable tasks that have ended are on this node's disk, for as long as their ends. In memory there are
// those of resultSmall bytes, and of the others the latest: so many, of so many bytes.
const (
	resultSmall               = 1 << 10
	resultsMost, resultsBytes = 50_000, 64 << 20
)

// setEnd notes the end of k, which this node's store has. The caller holds mu.
func (o *outbox) setEnd(k *kept, f Final) {
	if len(f.Result) > resultSmall {
		o.read.put(f.Task, f.Result, len(f.Result))
		f.Result, k.onDisk = nil, true
	}
	k.final = &f
	delete(o.keptOpen, f.Task)
}

// over returns the end of a task, where this node has it, perhaps without its result.
func (o *outbox) over(id bus.TaskID) (Final, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if k := o.kept[id]; k != nil && k.final != nil {
		return *k.final, true
	}
	e, ok := o.ended.get(id)
	return e.final, ok
}

// endOf returns the end of a task with its result, where this node has it. The error is that of the disk: the task has
// ended all the same. The caller does not hold mu.
func (o *outbox) endOf(id bus.TaskID) (f Final, ok bool, err error) {
	o.mu.Lock()
	k := o.kept[id]
	if k == nil || k.final == nil {
		e, ok := o.ended.get(id)
		o.mu.Unlock()
		return e.final, ok, nil
	}
	f = *k.final
	var places []Kept
	if k.onDisk {
		var in bool
		if f.Result, in = o.read.get(id); !in {
			places = slices.Clone(k.places)
		}
	}
	o.mu.Unlock()
	if places != nil {
		f.Result, err = o.readResult(f, places)
	}
	return f, true, err
}

// readResult reads the result of f, the end of a task, from the disk. Where a store has the end alone, of a task that
// it was never told, it may have another one after it.
func (o *outbox) readResult(f Final, places []Kept) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(context.Background(), effectWait)
	defer cancel()
	var first error
	for _, p := range places {
		for _, read := range []func(context.Context, Kept) ([]byte, error){o.n.fx.Outbox.End, o.n.fx.Outbox.Task} {
			data, err := read(ctx, p)
			var b keptBody
			if err == nil {
				err = bus.Unmarshal(data, &b)
			}
			if err == nil && b.Final != nil && b.Final.Nonce == f.Nonce {
				return b.Final.Result, nil
			}
			first = cmp.Or(first, err)
		}
	}
	e := bus.Errorf(bus.CodeUnavailable, "the result of task %s cannot be read from the disk: %w", f.Task, cmp.Or(first, ErrNotFound)).WithHint("myco doctor")
	o.refusals.Do("read a result", func() { o.n.log.Warn("cannot read a result", "task", f.Task, "err", e) })
	return nil, e
}
