package main

import (
	"context"
	"encoding/json"
	"iter"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

const (
	// awayLimit is how long a daemon that went away is waited for, such as one that is started anew.
	awayLimit = time.Minute
	// awayPause is the time between tries to hand it a task: it takes none before it is whole.
	awayPause = 250 * time.Millisecond
	// lostMost is how often a task is lost with a daemon before it is given up: the task may be what ends it.
	lostMost = 3
)

// holdups tells what holds tasks up that are under way side by side, once for each cause: it is that of all, mostly.
type holdups struct {
	*app
	conn *bus.Conn

	awayLimit time.Duration
	parts     bool // the tasks are parts of one thing that was asked for

	mu   sync.Mutex
	told map[string]bool
	gone time.Time // when the daemon was away last
}

func (a *app) holdups(conn *bus.Conn) *holdups {
	return &holdups{app: a, conn: conn, told: map[string]bool{}, awayLimit: awayLimit}
}

// partsOfOne are holdups of what takes many tasks.
func (a *app) partsOfOne(conn *bus.Conn) *holdups {
	h := a.holdups(conn)
	h.parts = true
	return h
}

// beside does what tells something of one task while others are under way.
func (h *holdups) beside(tell func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	tell()
}

// say tells what holds a task up, unless it was said before.
func (h *holdups) say(why string) {
	h.beside(func() {
		if why != "" && !h.told[why] {
			h.told[why] = true
			h.hint("[%s]", why)
		}
	})
}

// look says why a task does not go on. That it waits for others is no cause.
func (h *holdups) look(ctx context.Context, id bus.TaskID) {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	info, err := h.conn.Task(ctx, id)
	if err == nil && !info.State.Terminal() {
		h.say(info.Warning)
	}
}

// done has a task done, and returns what became of it, which an error of the task itself comes with too. A task whose
// daemon goes away is handed over again when it is back.
func (h *holdups) done(ctx context.Context, t bus.Task) (end bus.TaskInfo, err error) {
	return h.doneTelling(ctx, t, listener{})
}

// listener hears of a task under way; what is nil is not called.
type listener struct {
	started func()          // each time the task is handed over
	piece   func(bus.Chunk) // of its output
}

// doneTelling is done that tells l.
func (h *holdups) doneTelling(ctx context.Context, t bus.Task, l listener) (end bus.TaskInfo, err error) {
	t.Part = h.parts
	for range lostMost {
		var s *bus.Stream
		if s, err = h.start(ctx, t); err != nil {
			break
		}
		if l.started != nil {
			l.started()
		}
		if end, err = h.follow(ctx, s, l.piece); end.ID != "" || !h.absent(err) {
			break
		}
	}
	return end, err
}

// ask has p print an answer as it is made, which has to say something. A question whose daemon goes away is handed over again when it is back.
func (h *holdups) ask(ctx context.Context, t bus.Task, p *printer) (err error) {
	p.speaks = true
	for range lostMost {
		var s *bus.Stream
		if s, err = h.start(ctx, t); err != nil {
			break
		}
		p.task, p.attempt = s.Reply.ID, 0
		err = p.goOn(patient(s.Chunks(), patience, p.waiting(ctx, h.conn)))
		if p.ended || !h.absent(err) {
			break
		}
	}
	if err != nil {
		p.newline()
	}
	return err
}

// resultOf has a task done, and returns its result with what became of it.
func resultOf[T any](ctx context.Context, h *holdups, t bus.Task) (end bus.TaskInfo, res T, err error) {
	if end, err = h.done(ctx, t); err == nil {
		res, err = bus.Result[T](end)
	}
	return end, res, err
}

// start hands a task over, and waits for a daemon that is away. One that is back does not know at once who else is there.
func (h *holdups) start(ctx context.Context, t bus.Task) (*bus.Stream, error) {
	wait, cancel := context.WithTimeout(ctx, h.awayLimit)
	defer cancel()
	for {
		s, err := h.conn.Start(ctx, t)
		if !h.absent(err) {
			return s, err
		}
		if h.conn.Returned(wait) != nil && wait.Err() == nil {
			return nil, err // it is closed
		}
		select {
		case <-time.After(awayPause):
		case <-wait.Done():
			if ctx.Err() != nil {
				err = bus.AsError(context.Cause(ctx))
			}
			return nil, err
		}
	}
}

// absent tells whether err is for a daemon that is away, or was until a moment ago, and says so once.
func (h *holdups) absent(err error) (is bool) {
	if err == nil {
		return false
	}
	h.beside(func() {
		lately := h.now().Sub(h.gone) < h.awayLimit
		switch bus.AsError(err).Code {
		case bus.CodeUnavailable:
			if is, h.gone = true, h.now(); !lately {
				h.hint("[%s: waiting for it, %v at most]", bus.AsError(err).Message, h.awayLimit)
			}
		case bus.CodeNoWorker:
			is = lately
		}
	})
	return is
}

// follow waits for the end of a task. Without one the error is of the way there.
func (h *holdups) follow(ctx context.Context, s *bus.Stream, piece func(bus.Chunk)) (bus.TaskInfo, error) {
	return toItsEnd(patient(s.Chunks(), patience, func() { h.look(ctx, s.Reply.ID) }), func(c bus.Chunk) {
		var p bus.FileProgress // of a document; other tasks tell nothing that holds them up
		if json.Unmarshal(c.Data, &p) == nil {
			h.say(p.Status)
		}
		if piece != nil {
			piece(c)
		}
	})
}

// toItsEnd hands each piece of a task's output to on, and returns what became of the task, which an error of the task
// itself comes with too.
func toItsEnd(chunks iter.Seq2[bus.Chunk, error], on func(bus.Chunk)) (end bus.TaskInfo, err error) {
	for chunk, err := range chunks {
		if chunk.End != nil {
			end = *chunk.End
		}
		if err != nil || chunk.End != nil {
			return end, err
		}
		on(chunk)
	}
	return end, bus.Errorf(bus.CodeInternal, "the answer ended without an end")
}
