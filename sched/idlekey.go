package sched

import (
	"context"
	"time"
)

// Where a queue has more keys than spareKeys, one of which nothing is there stays fetchable for keyFor. Each takes some
// 50 KiB of its host, and whoever asks for a model that nobody has makes one; to make a key again holds up its first task.
const (
	spareKeys = 100
	keyFor    = time.Minute
)

// idle reports whether nothing of k is there, or under way, as far as is known.
func (k *keyQueue) idle() bool { return k.nOpen+k.given+k.claims+k.past == 0 }

// tired reports whether k has been idle for long. total is what its queue has of it.
func (k *keyQueue) tired(total int, now time.Time) bool {
	switch {
	case total > 0 || !k.ready || !k.idle():
		k.idleFrom = time.Time{}
	case k.idleFrom.IsZero():
		k.idleFrom = now
	}
	return !k.idleFrom.IsZero() && now.Sub(k.idleFrom) >= keyFor
}

// dropKeys makes keys no longer fetchable, in the background, until there are no more than those to spare.
func (h *host) dropKeys(keys []*keyQueue) {
	if over := len(h.keys) - max(h.n.cfg.spareKeys, 0); len(keys) > over {
		keys = keys[:max(over, 0)]
	}
	if len(keys) == 0 {
		return
	}
	h.wg.Go(func() {
		for _, k := range keys {
			h.dropKey(k)
		}
	})
}

// dropKey makes a key no longer fetchable. What is fed of it meanwhile waits until it is so again: nothing is handed
// over of a key that is not ready.
func (h *host) dropKey(k *keyQueue) {
	begun := false
	h.do(func() {
		if begun = k.ready && k.idle(); begun {
			k.ready, k.adding = false, true
		}
	})
	if !begun {
		return
	}
	ctx, cancel := context.WithTimeout(h.ctx, openWithin)
	defer cancel()
	err := h.n.fx.DropKey(ctx, h.q, k.key)
	if err != nil {
		h.n.log.Debug("drop work queue", "key", k.key, "err", err)
	}
	h.do(func() {
		k.adding = false
		switch {
		case !k.idle():
			h.addKey(k)
		case err == nil:
			delete(h.keys, k.key)
		} // else the sweep makes it fetchable, if it is there
	})
}
