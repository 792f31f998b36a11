package sched

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// What preload loads: of ends that are not older than that the latest, so many, of so many bytes. The records of a queue
// take twice as many, and beyond that the first that were written go first: these.
const (
	preloadSpan               = 10 * time.Minute
	preloadMost, preloadBytes = 10_000, 32 << 20
)

// tombstone writes the end of a task into its record under q.
func (o *outbox) tombstone(q QueueID, j *Job, f Final) {
	ctx, cancel := context.WithTimeout(context.Background(), effectWait)
	defer cancel()
	rec := f.record()
	head := rec.head(j.Task.ID, Delivery{Key: j.key()})
	_, err := o.n.fx.CreateClaim(ctx, q, head, marshal(rec))
	for errors.Is(err, ErrConflict) && ctx.Err() == nil {
		cur, rev, gerr := o.n.fx.readRecord(ctx, q, j.Task.ID)
		if gerr != nil || cur.State.Terminal() {
			return
		}
		rec.Ack, rec.Seq, head.Ack, head.Seq, rec.Later = cur.Ack, cur.Seq, cur.Ack, cur.Seq, cur.Later
		_, err = o.n.fx.UpdateClaim(ctx, q, head, marshal(rec), rev, nil)
	}
	if err != nil {
		o.n.log.Debug("write a tombstone", "task", j.Task.ID, "err", err)
	}
}

// record is what says that a task has ended so.
func (f Final) record() Record {
	return Record{State: f.State, Worker: f.Node, Attempt: f.Attempt, Nonce: f.Nonce, Final: &f}
}

// preload writes the ends that this node knows into the records of its new queue, so that what
// is fed again by those who do not know is not run again.
func (o *outbox) preload(ctx context.Context, q QueueID) {
	o.mu.Lock()
	var known []*kept
	for _, k := range o.kept {
		if k.final != nil && o.n.now().Sub(k.endAt) < preloadSpan {
			known = append(known, k)
		}
	}
	slices.SortFunc(known, func(a, b *kept) int { return b.endAt.Compare(a.endAt) })
	var ids []bus.TaskID
	for _, k := range known {
		ids = append(ids, k.job.Task.ID)
	}
	o.mu.Unlock()
	bytes := 0
	for i, id := range ids {
		f, ok, err := o.endOf(id)
		if bytes += f.size(); i >= preloadMost || bytes > preloadBytes || ctx.Err() != nil {
			o.n.log.Info("not all known ends were loaded", "loaded", i, "known", len(ids))
			return
		}
		if !ok || err != nil { // this node holds it back, see claim
			continue
		}
		rec := f.record()
		if _, err := o.n.fx.CreateClaim(ctx, q, rec.head(f.Task, Delivery{}), marshal(rec)); err != nil && !errors.Is(err, ErrConflict) {
			o.n.log.Warn("load a known end", "task", f.Task, "err", err)
		}
	}
}
