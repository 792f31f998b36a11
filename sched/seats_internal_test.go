package sched

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/mycoswarm/mycoswarm/bus"
)

// A slot is kept from batch work while other batch work is on its way to the node, too: what was handed over and
// is not claimed yet.
func TestReservedWhileOnTheWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, _ := hostOfOne(t)
		batch := bus.Key{Lane: bus.Batch, Priority: 5, Class: "work"}
		h.do(func() { h.keyQueue(batch) })
		synctest.Wait() // it is fetchable
		for i := range 3 {
			h.asked(&asking{nextMsg: nextMsg{Node: oneWorker, Class: "work", Slot: i, Slots: 3}, to: fmt.Sprintf("slot.%d", i)})
		}
		for i := range 3 {
			h.do(func() {
				h.insert(batch, bus.TaskID(fmt.Sprintf("b%d", i)), uint64(i+1), Need{})
				h.dispatch(h.n.now())
			})
		}
		h.do(func() {
			if len(h.answers) != 2 || len(h.asking) != 1 {
				t.Errorf("%d tasks are on their way, and %d slots are left: want 2 and 1", len(h.answers), len(h.asking))
			}
		})
	})
}
