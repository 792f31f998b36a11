package sched

import (
	"slices"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// keptOf returns those of ids that this node keeps open for others, by submitter. What is newer
// than askAfter may still be on its way to the submitter's own disk.
func (o *outbox) keptOf(ids []bus.TaskID, now time.Time) map[bus.NodeID][]bus.TaskID {
	o.mu.Lock()
	defer o.mu.Unlock()
	var of map[bus.NodeID][]bus.TaskID
	for _, id := range ids {
		k := o.kept[id]
		if k == nil || k.final != nil || k.orphan || k.job.Submitter == o.n.cfg.ID || now.Sub(k.job.Stamp) < askAfter {
			continue
		}
		if of == nil {
			of = map[bus.NodeID][]bus.TaskID{}
		}
		of[k.job.Submitter] = append(of[k.job.Submitter], id)
	}
	return of
}

// unknown returns those of ids, tasks that were submitted here and that another keeps, of which
// this node knows nothing: its disk has lost them.
func (o *outbox) unknown(ids []bus.TaskID) []bus.TaskID {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.DeleteFunc(ids, func(id bus.TaskID) bool { return o.entries[id] != nil || o.kept[id] != nil })
}

// orphan makes this node look after tasks that their submitter has lost, as if it were away.
func (o *outbox) orphan(submitter bus.NodeID, ids []bus.TaskID) {
	if len(ids) == 0 || o.n.off(ProtectOrphans) {
		return
	}
	n := 0
	o.mu.Lock()
	for _, id := range ids {
		if k := o.kept[id]; k != nil && k.job.Submitter == submitter && k.final == nil && !k.orphan {
			k.orphan, k.fed = true, QueueID{}
			n++
		}
	}
	o.mu.Unlock()
	if n > 0 {
		o.n.log.Warn("a submitter has lost tasks that are kept here: they are resubmitted", "submitter", submitter, "tasks", n)
	}
}

// orphaned reports whether nobody but this node and other custodians looks after k: its submitter is away, or has lost it.
// The caller holds mu.
func (o *outbox) orphaned(k *kept) bool { return k.orphan || !o.n.members.alive(k.job.Submitter) }
