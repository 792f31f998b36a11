package handlers

import (
	"sync"
	"time"
)

// rateSpan is how far back a rate looks, in seconds.
const rateSpan = 5

// rate counts what happens in each of the last seconds. The zero value is ready to use.
type rate struct {
	mu     sync.Mutex
	counts [rateSpan + 1]int // the present second, and those before it
	second int64             // Unix time of the present one
}

// turn brings counts up to now. The caller holds mu.
func (r *rate) turn(now time.Time) {
	for s := now.Unix(); r.second < s; r.second++ {
		if s-r.second > rateSpan {
			r.counts, r.second = [rateSpan + 1]int{}, s
			return
		}
		r.counts[(r.second+1)%int64(len(r.counts))] = 0
	}
}

// note counts n more.
func (r *rate) note(now time.Time, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn(now)
	r.counts[r.second%int64(len(r.counts))] += n
}

// perSecond is the mean over the last whole seconds.
func (r *rate) perSecond(now time.Time) float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn(now)
	sum := 0
	for i, n := range r.counts {
		if int64(i) != r.second%int64(len(r.counts)) {
			sum += n
		}
	}
	return float64(sum) / rateSpan
}
