package sched

import (
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Meter is told what happens at a Node, for figures that others keep. Its methods are called at the same time, and
// must not block.
type Meter interface {
	// TaskEnded tells of a task that was submitted here. ran tells that a node has run it, whose kinds of
	// task its type is among.
	TaskEnded(typ string, s bus.TaskState, ran bool)
	// AttemptEnded tells of a run on this node.
	AttemptEnded(Ran)
	// AttemptLost tells that this node, as queue host, has taken a task back from a worker that is gone.
	AttemptLost()
	// PeerLost tells that this node has lost another one, which had not said goodbye.
	PeerLost()
}

// Ran is how an attempt went.
type Ran struct {
	Type, Model string
	Lane        bus.Lane
	Attempt     int
	// Result is the event that told of it: done, failed, cancelled, expired, retried, superseded; lost where
	// nobody was told, since its submitter is not heard or its end could not be written.
	Result bus.EventKind
	// Waited is the time from the submission of the task until the attempt began. First and Took count from
	// then: to the first piece of an answer, 0 where there was none or it goes on with what another has begun,
	// and to the end.
	Waited, First, Took time.Duration
}

// unmetered is the Meter of who wants none.
type unmetered struct{}

func (unmetered) TaskEnded(string, bus.TaskState, bool) {}
func (unmetered) AttemptEnded(Ran)                      {}
func (unmetered) AttemptLost()                          {}
func (unmetered) PeerLost()                             {}

// tell tells those who watch, and the meter, how a went.
func (a *attempt) tell(k bus.EventKind, reason string) {
	a.result = k
	a.w.n.event(k, a.job, a.rec.Attempt, reason)
}

// ran is what the meter is told of a, which is over.
func (a *attempt) ran() Ran {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := Ran{
		Type: a.job.Task.Type, Model: a.job.Task.Model, Lane: a.job.Task.Lane, Attempt: a.rec.Attempt,
		Result: a.result, Waited: a.waited, Took: a.w.n.now().Sub(a.began),
	}
	if !a.first.IsZero() && a.after == nil {
		r.First = a.first.Sub(a.began)
	}
	return r
}

// says reports whether a piece of output is of an answer: a handler of models tells other things too.
func says(chunk any) bool {
	c, ok := chunk.(bus.InferenceChunk)
	return !ok || !c.Empty()
}

// OpenTasks returns how many tasks are open that were submitted here: those that somebody waits for, and those
// that are on disk.
func (n *Node) OpenTasks() (attached, durable int) {
	o := n.outbox
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.entries) - o.durable, o.durable
}

// Queue returns how many tasks wait and run by lane, where this node is queue host; nil where it is not.
func (n *Node) Queue() []bus.QueueCount {
	h := n.host()
	if h == nil {
		return nil
	}
	lanes := []bus.QueueCount{{Lane: bus.Interactive}, {Lane: bus.Batch}}
	h.do(func() {
		for _, k := range h.keys {
			c := &lanes[boolInt(k.key.Lane == bus.Batch)]
			c.Waiting += k.nOpen
			c.Running += k.claims + k.past
		}
	})
	return lanes
}

// ContentBytes returns how much large content this node has on its disk.
func (n *Node) ContentBytes() (disk int64, err error) {
	all, err := n.fx.HeldBlobs()
	for _, h := range all {
		if !h.Memory {
			disk += h.Size
		}
	}
	return disk, err
}
