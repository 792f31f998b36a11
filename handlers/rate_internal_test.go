package handlers

import (
	"testing"
	"time"
)

func TestRate(t *testing.T) {
	t.Parallel()
	var r rate
	at := func(s float64) time.Time { return time.UnixMilli(1_000_000_000 + int64(s*1000)) }
	for i := range 100 {
		r.note(at(float64(i)/50), 1) // 50 a second, for 2 s
	}
	for _, c := range []struct{ at, want float64 }{{1.5, 10}, {2, 20}, {5.9, 20}, {6.1, 10}, {7.1, 0}, {9000, 0}} {
		if got := r.perSecond(at(c.at)); got != c.want {
			t.Errorf("after %v s: %v, want %v", c.at, got, c.want)
		}
	}
}
