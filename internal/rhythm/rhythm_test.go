package rhythm_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/mycoswarm/mycoswarm/internal/rhythm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestUntil(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ every, up, want time.Duration }{
		{time.Second, 0, time.Second},
		{time.Second, 300 * time.Millisecond, 700 * time.Millisecond},
		{time.Second, 2 * time.Second, time.Second},
		{250 * time.Millisecond, 999 * time.Millisecond, time.Millisecond},
		{time.Second, -time.Minute, time.Second}, // a clock that was set back
	} {
		if got := rhythm.Until(c.every, c.up); got != c.want {
			t.Errorf("every %v, after %v: %v, want %v", c.every, c.up, got, c.want)
		}
	}
}

// Loops that began at different times wake the process in the same moments; a look that takes long leaves moments out.
func TestLoopsLookTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		began := time.Now()
		var mu sync.Mutex
		moments, looks := map[time.Duration]int{}, 0
		var wg sync.WaitGroup
		for i := range 10 {
			time.Sleep(37 * time.Millisecond)
			every := time.Second
			if i%2 == 0 {
				every = 250 * time.Millisecond
			}
			wg.Go(func() {
				rhythm.Each(ctx, began, every, func(now time.Time) {
					mu.Lock()
					moments[now.Sub(began)]++
					looks++
					mu.Unlock()
					if i == 9 {
						time.Sleep(1500 * time.Millisecond)
					}
				})
			})
		}
		time.Sleep(10*time.Second + time.Millisecond - time.Since(began))
		stop()
		wg.Wait()
		for at := range moments {
			if at%(250*time.Millisecond) != 0 {
				t.Errorf("a loop has looked after %v", at)
			}
		}
		// The five fast ones 40 times each, but for what was before they began; of the others four 10 times, and the slow one every other time.
		if len(moments) != 40 || looks < 5*38+4*10+5 || looks > 5*40+4*10+5 {
			t.Errorf("%d looks in %d moments, want some 240 in 40", looks, len(moments))
		}
	})
}
