package sched

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// toldWire is a wire on which it is noted what is said, and that may take its time for it.
type toldWire struct {
	Wire
	took time.Duration

	mu   sync.Mutex
	said []string
}

func (w *toldWire) Routes() map[bus.NodeID]bool { return nil }

func (w *toldWire) Inbox() string { return "inbox" }

func (w *toldWire) Publish(m Msg) error {
	time.Sleep(w.took)
	w.mu.Lock()
	defer w.mu.Unlock()
	var e bus.Event
	if err := bus.Unmarshal(m.Data, &e); err != nil {
		return err
	}
	w.said = append(w.said, string(e.Task)+" "+string(e.Kind))
	return nil
}

func (w *toldWire) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.said)
}

// A node tells what happens to its tasks in order: of a beginning a moment later, and of anything else at once.
// What is due when it ends is told.
func TestEventsAreToldInOrder(t *testing.T) {
	t.Parallel()
	job := func(id bus.TaskID) *Job {
		j := &Job{}
		j.Task.ID = id
		return j
	}
	for name, c := range map[string]struct {
		took time.Duration
		do   func(n *Node)
		want []string
	}{
		"a beginning, too early": {0, func(n *Node) { n.event(bus.EventQueued, job("a"), 0, ""); time.Sleep(eventDelay / 2) }, nil},
		"a beginning":            {0, func(n *Node) { n.event(bus.EventQueued, job("a"), 0, ""); time.Sleep(eventDelay) }, []string{"a queued"}},
		"an end": {0, func(n *Node) {
			n.event(bus.EventQueued, job("a"), 0, "")
			n.event(bus.EventStarted, job("a"), 1, "")
			n.event(bus.EventDone, job("a"), 1, "")
		}, []string{"a queued", "a started", "a done"}},
		"one after another": {0, func(n *Node) {
			n.event(bus.EventStarted, job("a"), 1, "")
			n.event(bus.EventDone, job("a"), 1, "")
			n.event(bus.EventStarted, job("b"), 1, "")
			time.Sleep(eventDelay)
		}, []string{"a started", "a done", "b started"}},
		"a slow wire": {time.Second, func(n *Node) {
			n.event(bus.EventStarted, job("a"), 1, "")
			time.Sleep(eventDelay + 100*time.Millisecond) // it is being told
			n.event(bus.EventStarted, job("b"), 1, "")
			n.event(bus.EventDone, job("a"), 1, "")
			n.event(bus.EventDone, job("b"), 1, "")
			time.Sleep(time.Minute)
		}, []string{"a started", "b started", "a done", "b done"}},
		"the node ends": {0, func(n *Node) {
			n.event(bus.EventQueued, job("a"), 0, "")
			n.bg.end()
			n.events.close()
			time.Sleep(time.Minute)
		}, []string{"a queued"}},
		"the node ends, and its timer was there first": {0, func(n *Node) {
			n.event(bus.EventQueued, job("a"), 0, "")
			n.bg.end()
			time.Sleep(time.Minute)
			n.events.close()
		}, []string{"a queued"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := &toldWire{took: c.took}
				n := New(Config{ID: "myco-00000000000a"}, Effects{Wire: w})
				c.do(n)
				synctest.Wait()
				if got := w.all(); !slices.Equal(got, c.want) {
					t.Errorf("told %q, want %q", got, c.want)
				}
				n.bg.end()
				n.events.close()
			})
		})
	}
}
