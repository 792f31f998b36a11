package main

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/mycoswarm/mycoswarm/bus"
)

// holdups tells what holds tasks up that are under way side by side, once for each cause: it is that of all, mostly.
type holdups struct {
	*app
	conn *bus.Conn

	mu   sync.Mutex
	told map[string]bool
}

func (a *app) holdups(conn *bus.Conn) *holdups {
	return &holdups{app: a, conn: conn, told: map[string]bool{}}
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

// done has a task done, and returns what became of it, which an error of the task itself comes with too.
func (h *holdups) done(ctx context.Context, t bus.Task) (end bus.TaskInfo, err error) {
	s, err := h.conn.Start(ctx, t)
	if err != nil {
		return end, err
	}
	for chunk, err := range patient(s.Chunks(), patience, func() { h.look(ctx, s.Reply.ID) }) {
		if chunk.End != nil {
			end = *chunk.End
		}
		if err != nil || chunk.End != nil {
			return end, err
		}
		var p bus.FileProgress // of a document; other tasks tell nothing that holds them up
		if json.Unmarshal(chunk.Data, &p) == nil {
			h.say(p.Status)
		}
	}
	return end, bus.Errorf(bus.CodeInternal, "task %s ended without an end", s.Reply.ID)
}
