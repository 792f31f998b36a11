package gateway

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// lastID is the id of the event that ends a task's: who has read it has read all.
const lastID = "end"

// heldTasks are attached tasks that outlive their client's connection for a while.
type heldTasks struct {
	grace time.Duration // see Config.ReattachGrace

	mu    sync.Mutex
	tasks map[bus.TaskID]*heldTask
}

type heldTask struct {
	readers int
	leave   *time.Timer // runs while nobody reads; what it does cancels the task
}

// hold notes that a task may be left for the grace, and is cancelled after; not where there is one of
// that id. Who holds it reads it, until done is called.
func (h *heldTasks) hold(id bus.TaskID, cancel func()) (done func(), ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.tasks[id] != nil {
		return nil, false
	}
	if h.tasks == nil {
		h.tasks = map[bus.TaskID]*heldTask{}
	}
	t := &heldTask{readers: 1}
	t.leave = time.AfterFunc(h.grace, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if t.readers == 0 {
			cancel()
		}
	})
	h.tasks[id] = t
	return h.doneWith(id, t), true
}

// read notes a reader of a task, which may be held, until done is called.
func (h *heldTasks) read(id bus.TaskID) (done func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.tasks[id]
	if t == nil {
		return func() {}
	}
	t.readers++
	t.leave.Stop()
	return h.doneWith(id, t)
}

// doneWith is what a reader of t calls in the end.
func (h *heldTasks) doneWith(id bus.TaskID, t *heldTask) func() {
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if t.readers--; t.readers == 0 && h.tasks[id] == t {
			t.leave.Reset(h.grace)
		}
	}
}

// ended forgets a task.
func (h *heldTasks) ended(id bus.TaskID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t := h.tasks[id]; t != nil {
		t.leave.Stop()
		delete(h.tasks, id)
	}
}

// post runs a task: its answer is the end, or with ?events=1 all that comes before it too.
func (g *Gateway) post(w http.ResponseWriter, r *http.Request) {
	if on, err := flag(r, "events"); err != nil || !on {
		native((*Gateway).submit)(g, w, r)
		return
	}
	done, err := g.limitBody(w, r)
	if err == nil {
		defer done()
		err = g.postEvents(w, r)
	}
	if err != nil {
		g.failNative(w, r, err)
	}
}

// postEvents runs a task, and streams what comes of it. An error is told before any of that.
func (g *Gateway) postEvents(w http.ResponseWriter, r *http.Request) error {
	t, err := g.readTask(r)
	if err != nil {
		return err
	}
	if t.ID == "" {
		t.ID = bus.NewTaskID()
	}
	stays, err := flag(r, "reattach")
	if err != nil {
		return err
	}
	out := newEvents(w, "")
	defer out.end()
	if !stays {
		info, err := g.stream(r, t, func(c bus.Chunk) error { return out.chunk(t.ID, c) })
		g.endEvents(r, out, t.ID, info, err)
		return nil
	}
	left, err := g.stay(t)
	if err != nil {
		return err
	}
	defer left()
	if err := out.opens(t.ID); err != nil { // it may leave before the first output
		g.cfg.Logger.Debug("write a reply", "err", err)
		return nil
	}
	g.follow(r, out, t.ID, firstAttempt, 0) // it may have ended by now
	return nil
}

// stay runs a task that goes on without its client for a while, from when that has left.
func (g *Gateway) stay(t bus.Task) (left func(), err error) {
	ctx, cancel := context.WithCancel(g.life)
	left, ok := g.held.hold(t.ID, cancel)
	if !ok {
		cancel()
		return nil, bus.Errorf(bus.CodeConflict, "task %s exists already", t.ID).WithHint("GET /task/%s/events", t.ID)
	}
	over := func() {
		cancel()
		g.held.ended(t.ID)
	}
	if err := g.cfg.Swarm.Start(ctx, t, over); err != nil {
		over()
		return nil, err
	}
	return left, nil
}

// events streams the output of a task, from what Last-Event-ID names on.
func (g *Gateway) events(w http.ResponseWriter, r *http.Request) {
	id := bus.TaskID(r.PathValue("id"))
	attempt, from, err := lastEvent(r)
	if err = cmp.Or(err, id.Validate()); err != nil {
		g.failNative(w, r, err)
		return
	}
	if r.Header.Get("Last-Event-ID") == lastID {
		w.WriteHeader(http.StatusNoContent) // and a browser stays away
		return
	}
	out := newEvents(w, "")
	defer out.end()
	g.follow(r, out, id, attempt, from)
}

// follow streams the output of a task from chunk from of an attempt on.
func (g *Gateway) follow(r *http.Request, out *stream, id bus.TaskID, attempt, from int) {
	defer g.held.read(id)()
	info, err := g.cfg.Swarm.Attach(r.Context(), id, attempt, from, func(c bus.Chunk) error { return out.chunk(id, c) })
	g.endEvents(r, out, id, info, err)
}

// endEvents tells the end of a task, or why there is none.
func (g *Gateway) endEvents(r *http.Request, out *stream, id bus.TaskID, info bus.TaskInfo, err error) {
	if err == nil {
		err = g.whole(r, &info, false)
	}
	switch {
	case err != nil && !out.begun:
		g.failNative(out.w, r, err)
		return
	case err != nil:
		err = out.numbered("", "error", bus.AsError(err))
	default:
		if err = out.opens(id); err == nil {
			err = out.numbered(lastID, "end", info)
		}
	}
	if err != nil {
		g.cfg.Logger.Debug("write a reply", "err", err) // the client left
	}
}

// firstAttempt is where who has nothing of an output begins: so it gets what is kept of a task that has
// ended, too.
const firstAttempt = 1

// lastEvent reads which chunk is due: the one after that of Last-Event-ID.
func lastEvent(r *http.Request) (attempt, from int, err error) {
	last := r.Header.Get("Last-Event-ID")
	if last == "" || last == lastID {
		return firstAttempt, 0, nil
	}
	a, s, _ := strings.Cut(last, ".")
	attempt, err1 := strconv.Atoi(a)
	seq, err2 := strconv.Atoi(s)
	if err := cmp.Or(err1, err2); err != nil || attempt < 1 || seq < 0 {
		return 0, 0, bus.Errorf(bus.CodeInvalid, "Last-Event-ID %q: want ATTEMPT.CHUNK, as in the id of an event", last)
	}
	return attempt, seq + 1, nil
}

// flag reads a switch of a request.
func flag(r *http.Request, name string) (bool, error) {
	switch v := r.URL.Query().Get(name); v {
	case "1", "true":
		return true, nil
	case "", "0", "false":
		return false, nil
	default:
		return false, bus.Errorf(bus.CodeInvalid, "%s=%q: want 0 or 1", name, v)
	}
}

// opens begins the events of a task with its id, once.
func (s *stream) opens(id bus.TaskID) error {
	if s.begun {
		return nil
	}
	s.begin("", false)
	return s.numbered("", "task", map[string]bus.TaskID{"task_id": id})
}

// chunk writes one chunk of a task's output.
func (s *stream) chunk(id bus.TaskID, c bus.Chunk) error {
	if err := s.opens(id); err != nil {
		return err
	}
	return s.numbered(fmt.Sprintf("%d.%d", c.Attempt, c.Seq), "output", c)
}

// numbered writes one event, with an id unless that is empty.
func (s *stream) numbered(id, name string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return bus.Errorf(bus.CodeInternal, "encode an event: %w", err)
	}
	head := "event: " + name + "\n"
	if id != "" {
		head = "id: " + id + "\n" + head
	}
	return s.write(head + "data: " + string(data) + "\n\n")
}
