package sched

import (
	"sync"
	"time"
)

// togetherFor is how long a renewal waits for those of the node's other slots.
const togetherFor = time.Millisecond

// ask sends a request for work.
func (w *worker) ask(m Msg) {
	if err := w.n.fx.Publish(m); err != nil {
		w.n.log.Debug("ask for work", "err", err)
	}
}

// together sends what several goroutines have to say in the same moment from one, so that it leaves as one
// packet: each wakes a dozen goroutines here and at the host.
type together struct {
	bg   *background
	send func(Msg)

	mu  sync.Mutex
	all []Msg
}

func (t *together) add(m Msg) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all = append(t.all, m); len(t.all) > 1 {
		return
	}
	t.bg.run(func() {
		select {
		case <-time.After(togetherFor):
		case <-t.bg.done:
		}
		t.mu.Lock()
		all := t.all
		t.all = nil
		t.mu.Unlock()
		for _, m := range all {
			t.send(m)
		}
	})
}
