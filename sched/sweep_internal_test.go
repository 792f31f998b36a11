package sched

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// The records of all that wait are looked at where the queue has lost something, and not where something was stored after
// it was counted: of very many, while more come, all the time.
func TestWhatCameAfterTheCountIsNotGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, _ := hostOfOne(t)
		key := bus.Key{Lane: bus.Batch, Priority: 5, Class: "work"}
		add := func(from, n int) {
			for i := range n {
				h.insert(key, bus.TaskID(fmt.Sprintf("b%d", from+i)), uint64(from+i+1), Need{})
			}
		}
		h.do(func() { add(0, 10) })
		time.Sleep(time.Second)
		counted := h.n.now()
		for _, c := range []struct{ count, want int }{{10, 0}, {9, 10}} {
			time.Sleep(time.Millisecond)
			h.do(func() {
				add(100*c.count, 1)
				if ids := h.mayBeGone([]KeyCount{{Key: key, Pending: c.count}}, counted, h.n.now()); len(ids) != c.want {
					t.Errorf("of 10 tasks %d are counted: %d may be gone, want %d", c.count, len(ids), c.want)
				}
			})
		}
	})
}
