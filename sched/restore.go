package sched

import (
	"context"
	"time"
)

// lacking is a large result that this node's disk may not have, though it keeps the end of its task.
type lacking struct {
	busy bool
	backoff
}

// lack notes that k has ended with a large result, perhaps while this node was away. Who stands in for another leaves
// that to it. The caller holds mu.
func (o *outbox) lack(k *kept) {
	if k.final.Blob != nil && !k.standsIn(o.n.cfg.ID) {
		o.lacks[k.job.Task.ID] = &lacking{}
	}
}

// restore gets results to this node's disk that it lacks, in the background: who has them may not come back.
func (o *outbox) restore(ctx context.Context, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for id, l := range o.lacks {
		k := o.kept[id]
		if k == nil {
			delete(o.lacks, id) // it is forgotten
			continue
		}
		if o.copies >= copiesMost || l.busy || !l.due(now) {
			continue
		}
		o.copies++
		l.busy = true
		j, f := k.job, *k.final
		o.n.bg.run(func() {
			has := o.restoreOne(ctx, &j, f)
			o.mu.Lock()
			defer o.mu.Unlock()
			o.copies--
			if has {
				delete(o.lacks, id)
				return
			}
			l.busy = false
			l.wait(o.n.now(), copyPause, copyPauseMost)
		})
	}
}

func (o *outbox) restoreOne(ctx context.Context, j *Job, f Final) (has bool) {
	ctx, cancel := context.WithTimeout(ctx, carryLimit)
	defer cancel()
	id := blobID(f.Task, true, f.Blob)
	err := o.n.copyBlob(ctx, id, o.n.cfg.ID, j.Submitter, j.Custodian, f.Node)
	if err != nil {
		o.n.log.Info("the result of a task that is kept here is not on this disk", "task", id.Task, "bytes", id.Size, "err", err)
	}
	return err == nil
}
