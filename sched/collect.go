package sched

import (
	"context"
	"maps"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/protect"
)

// Times of the collection.
const (
	collectEvery = 15 * time.Second
	collectAfter = 10 * time.Minute // what belongs to no task that is known here
	memoryFor    = time.Minute      // the result of an attached task, once its client has read the end
	readerFor    = 10 * time.Minute // a client that has not read on is gone, though nobody said so
)

// collect deletes large content that no task needs: what a crash, or a client that left, has left
// behind. It does so in the background: deadlines do not wait for a disk that hangs. The output of ended tasks goes too,
// where nothing has ended since.
func (o *outbox) collect(ctx context.Context, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.dropTails(now, tailsMost)
	if o.collecting {
		return
	}
	o.collecting = true
	o.n.bg.run(func() {
		o.collectBlobs(ctx, now)
		o.mu.Lock()
		defer o.mu.Unlock()
		o.collecting = false
	})
}

func (o *outbox) collectBlobs(ctx context.Context, now time.Time) {
	all, err := o.n.fx.HeldBlobs()
	if err != nil {
		o.n.log.Warn("look for large content that is not needed", "err", err)
		return
	}
	for _, h := range all {
		if ctx.Err() != nil {
			return
		}
		if !o.needed(h, now) {
			o.n.log.Info("delete large content that is not needed", "task", h.Task, "result", h.Result, "bytes", h.Size)
			o.dropBlob(h.BlobID)
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	maps.DeleteFunc(o.results, func(_ bus.TaskID, r *readers) bool { return !r.want(now) })
}

// needed reports whether h belongs to a task, or is so new that it may yet.
func (o *outbox) needed(h HeldBlob, now time.Time) bool {
	if protect.Collect.Off() {
		return true
	}
	age := now.Sub(h.At)
	o.mu.Lock()
	e, k := o.entries[h.Task], o.kept[h.Task]
	open := e != nil || k != nil && k.final == nil
	var mine, over bool
	switch {
	case h.Memory && h.Result:
		r := o.results[h.Task]
		mine = open || r != nil && r.want(now)
	case h.Memory:
		mine = e != nil && h.is(e.job.Blob)
	case h.Result:
		mine = k != nil && k.final != nil && h.is(k.final.Blob)
		over = k != nil && k.final != nil
	default:
		mine = e != nil && h.is(e.job.Blob) || k != nil && h.is(k.job.Blob) && (k.final == nil || k.final.State == bus.StateDead)
		over = k != nil && k.final != nil
	}
	o.mu.Unlock()
	switch {
	case mine:
		return true
	case h.Memory:
		return age < memoryFor
	case over:
		return false
	case h.Result: // perhaps kept for a custodian that is away, and nobody else who knows its end is there
		return age < o.n.cfg.Retention+collectAfter
	}
	return age < collectAfter
}

func (h HeldBlob) is(b *bus.Blob) bool { return b != nil && b.SHA256 == h.SHA256 }
