package gateway

import (
	"iter"

	"golang.org/x/sync/semaphore"

	"github.com/mycoswarm/mycoswarm/bus"
)

// room is for the bodies of all requests that are worked on, and the large results that answer them, in steps. Whoever has
// all of it may have more: what is within the limits of one request is worked on, if alone.
type room struct {
	steps int64
	left  *semaphore.Weighted
}

func newRoom(bytes int64) *room {
	steps := max(1, bytes/step)
	return &room{steps: steps, left: semaphore.NewWeighted(steps)}
}

// change has who has held have want instead, if they are there.
func (r *room) change(held, want int64) bool {
	more := min(want, r.steps) - min(held, r.steps)
	if more < 0 {
		r.left.Release(-more)
		return true
	}
	return r.left.TryAcquire(more)
}

// release gives back all that one had.
func (r *room) release(held int64) { r.left.Release(min(held, r.steps)) }

// full says that there is no more.
func (r *room) full() *bus.Error {
	return bus.Errorf(bus.CodeBusy, "this node works on large requests and results already: it has room for %d MiB of them", r.steps).
		WithHint("ask again, or ask another node")
}

// oldestOfMost returns the oldest of whose things take the most of all, so that nobody pushes out those of others; ok is false
// where there are none.
func oldestOfMost[T any](oldestFirst iter.Seq[T], takes func(T) (user string, n int)) (most T, ok bool) {
	sum, oldest, whose := map[string]int{}, map[string]T{}, ""
	for x := range oldestFirst {
		user, n := takes(x)
		if _, is := oldest[user]; !is {
			oldest[user] = x
		}
		if sum[user] += n; !ok || sum[user] > sum[whose] {
			most, whose, ok = oldest[user], user, true
		}
	}
	return most, ok
}
