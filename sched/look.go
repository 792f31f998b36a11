package sched

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// look fetches from whichever queue this slot can serve, without being told. Slots that are kept for
// interactive work leave the rest alone, as they would with a host that gives out work: it may be about to.
func (w *worker) look(ctx context.Context, q QueueID, p *pool, slot int) (Delivery, error) {
	keys, err := w.listed(ctx, q)
	if err != nil {
		return Delivery{}, err
	}
	slices.SortStableFunc(keys, func(a, b bus.Key) int {
		return cmp.Or(boolInt(b.Lane == bus.Interactive)-boolInt(a.Lane == bus.Interactive), cmp.Compare(b.Priority, a.Priority))
	})
	w.mu.Lock()
	me := bus.NodeInfo{ID: w.n.cfg.ID, Types: []string{p.typ}, Models: p.cap.Models, Embedders: p.cap.Models}
	w.mu.Unlock()
	if w.refuses("", p.typ) {
		own := w.n.outbox.openKeys()
		keys = slices.DeleteFunc(keys, func(k bus.Key) bool { return !own[k] })
	}
	for _, key := range keys {
		if can, _ := Runs(me, key); !can {
			continue
		}
		d, err := w.lookIn(ctx, q, p, key, slot)
		if !errors.Is(err, ErrNotFound) {
			return d, err
		}
	}
	return Delivery{}, ErrNotFound
}

// listing is what one slot has found in a queue, for the others that look in the same moment.
type listing struct {
	q    QueueID
	at   time.Time
	keys []bus.Key
	err  error
}

// listed returns the keys of q that have work, in a slice of the caller's own. An idle node looks with all
// of its slots once a second, and asks its host once.
func (w *worker) listed(ctx context.Context, q QueueID) ([]bus.Key, error) {
	select {
	case w.listing <- struct{}{}:
		defer func() { <-w.listing }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	now := w.n.now()
	if age := now.Sub(w.list.at); w.list.q != q || age < 0 || age > listedFor {
		keys, err := w.n.fx.Keys(ctx, q)
		w.list = listing{q, now, keys, err}
	}
	return slices.Clone(w.list.keys), w.list.err
}

// lookIn fetches from one queue. A slot that is to have batch work counts before it has any, so that two
// do not look at once where one may.
func (w *worker) lookIn(ctx context.Context, q QueueID, p *pool, key bus.Key, slot int) (Delivery, error) {
	if !w.mayTake(p, key) {
		return Delivery{}, ErrNotFound
	}
	d, err := w.n.fx.Fetch(ctx, q, key, slot)
	if err != nil {
		w.countBatch(p, key, -1)
	}
	return d, err
}

// mayTake reports whether a slot of p may look for work of key, by the rules that a host has, and counts
// it then.
func (w *worker) mayTake(p *pool, key bus.Key) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if key.Lane != bus.Batch {
		return true
	}
	if !w.n.rules().takesBatch(&Seat{Slots: p.cap.Slots, Batch: p.batch}) {
		return false
	}
	p.batch++
	return true
}

// countBatch notes that a slot of p has batch work, by 1, or no more, by -1; other work does not count.
func (w *worker) countBatch(p *pool, key bus.Key, by int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if key.Lane == bus.Batch {
		p.batch += by
	}
}
