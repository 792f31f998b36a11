package sched

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mycoswarm/mycoswarm/bus"
)

const (
	handBackEvery = 500 * time.Millisecond // between tries of one end; it doubles with each
	handBackPause = 30 * time.Second       // at most
	handBackMost  = 256                    // ends handed back at one time
)

// standIn keeps an end on want more disks: the queue host's, this node's, and, where these are custodians or not
// enough, other nodes'. It returns on how many it is. An end on one disk alone is forgotten when that dies while who has
// the task returns.
func (o *outbox) standIn(ctx context.Context, j *Job, f Final, want int) (stores int) {
	likely := []bus.NodeID{o.hostID(), o.n.cfg.ID}
	if f.Blob != nil {
		slices.Reverse(likely) // this node may have its result
	}
	tried := map[bus.NodeID]bool{"": true, j.Submitter: true, j.Custodian: true}
	// The submitter's store answers, too, and was counted before.
	answers := 1 + boolInt(o.n.members.alive(j.Submitter))
	for _, id := range append(likely, o.n.members.view().Live()...) {
		if stores >= want || ctx.Err() != nil {
			return stores
		}
		if tried[id] {
			continue
		}
		tried[id] = true
		pctx, cancel := context.WithTimeout(ctx, keepWait)
		if err := o.n.fx.Outbox.Ensure(pctx, j.Submitter, id); err == nil {
			p := o.put(pctx, j, id, &f, answers)
			if answers == 1 && !p.Custodian && p.Stores+p.Refused > 0 {
				// The submitter's store has answered first, though the submitter is not heard: the other may have it as well.
				answers = 2
				p = o.put(pctx, j, id, &f, answers)
			}
			stores += boolInt(p.Custodian)
		}
		cancel()
	}
	return stores
}

// standing is an end that this node keeps for custodians that were away.
type standing struct {
	with  []bus.NodeID // the custodians that have it
	there int          // custodians that were there, the last time
	again backoff
}

// standsIn reports whether self keeps the end of t for others.
func (t *kept) standsIn(self bus.NodeID) bool {
	return t.job.Submitter != self && t.job.Custodian != self
}

// handBack writes the ends that this node stands in for to their custodians, once those are there:
// a node that feeds its tasks may be one that does not reach this one.
func (o *outbox) handBack(ctx context.Context, now time.Time) {
	due := o.toHandBack(now)
	if len(due) == 0 || o.n.off(ProtectHandBack) {
		return
	}
	o.n.bg.run(func() {
		var all errgroup.Group
		all.SetLimit(16)
		for _, h := range due {
			all.Go(func() error {
				o.ensureAt(ctx, h)
				hctx, cancel := context.WithTimeout(ctx, keepWait)
				defer cancel()
				f, ok, err := o.endOf(h.job.Task.ID)
				if !ok || err != nil {
					return nil // tried again
				}
				p := o.put(hctx, &h.job, h.job.Custodian, &f, h.there)
				if p.Stores+p.Refused >= h.there { // all of them, for it is not told which
					o.mu.Lock()
					h.s.with = append(h.s.with, h.to...)
					o.mu.Unlock()
				}
				return nil
			})
		}
		_ = all.Wait() // they return none
		o.mu.Lock()
		o.handing = false
		o.mu.Unlock()
	})
}

// ensureAt makes the outbox of h's submitter again at a custodian that has come back with an empty disk.
func (o *outbox) ensureAt(ctx context.Context, h handingBack) {
	ctx, cancel := context.WithTimeout(ctx, keepWait)
	defer cancel()
	for _, c := range h.to {
		if err := o.n.fx.Outbox.Ensure(ctx, h.job.Submitter, c); err != nil {
			o.n.log.Debug("make an outbox for an end that is handed back", "task", h.job.Task.ID, "custodian", c, "err", err)
		}
	}
}

// handingBack is an end, and the custodians that are there again.
type handingBack struct {
	s     *standing
	job   Job
	to    []bus.NodeID
	there int // how many custodians answer, those that have it among them
}

func (o *outbox) toHandBack(now time.Time) (due []handingBack) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.handing {
		return nil
	}
	for id, s := range o.standing {
		k := o.kept[id]
		if k == nil || k.final == nil {
			delete(o.standing, id)
			continue
		}
		h, missing := handingBack{s: s, job: k.job}, 0
		for _, c := range []bus.NodeID{k.job.Submitter, k.job.Custodian} {
			if c == bus.NoCustodian {
				continue
			}
			alive, has := o.n.members.alive(c), slices.Contains(s.with, c)
			if alive {
				h.there++
			}
			if !has {
				missing++
			}
			if alive && !has {
				h.to = append(h.to, c)
			}
		}
		if missing == 0 {
			delete(o.standing, id)
			continue
		}
		if h.there != s.there { // another custodian is there, or that which did not take it was away
			s.there, s.again = h.there, backoff{}
		}
		if len(h.to) > 0 && s.again.due(now) && len(due) < handBackMost {
			s.again.wait(now, handBackEvery, handBackPause)
			due = append(due, h)
		}
	}
	o.handing = len(due) > 0 && !o.n.off(ProtectHandBack)
	return due
}
