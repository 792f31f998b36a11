package sched

import (
	"context"
	"time"
)

// restEvery is how often the loops that look after open tasks, and a host's sweeper, look where none is. What
// opens one stirs them; this is for what they do now and then.
const restEvery = time.Second

// lookFor is how much longer the loops wait for each task that they look at: with very many, a look takes a good part of
// careEvery.
const lookFor = 5 * time.Microsecond

// pace paces a loop of the outbox.
type pace struct {
	timer   *time.Timer
	stirred chan struct{}
}

func newPace() pace { return pace{stirred: make(chan struct{}, 1)} }

// next waits until the loop is to look again: at a poke, and where something is open after careEvery or some more. It
// returns false once ctx ends. What opens a task does at once what is to be done with it, so a loop that is
// stirred from its rest does not look before careEvery has passed.
func (o *outbox) next(ctx context.Context, p *pace, poked <-chan struct{}) bool {
	if p.timer == nil {
		p.timer = time.NewTimer(restEvery)
	}
	for {
		p.timer.Reset(o.untilLook())
		select {
		case <-ctx.Done():
			p.timer.Stop()
			return false
		case <-p.timer.C:
			return true
		case <-poked:
			return true
		case <-p.stirred:
		}
	}
}

// untilLook is how long the loops wait, unless they are poked. Where nothing is open they are to be stirred by what opens.
func (o *outbox) untilLook() time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	open := len(o.entries) + len(o.keptOpen) + len(o.heard) + len(o.standing) + len(o.cancels)
	o.resting = open == 0 && !o.tailWaits()
	if o.resting {
		return o.n.until(restEvery)
	}
	return max(careEvery, min(time.Duration(open)*lookFor, restEvery))
}

// stir ends the rest of the loops. The caller holds mu, and has put something into one of the maps that
// untilLook counts.
func (o *outbox) stir() {
	if o.resting {
		o.resting = false
		poke(o.feeds.stirred)
		poke(o.cares.stirred)
	}
}
