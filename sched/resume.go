package sched

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Bounds of what a worker is told of the output of an earlier attempt.
const (
	shownWait  = time.Second // for the submitter to tell; a worker that hears nothing begins anew
	shownPiece = 512 << 10   // bytes of chunks in one message
	tailFor    = time.Minute // that the output of a task is kept after its end, for a reader who comes back
	tailsMost  = 64          // tasks, each with streamBytes at most
)

// after tells what the output of an attempt continues: Chunks chunks of the text that readers know as
// Attempt's.
type after struct {
	Attempt int `json:"attempt"`
	Chunks  int `json:"chunks"`
}

// shownMsg asks, on bus.SubjectShown, on behalf of an attempt for what was shown of those before.
type shownMsg struct {
	Attempt int `json:"attempt"`
}

// shownReply answers in pieces. Where Total is 0 there is nothing that can be continued.
type shownReply struct {
	Attempt int               `json:"attempt"`
	Total   int               `json:"total"`
	From    int               `json:"from"`
	Chunks  []json.RawMessage `json:"chunks,omitempty"`
}

// shown returns all that readers have, for an attempt that may continue it; ok is false where there is
// nothing, or its beginning is gone. From then on chunks of earlier attempts are too late.
func (s *stream) shown(attempt int, fence bool) (chunks []bus.Chunk, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != nil || attempt <= s.run || len(s.chunks) == 0 || s.chunks[0].Seq != 0 {
		return nil, false
	}
	if fence {
		s.fence = max(s.fence, attempt)
	}
	return slices.Clip(s.chunks), true
}

// shown returns what was shown of a task that was submitted here.
func (o *outbox) shown(id bus.TaskID, attempt int) []bus.Chunk {
	o.mu.Lock()
	e := o.entries[id]
	o.mu.Unlock()
	if e == nil {
		return nil
	}
	chunks, ok := e.out.shown(attempt, !o.n.off(ProtectFence))
	if !ok {
		return nil
	}
	return chunks
}

// onShown tells a worker what was shown, in pieces that fit into a message.
func (o *outbox) onShown(m Msg) {
	var q shownMsg
	id, ok := bus.TaskOfShown(m.Subject)
	if !ok || m.Reply == "" || bus.Unmarshal(m.Data, &q) != nil {
		return
	}
	chunks := o.shown(id, q.Attempt)
	r := shownReply{Total: len(chunks)}
	for more := true; more; {
		r.Chunks = nil
		for size := 0; len(chunks) > 0 && (size == 0 || size+len(chunks[0].Data) <= shownPiece); chunks = chunks[1:] {
			size += len(chunks[0].Data)
			r.Attempt, r.Chunks = chunks[0].Attempt, append(r.Chunks, chunks[0].Data)
		}
		if err := o.n.fx.Publish(Msg{Subject: m.Reply, Data: marshal(r)}); err != nil {
			o.n.log.Debug("tell what was shown", "task", id, "err", err)
			return
		}
		r.From += len(r.Chunks)
		more = len(chunks) > 0
	}
}

// shown implements bus.ShownOf for the handler of a.
func (a *attempt) shown(ctx context.Context) *bus.Shown {
	if a.rec.Attempt < 2 || a.w.n.off(ProtectContinue) || !a.w.n.members.alive(a.job.Submitter) {
		return nil
	}
	text, data := a.askShown(ctx)
	if len(data) == 0 {
		return nil
	}
	return &bus.Shown{Chunks: data, Continue: func() error {
		a.mu.Lock()
		begun := a.seq > 0
		if !begun {
			a.after = &after{Attempt: text, Chunks: len(data)}
		}
		a.mu.Unlock()
		if begun {
			return errors.New("continue an answer: it has begun anew")
		}
		return a.emit(ctx, struct{}{})
	}}
}

// askShown asks the submitter. Where it is too late, or a piece of the answer is lost, there is none.
func (a *attempt) askShown(ctx context.Context) (attempt int, chunks []json.RawMessage) {
	id, n := a.job.Task.ID, a.w.n
	if a.job.Submitter == n.cfg.ID {
		for _, c := range n.outbox.shown(id, a.rec.Attempt) {
			attempt, chunks = c.Attempt, append(chunks, c.Data)
		}
		return attempt, chunks
	}
	ctx, cancel := context.WithTimeout(ctx, shownWait)
	defer cancel()
	whole := false
	err := n.asker.gather(ctx, bus.SubjectShown(a.job.Submitter, id), marshal(shownMsg{Attempt: a.rec.Attempt}), func(m *Msg) bool {
		var r shownReply
		if m == nil {
			return !n.members.alive(a.job.Submitter)
		}
		if bus.Unmarshal(m.Data, &r) != nil || r.From != len(chunks) || r.Total > 0 && len(r.Chunks) == 0 {
			return true
		}
		attempt, chunks = r.Attempt, append(chunks, r.Chunks...)
		whole = len(chunks) >= r.Total
		return whole
	})
	if err != nil || !whole {
		n.log.Info("what was shown of a task is not to be had: its answer begins anew", "task", id, "submitter", a.job.Submitter, "err", err)
		return 0, nil
	}
	return attempt, chunks
}

// tail is the output of a task that has ended.
type tail struct {
	id bus.TaskID
	e  *entry
	at time.Time
}

// any reports whether s has output, or waits for some.
func (s *stream) any() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.chunks) > 0 || s.pending != nil && s.end == nil
}

// waits reports whether s has an end that waits for output.
func (s *stream) waits() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending != nil && s.end == nil
}

// keepTail keeps the output of e, which has ended, for a while. The caller holds mu.
func (o *outbox) keepTail(id bus.TaskID, e *entry) {
	if !e.out.any() {
		return
	}
	slim := &entry{job: e.job, out: e.out}
	slim.job.slim()
	now := o.n.now()
	o.dropTails(now, tailsMost-1)
	o.tails = append(o.tails, tail{id, slim, now})
}

// dropTails drops the output that is older than tailFor, and the oldest of more than most tasks. The caller holds mu.
func (o *outbox) dropTails(now time.Time, most int) {
	for len(o.tails) > most || len(o.tails) > 0 && now.Sub(o.tails[0].at) > tailFor {
		o.tails[0].e.out.cut() // nobody hears what it may wait for
		o.tails[0], o.tails = tail{}, o.tails[1:]
	}
}

// tailWaits reports whether a task has ended whose last output is waited for. The caller holds mu.
func (o *outbox) tailWaits() bool {
	now := o.n.now()
	for _, t := range slices.Backward(o.tails) {
		if now.Sub(t.at) > 2*gapWait {
			break
		}
		if t.e.out.waits() {
			return true
		}
	}
	return false
}

// tailOf returns the entry of a task that has just ended, nil where it is gone. The caller holds mu.
func (o *outbox) tailOf(id bus.TaskID) *entry {
	for _, t := range o.tails {
		if t.id == id && o.n.now().Sub(t.at) <= tailFor {
			return t.e
		}
	}
	return nil
}
