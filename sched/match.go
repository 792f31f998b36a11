package sched

import (
	"slices"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Weights of Match. They trade a model load, or a priority, against waiting.
const (
	loadedBonus  = 300 * time.Millisecond // the loaded model goes first unless another head is older by this
	priorityStep = 2 * time.Second        // one step of priority is worth this much waiting
)

// QueueHead is the front of one work queue.
type QueueHead struct {
	Key    bus.Key
	Open   int       // how many tasks may be fetched
	Oldest time.Time // since when the first of them waits
}

// FreeSlot is a worker's free slot that asks what to fetch.
type FreeSlot struct {
	Node  bus.NodeID
	Class string
	Slot  int
	// Bid is 0 for a node that has the model loaded, is idle and fast; higher is worse.
	Bid int
	// Free is how many slots of the node ask.
	Free int
	// Has tells whether the node can run key, and whether its model is loaded there.
	Has func(key bus.Key) (can, loaded bool)
}

// Answer gives a queue's head to a slot.
type Answer struct {
	Head, Slot int // indexes into Match's arguments
}

// Match gives open tasks to free slots: the best slot by bid, then by how many are free on its
// node, takes the queue that it should: interactive before batch, then the one that has waited
// longest, where priority and a loaded model count as waiting.
func Match(heads []QueueHead, slots []FreeSlot, now time.Time) []Answer {
	open, left := make([]int, len(heads)), 0
	classes := map[string]bool{}
	for i, h := range heads {
		open[i] = h.Open
		left += h.Open
		classes[h.Key.Class] = true
	}
	free := map[bus.NodeID]int{}
	var order []int
	for i, s := range slots {
		if classes[s.Class] {
			order = append(order, i)
			free[s.Node] = s.Free
		}
	}
	var out []Answer
	for left > 0 && len(order) > 0 {
		next := 0
		for i := range order {
			if wantsMore(slots[order[i]], slots[order[next]], free) {
				next = i
			}
		}
		s := order[next]
		order = slices.Delete(order, next, next+1)
		if h := bestHead(heads, open, slots[s], now); h >= 0 {
			open[h]--
			left--
			free[slots[s].Node]--
			out = append(out, Answer{h, s})
		}
	}
	return out
}

// wantsMore reports whether slot x goes before y.
func wantsMore(x, y FreeSlot, free map[bus.NodeID]int) bool {
	if x.Bid != y.Bid {
		return x.Bid < y.Bid
	}
	if free[x.Node] != free[y.Node] {
		return free[x.Node] > free[y.Node]
	}
	return x.Node < y.Node || x.Node == y.Node && x.Slot < y.Slot
}

func bestHead(heads []QueueHead, open []int, s FreeSlot, now time.Time) int {
	best, bestAge := -1, time.Duration(0)
	for i, h := range heads {
		if open[i] <= 0 || h.Key.Class != s.Class {
			continue
		}
		can, loaded := s.Has(h.Key)
		if !can {
			continue
		}
		age := now.Sub(h.Oldest) + time.Duration(h.Key.Priority)*priorityStep
		if loaded {
			age += loadedBonus
		}
		if best >= 0 {
			x, y := h.Key.Lane == bus.Interactive, heads[best].Key.Lane == bus.Interactive
			if x != y && y || x == y && age <= bestAge {
				continue
			}
		}
		best, bestAge = i, age
	}
	return best
}
