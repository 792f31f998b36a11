// Package rhythm has what a process does now and then fall due in the same moments. Each time that an idle process wakes costs more
// than the little that it looks at then: a processor that leaves its sleep, and threads that look for what else there
// is to do. Ten loops that look once a second wake it once, where they look together.
//
// It owns the moments, and knows nothing of what is done in them.
package rhythm

import (
	"context"
	"time"
)

// Until returns how long it is to the next whole multiple of every, where up is the time since all began. It is never 0.
func Until(every, up time.Duration) time.Duration { return every - max(up, 0)%every }

// Each calls look at the whole multiples of every since began, until ctx ends. Moments that pass while it looks are left out.
func Each(ctx context.Context, began time.Time, every time.Duration, look func(now time.Time)) {
	next := time.NewTimer(Until(every, time.Since(began)))
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-next.C:
			look(now)
		}
		next.Reset(Until(every, time.Since(began)))
	}
}
