package sched

import "sync"

// poke wakes whoever waits on c, which holds one, unless it is woken already.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// background runs what outlives the call that began it, until the Node ends.
type background struct {
	done chan struct{} // closed by end

	mu    sync.Mutex
	wg    sync.WaitGroup
	ended bool
}

func newBackground() *background { return &background{done: make(chan struct{})} }

// run starts f, unless the Node ends.
func (b *background) run(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.ended {
		b.wg.Go(f)
	}
}

// end lets nothing more start, and waits for what runs.
func (b *background) end() {
	b.mu.Lock()
	if !b.ended {
		b.ended = true
		close(b.done)
	}
	b.mu.Unlock()
	b.wg.Wait()
}
