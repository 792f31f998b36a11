package sched

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// natsMost is what a NATS server takes as one message, unless it is told otherwise, in bytes.
const natsMost = 1 << 20

// askingWire brings the questions of one node to another, and its answers back, as NATS would.
type askingWire struct {
	Wire
	asked *Node

	mu      sync.Mutex
	replies func(Msg)
	refused int // for their size
}

func (*askingWire) Routes() map[bus.NodeID]bool {
	return map[bus.NodeID]bool{"myco-00000000000b": true}
}
func (*askingWire) Inbox() string { return "inbox" }

func (w *askingWire) Subscribe(_ string, fn func(Msg)) (func(), error) {
	w.replies = fn
	return func() {}, nil
}

func (w *askingWire) Publish(m Msg) error {
	if len(m.Data) > natsMost {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.refused++
		return fmt.Errorf("publish %d bytes: maximum payload exceeded", len(m.Data))
	}
	switch {
	case strings.HasPrefix(m.Subject, "inbox."):
		w.replies(m)
	case m.Subject == bus.SubjectSync:
		go w.asked.onSync(m)
	}
	return nil
}

// Whoever has very many open tasks learns the ends of all, though no message may have all ids, nor all results.
func TestSyncOfManyTasks(t *testing.T) {
	t.Parallel()
	const a, b = bus.NodeID("myco-00000000000a"), bus.NodeID("myco-00000000000b")
	w := &askingWire{}
	asks := New(Config{ID: a}, Effects{Wire: w})
	w.asked = New(Config{ID: b}, Effects{Wire: w})
	asks.bg.end() // nothing is written
	stop, err := asks.asker.start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	ids := make([]bus.TaskID, 100_000)
	for i := range ids {
		ids[i] = bus.TaskID(fmt.Sprintf("%s-%06d", strings.Repeat("x", 57), i))
		j := Job{Task: bus.Task{ID: ids[i], Type: "work"}, Submitter: b, Custodian: a}
		asks.outbox.kept[ids[i]] = &kept{job: j}
	}
	ended := map[bus.TaskID]int{ids[0]: 500 << 10, ids[1]: 700 << 10, ids[2]: 10, ids[70_000]: 10, ids[99_999]: bus.MaxInline}
	for id, size := range ended {
		w.asked.worker.remember(Final{Task: id, State: bus.StateDone, Result: []byte(`"` + strings.Repeat("x", size-2) + `"`)})
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := asks.sync(ctx, ids, func(Final) {}); err != nil || w.refused > 0 {
		t.Fatalf("%v, and %d messages were too large", err, w.refused)
	}
	for id := range ended {
		if !asks.outbox.isOver(id) {
			t.Errorf("the end of task %s is not known", id)
		}
	}
	if k := asks.outbox.kept[ids[50_000]]; !k.orphan {
		t.Error("its submitter has lost what was kept for it, and nobody has noticed")
	}
}

// Who has answered whether a task has ended has told, too, which host it follows: its heartbeat may be read after its answer.
func TestAnswersTellOfALaterHost(t *testing.T) {
	t.Parallel()
	const a, b = bus.NodeID("myco-00000000000a"), bus.NodeID("myco-00000000000b")
	w := &askingWire{}
	asks := New(Config{ID: a}, Effects{Wire: w})
	w.asked = New(Config{ID: b}, Effects{Wire: w})
	defer asks.bg.end()
	stop, err := asks.asker.start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	asks.members.hear(bus.Heartbeat{Node: b, Boot: w.asked.cfg.Boot, Wire: bus.ThisWire()})
	asks.queue.put(QueueID{Host: a, Term: 3}, true)
	for _, at := range []struct {
		term    uint64
		abreast bool
	}{{3, true}, {4, false}} {
		w.asked.members.noteTerm(at.term)
		_, ended, answered := asks.rounds.ask(t.Context(), "t1")
		if ended || !answered[b] {
			t.Fatalf("ended %v, answered %v", ended, answered)
		}
		if got := asks.abreast(answered); got != at.abreast {
			t.Errorf("as host of term 3, where another knows of term %d, it is abreast: %v", at.term, got)
		}
	}
}
