package sched

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	tellEvery = time.Minute
	kindsMost = 100 // that are told apart
)

// Seldom is for the log of what is tried again and again, and fails again and again: it tells each kind of
// failure once, and then once a minute at most. Its zero value is ready.
type Seldom struct {
	mu    sync.Mutex
	kinds map[string]*rate.Sometimes
}

// Do calls tell, unless it has done so for kind within a minute.
func (s *Seldom) Do(kind string, tell func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.kinds[kind]
	if k == nil {
		if s.kinds == nil || len(s.kinds) >= kindsMost {
			s.kinds = map[string]*rate.Sometimes{}
		}
		k = &rate.Sometimes{First: 1, Interval: tellEvery}
		s.kinds[kind] = k
	}
	k.Do(tell)
}
