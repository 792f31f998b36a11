package sched

import (
	"container/list"
	"maps"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

const (
	staysMost = 200 // models of one seat whose tasks' length is remembered
	stayNew   = 4   // one in so many parts of an average is the latest
	stayFine  = 32  // a change by less than one in so many parts is none
)

// stays is how long tasks of each model take at a seat, "" for those without: an average in which the
// latest count for more. It is replaced and never changed, for decisions hold it.
type stays map[string]time.Duration

// with returns s with one more task.
func (s stays) with(model string, took time.Duration) stays {
	old, has := s[model]
	switch {
	case has:
		if took = old + (took-old)/stayNew; (took - old).Abs() < old/stayFine {
			return s
		}
	case len(s) >= staysMost:
		return s
	}
	next := make(stays, len(s)+1)
	maps.Copy(next, s)
	next[model] = max(took, 1)
	return next
}

// warmMost is how many conversations a host remembers, or a submitter.
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
