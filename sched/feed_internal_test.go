package sched

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// someEntries are tasks of each kind that differ in what the order looks at, in no order; some are alike but for the
// order of their submission.
func someEntries(n int) []*entry {
	r := rand.New(rand.NewPCG(1, 2))
	out := make([]*entry, n)
	for i, order := range r.Perm(n) {
		e := &entry{order: uint64(order)}
		e.job.Task.Lane = []bus.Lane{bus.Interactive, bus.Batch}[r.IntN(2)]
		e.job.Task.Priority = 1 + r.IntN(3)
		if r.IntN(2) == 0 {
			e.job.Custodian = "b" // it is durable
		}
		out[i] = e
	}
	return out
}

// Of any two tasks one is fed before the other, and of any three there is a first: else a sort puts them anyhow.
func TestFeedOrderIsOne(t *testing.T) {
	t.Parallel()
	all := someEntries(60)
	for _, a := range all {
		for _, b := range all {
			if ab := feedsBefore(a, b); ab != -feedsBefore(b, a) || (ab == 0) != (a == b) {
				t.Fatalf("%+v and %+v: %d, and the other way %d", a, b, ab, feedsBefore(b, a))
			}
			for _, c := range all {
				if feedsBefore(a, b) < 0 && feedsBefore(b, c) < 0 && feedsBefore(a, c) >= 0 {
					t.Fatalf("%+v comes before %+v, that before %+v, and yet not before it", a, b, c)
				}
			}
		}
	}
}

// Interactive tasks are fed before batch ones, and of a lane those of a higher priority first; what is alike goes in
// order of submission, durable or not: it is in one queue.
func TestFeedOrder(t *testing.T) {
	t.Parallel()
	all := someEntries(200)
	slices.SortFunc(all, feedsBefore)
	for i, b := range all[1:] {
		a := all[i]
		ta, tb := a.job.Task, b.job.Task
		switch {
		case ta.Lane != tb.Lane && ta.Lane == bus.Batch,
			ta.Lane == tb.Lane && ta.Priority < tb.Priority,
			ta.Lane == tb.Lane && ta.Priority == tb.Priority && a.order > b.order:
			t.Errorf("%s %d #%d comes before %s %d #%d", ta.Lane, ta.Priority, a.order, tb.Lane, tb.Priority, b.order)
		}
	}
}
