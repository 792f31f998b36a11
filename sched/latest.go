package sched

import "github.com/mycoswarm/mycoswarm/bus"

// latest remembers something of the tasks that came last: so many of them at most, and so many bytes.
type latest[T any] struct {
	most, bytesMost int

	by    map[bus.TaskID]sized[T]
	order []bus.TaskID // oldest first
	bytes int
}

type sized[T any] struct {
	v     T
	bytes int
}

func newLatest[T any](most, bytesMost int) *latest[T] {
	return &latest[T]{most: most, bytesMost: bytesMost, by: map[bus.TaskID]sized[T]{}}
}

// put remembers v of a task, which takes so many bytes, in place of what was remembered of it.
func (l *latest[T]) put(id bus.TaskID, v T, bytes int) {
	old, has := l.by[id]
	if !has {
		l.order = append(l.order, id)
	}
	l.by[id] = sized[T]{v, bytes}
	l.bytes += bytes - old.bytes
	for len(l.order) > l.most || l.bytes > l.bytesMost && len(l.order) > 0 {
		first := l.order[0]
		l.bytes -= l.by[first].bytes
		delete(l.by, first)
		l.order = l.order[1:]
	}
}

func (l *latest[T]) get(id bus.TaskID) (T, bool) {
	s, ok := l.by[id]
	return s.v, ok
}
