package sched

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// A commit has its whole time while the daemon runs, and little once it stops.
func TestOutlive(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ stops, ends time.Duration }{
		{0, 3 * time.Second},
		{10 * time.Second, 13 * time.Second},
		{29 * time.Second, 30 * time.Second},
		{time.Hour, 30 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, stop := context.WithTimeout(t.Context(), c.stops)
			defer stop()
			start := time.Now()
			out, cancel := outlive(ctx, 30*time.Second, 3*time.Second)
			defer cancel()
			<-out.Done()
			if took := time.Since(start); took != c.ends {
				t.Errorf("stopped after %v: ended after %v, want %v", c.stops, took, c.ends)
			}
		})
	}
}
