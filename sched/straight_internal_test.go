package sched

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// queueOfOne is the queue of a host with one slot, as far as a task needs it that goes past the queue.
type queueOfOne struct {
	Wire
	Queues

	h      *host
	before func() // Direct writes

	mu   sync.Mutex
	rec  []byte
	last Delivery // that went past it
	fed  int
	said []string // subjects
}

func (q *queueOfOne) Routes() map[bus.NodeID]bool { return nil }

func (q *queueOfOne) Inbox() string { return "inbox" }

func (q *queueOfOne) Publish(m Msg) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.said = append(q.said, m.Subject)
	return nil
}

func (q *queueOfOne) AddKey(context.Context, QueueID, bus.Key) error { return nil }

func (q *queueOfOne) Hand(QueueID, bus.Key, string, Grant) error { return nil }

func (q *queueOfOne) Direct(_ QueueID, _ bus.TaskID, d Delivery, _ string, c Claim, rec []byte) error {
	if q.before != nil {
		q.before()
	}
	if q.record() != nil {
		return ErrConflict
	}
	q.mu.Lock()
	q.last = d
	q.mu.Unlock()
	q.write(c, rec)
	return nil
}

func (q *queueOfOne) write(c Claim, rec []byte) {
	q.mu.Lock()
	q.rec = rec
	q.mu.Unlock()
	q.h.do(func() { q.h.claimed(c) })
}

func (q *queueOfOne) record() []byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.rec
}

// told is how often the task was put into the queue, and what was said on which subjects.
func (q *queueOfOne) told() (fed int, said []string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.fed, slices.Clone(q.said)
}

func (q *queueOfOne) GetClaim(context.Context, QueueID, bus.TaskID) ([]byte, uint64, error) {
	return q.record(), 1, nil
}

func (q *queueOfOne) UpdateClaim(_ context.Context, _ QueueID, c Claim, rec []byte, _ uint64, _ *Msg) (uint64, error) {
	q.write(c, rec)
	return 1, nil
}

func (q *queueOfOne) Feed(context.Context, QueueID, bus.Key, bus.TaskID, Need, []byte) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.fed++
	return nil
}

const (
	oneWorker = bus.NodeID("myco-00000000000b")
	another   = bus.NodeID("myco-00000000000c")
)

func oneJob() *Job {
	j := &Job{}
	j.Task.ID = "t1"
	return j
}

var oneKey = bus.Key{Lane: bus.Interactive, Priority: 5, Class: "work"}

// hostOfOne is a host at which the only slot, that of oneWorker, waits. It runs in a bubble of synctest.
func hostOfOne(t *testing.T) (*host, *queueOfOne) {
	t.Helper()
	q := &queueOfOne{}
	n := New(Config{ID: "myco-00000000000a"}, Effects{Wire: q, Queues: q})
	q.h = newHost(n, QueueID{n.cfg.ID, 1})
	t.Cleanup(q.h.stop)
	n.members.hear(bus.Heartbeat{Node: oneWorker, Boot: "1", Seq: 1, Wire: bus.ThisWire(), Info: &bus.NodeInfo{ID: oneWorker, Types: []string{"work"}}})
	q.h.do(func() { q.h.keyQueue(oneKey) })
	synctest.Wait() // it is fetchable
	q.h.asked(&asking{nextMsg: nextMsg{Node: oneWorker, Class: "work", Slots: 1}, to: "slot.1"})
	return q.h, q
}

func (h *host) state(id bus.TaskID) (it item, k keyQueue) {
	h.do(func() {
		k = *h.keys[oneKey]
		if has := h.items[id]; has != nil {
			it = *has
		}
	})
	return it, k
}

