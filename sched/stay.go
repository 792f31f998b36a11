package sched

import (
	"container/list"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// stayID names what tasks have in common that take about as long.
type stayID struct {
	node         bus.NodeID
	class, model string
}

const (
	staysMost = 2000 // that are remembered
	stayNew   = 4    // one in so many parts of an average is the latest
)

// stays is how long tasks take where: an average in which the latest count for more.
type stays struct{ by map[stayID]time.Duration }

func (s *stays) note(id stayID, took time.Duration) {
	old, has := s.by[id]
	switch {
	case has:
		took = old + (took-old)/stayNew
	case len(s.by) >= staysMost:
		for other := range s.by { // any: the rest is learnt again
			delete(s.by, other)
			break
		}
	}
	s.by[id] = max(took, 1)
}

func (s *stays) of(id stayID) (time.Duration, bool) {
	d, ok := s.by[id]
	return d, ok
}

// warmMost is how many conversations a host remembers.
const warmMost = 4096

// warm is which node answered a conversation last, and has its cache perhaps.
type warm struct {
	by    map[uint64]*list.Element
	order *list.List // of warmth, the one used last in front
}

type warmth struct {
	affinity uint64
	node     bus.NodeID
}

func newWarm() *warm { return &warm{by: map[uint64]*list.Element{}, order: list.New()} }

func (w *warm) put(affinity uint64, node bus.NodeID) {
	if affinity == 0 {
		return
	}
	if e := w.by[affinity]; e != nil {
		e.Value = warmth{affinity, node}
		w.order.MoveToFront(e)
		return
	}
	w.by[affinity] = w.order.PushFront(warmth{affinity, node})
	if w.order.Len() > warmMost {
		last := w.order.Back()
		delete(w.by, last.Value.(warmth).affinity)
		w.order.Remove(last)
	}
}

func (w *warm) of(affinity uint64) bus.NodeID {
	if e := w.by[affinity]; affinity != 0 && e != nil {
		return e.Value.(warmth).node
	}
	return ""
}
