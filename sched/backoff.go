package sched

import "time"

// backoff tells when what failed is tried again. Its zero value has not failed: it is due.
type backoff struct {
	pause time.Duration
	until time.Time
}

func (b *backoff) due(now time.Time) bool { return !now.Before(b.until) }

// wait has the next try come after a pause: first, then twice as long each time, and most at most.
func (b *backoff) wait(now time.Time, first, most time.Duration) {
	b.pause = min(max(2*b.pause, first), most)
	b.until = now.Add(b.pause)
}