// A worker that gave a task back, and dies before that is in the queue again, has not crashed with it.
func TestGivenBackPastTheQueueIsNoCrash(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, q := hostOfOne(t)
		time.Sleep(time.Second) // its worker is silent, and nobody has looked yet
		if !h.offer(oneKey, Need{}, oneJob(), func() []byte { return []byte(`{}`) }) {
			t.Fatal("a slot waits, and the task does not go there")
		}
		q.write(Claim{Task: "t1", State: bus.StateQueued, Worker: oneWorker, Attempt: 1, Key: oneKey}, []byte(`{"state":"queued"}`))
		if lost := h.n.members.tick(); len(lost) != 1 {
			t.Fatalf("lost %v, want the worker", lost)
		}
		h.supervise()
		h.heard(bus.Heartbeat{Node: oneWorker, Crashed: map[bus.TaskID]int{"t1": 1}})
		if _, crashes := h.n.members.known("t1"); len(crashes) > 0 {
			t.Errorf("crashes %v", crashes)
		}
		time.Sleep(time.Second)
		if fed, said := q.told(); fed != 1 || len(said) > 0 {
			t.Errorf("put into the queue %d times, told on %q", fed, said)
		}
	})
}

// The crash of a worker is told once, however long its task is on its way into the queue.
func TestTellsACrashPastTheQueueOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, q := hostOfOne(t)
		time.Sleep(time.Second)
		if !h.offer(oneKey, Need{}, oneJob(), func() []byte { return []byte(`{}`) }) {
			t.Fatal("a slot waits, and the task does not go there")
		}
		h.n.members.tick()
		for range 3 {
			h.supervise()
		}
		synctest.Wait()
		if fed, said := q.told(); fed != 1 || len(said) != 1 {
			t.Errorf("put into the queue %d times, told on %q", fed, said)
		}
	})
}

// A task that came back may be claimed from the queue before its host hears that it is there: it is not
// open then.
func TestClaimedBeforeItIsKnownToBeQueued(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, q := hostOfOne(t)
		time.Sleep(time.Second)
		if !h.offer(oneKey, Need{}, oneJob(), func() []byte { return []byte(`{}`) }) {
			t.Fatal("a slot waits, and the task does not go there")
		}
		h.n.members.tick()
		h.supervise()
		synctest.Wait()
		if fed, _ := q.told(); fed != 1 {
			t.Fatalf("put into the queue %d times", fed)
		}
		q.write(Claim{Task: "t1", State: bus.StateRunning, Worker: another, Attempt: 2, Ack: "ack.7", Key: oneKey, Seq: 7}, []byte(`{}`))
		h.do(func() { h.stored(oneKey, "t1", 7, Need{}) })
		if it, k := h.state("t1"); it.open || it.claim.Worker != another || it.seq != 7 || k.nOpen != 0 || k.claims != 1 || k.past != 0 {
			t.Errorf("open %v, claimed by %q, sequence %d; %d open, %d claimed, %d past the queue", it.open, it.claim.Worker, it.seq, k.nOpen, k.claims, k.past)
		}
		q.write(Claim{Task: "t1", State: bus.StateDone, Worker: another, Attempt: 2, Ack: "ack.7", Key: oneKey, Seq: 7}, []byte(`{}`))
		if it, k := h.state("t1"); it.k != nil || k.nOpen+k.claims+k.past != 0 {
			t.Errorf("ended, and %d open, %d claimed, %d past the queue", k.nOpen, k.claims, k.past)
		}
	})
}

// A claim of what was in the queue is counted, and what comes next is answered at once though fetches found nothing before.
func TestClaimIsCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, q := hostOfOne(t)
		h.do(func() {
			h.stored(oneKey, "t1", 7, Need{})
			h.keys[oneKey].misses = 3
		})
		q.write(Claim{Task: "t1", State: bus.StateRunning, Worker: another, Attempt: 1, Ack: "ack.7", Key: oneKey, Seq: 7}, []byte(`{}`))
		if it, k := h.state("t1"); it.open || k.nOpen != 0 || k.claims != 1 || k.misses != 0 {
			t.Errorf("open %v; %d open, %d claimed, %d misses", it.open, k.nOpen, k.claims, k.misses)
		}
		q.write(Claim{Task: "t1", State: bus.StateDone, Worker: another, Attempt: 1, Ack: "ack.7", Key: oneKey, Seq: 7}, []byte(`{}`))
		if it, k := h.state("t1"); it.k != nil || k.nOpen != 0 || k.claims != 0 {
			t.Errorf("ended, and %d open, %d claimed", k.nOpen, k.claims)
		}
	})
}

