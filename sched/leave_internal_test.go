package sched

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// A host that leaves goes on as soon as another node has its role, also where it steps down in the moment in
// which it looks whether it has.
func TestLeaveSeesEachStepDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		self := bus.NodeID("myco-0000000000aa")
		n := &Node{queue: newCurrent()}
		n.queue.put(QueueID{self, 1}, true)
		start := time.Now() // of the simulated clock, which stands still while anybody can go on
		for range 20 {
			h := &host{}
			n.hosting = h
			q := n.queue
			q.mu.Lock() // whoever looks for a change waits
			done := make(chan struct{})
			go func() {
				defer close(done)
				n.awaitStepDown(t.Context(), h)
			}()
			for range 1000 {
				runtime.Gosched()
			}
			n.mu.Lock()
			n.hosting = nil
			n.mu.Unlock()
			close(q.changed) // as put does, which takes the lock itself
			q.changed = make(chan struct{})
			q.mu.Unlock()
			<-done
		}
		n.queue.put(QueueID{}, false)
		if waited := time.Since(start); waited > 0 {
			t.Errorf("a step-down was not seen: waited for %v", waited)
		}
	})
}