// An end that is written while a task is on its way past the queue is counted once.
func TestEndsOnItsWayPastTheQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, q := hostOfOne(t)
		q.before = func() {
			q.write(Claim{Task: "t1", State: bus.StateCancelled, Key: oneKey}, []byte(`{}`))
		}
		if h.offer(oneKey, Need{}, oneJob(), func() []byte { return []byte(`{}`) }) {
			t.Error("a task that has ended went to a slot")
		}
		if it, k := h.state("t1"); it.k != nil || k.nOpen != 0 || k.claims != 0 || k.past != 0 || len(h.asking) != 1 {
			t.Errorf("%d open, %d claimed, %d past the queue, %d slots wait", k.nOpen, k.claims, k.past, len(h.asking))
		}
	})
}

// Only a slot of this process gets a task as it is, and what that writes into it no other sees. Another process
// in this node's name gets its message.
func TestHandsTheTaskItselfToOwnSlotsAlone(t *testing.T) {
	t.Parallel()
	for name, own := range map[string]bool{"a slot of this process": true, "another process in its name": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h, q := hostOfOne(t)
				delete(h.asking, (&asking{nextMsg: nextMsg{Node: oneWorker, Class: "work"}, to: "slot.1"}).id())
				h.n.members.hear(bus.Heartbeat{Node: h.n.cfg.ID, Boot: "1", Seq: 1, Wire: bus.ThisWire(), Info: &bus.NodeInfo{ID: h.n.cfg.ID, Types: []string{"work"}}})
				if own {
					h.n.worker.noteSlot("own.1")
				}
				h.asked(&asking{nextMsg: nextMsg{Node: h.n.cfg.ID, Class: "work", Slots: 1}, to: "own.1"})
				j := oneJob()
				j.Task.Payload = []byte(`"as it was"`)
				if !h.offer(oneKey, Need{}, j, func() []byte { return marshal(j) }) {
					t.Fatal("a slot waits, and the task does not go there")
				}
				if got := q.last; (got.Job != nil) != own || (len(got.Data) > 0) == own {
					t.Fatalf("job %v, %d bytes of message", got.Job, len(got.Data))
				}
				if own {
					clear(q.last.Job.Task.Payload)
				}
				if string(j.Task.Payload) != `"as it was"` {
					t.Errorf("the next worker gets %q", j.Task.Payload)
				}
			})
		})
	}
}

// Who asks why a task went past the queue to a slot reads what kept it from another that was free.
func TestWhyPastTheQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, _ := hostOfOne(t)
		batch := oneKey
		batch.Lane = bus.Batch
		h.n.members.hear(bus.Heartbeat{Node: another, Boot: "1", Seq: 1, Wire: bus.ThisWire(), Info: &bus.NodeInfo{ID: another, Types: []string{"work"}}})
		h.do(func() {
			h.keyQueue(batch)
			h.seat(another, "work").batch = 1
		})
		synctest.Wait() // it is fetchable
		h.asked(&asking{nextMsg: nextMsg{Node: another, Class: "work", Slots: 2}, to: "slot.2"})
		if !h.offer(batch, Need{}, oneJob(), func() []byte { return []byte(`{}`) }) {
			t.Fatal("a slot waits, and the task does not go there")
		}
		for _, b := range h.n.whyHere("t1")[0].Bids {
			if b.NodeID == another && b.Not != "its free slot is kept for interactive work" {
				t.Errorf("the other node: %q", b.Not)
			}
		}
	})
}
