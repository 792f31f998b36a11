package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers/confine"
)

const (
	// downFor is how long a plugin takes no tasks whose program ends again and again.
	downFor = 30 * time.Second
	// unstartedFor is how long one whose program does not start: whoever waits for its task hears soon, after three
	// attempts, that it is given up.
	unstartedFor = 5 * time.Second
	// maxCrashes is how many tasks in a row may end with their program, on this machine, before that is the
	// plugin's fault. One that is tried again counts once.
	maxCrashes = 3
)

// Config is what a Handler is told.
type Config struct {
	// Confiner is a program, with its arguments, that is confine.Main. Plugins that are not confined need it, too: it is
	// the guard of what they start.
	Confiner []string
	// Temp is a folder of the daemon's for what programs write: each process has one of its own in it. A daemon that
	// starts empties it with Clean.
	Temp string
	// Before is the handler whose place this one takes, if there is one, and which was told to Leave: the tasks that it
	// still has count against the slots.
	Before *Handler
	// Disk tells how many bytes are free where Temp is, and why that is too little where it is. Nil for no bound.
	Disk func() (free uint64, full error)
	// Stop is how long a program may take to end a task that was cancelled, and to read what it was told; and how long
	// what it has started may keep its output open once it has ended. Default 2 s.
	Stop time.Duration
	// Log gets what programs write to standard error.
	Log *slog.Logger
}

func (c Config) disk() (free uint64, full error) {
	if c.Disk == nil {
		return 0, nil
	}
	return c.Disk()
}

// Handler runs tasks of one type in the program of one plugin. The output of a task is what the program says,
// and so is its result.
type Handler struct {
	Found
	cfg Config

	mu      sync.Mutex
	idle    []*process
	all     map[*process]bool
	busy    int  // tasks
	leaving bool // no process gets another task
	closed  bool
	crashed map[bus.TaskID]bool // since one went well
	down    time.Time           // no tasks until then
	why     error
}

var _ bus.Handler = (*Handler)(nil)

// New returns a handler for a plugin. It starts nothing before the first task. The error is CodeUnavailable where
// the plugin wants to be confined and this machine cannot.
func New(f Found, c Config) (*Handler, error) {
	if f.Err != nil {
		return nil, f.Err
	}
	if err := confine.Supported(); err != nil && !f.Manifest.Unconfined {
		return nil, unsupported(err, filepath.Join(f.Dir, ManifestName))
	}
	c.Stop = cmp.Or(c.Stop, stopTime)
	return &Handler{Found: f, cfg: c, all: map[*process]bool{}, crashed: map[bus.TaskID]bool{}}, nil
}

// unsupported tells what helps where this machine cannot confine programs, and last what lets a plugin run all the same.
func unsupported(err error, manifest string) error {
	hint := "unconfined = true in " + manifest + " lets it do what mycod may"
	if lack, ok := errors.AsType[*confine.LackError](err); ok && lack.Help != "" {
		hint = lack.Help + "; or leave it to nodes on other machines; or " + hint
	}
	return bus.Errorf(bus.CodeUnavailable, "programs cannot be confined here: %w", err).WithHint("%s", hint)
}

// Capability implements bus.Handler.
func (h *Handler) Capability(context.Context) (bus.Capability, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := bus.Capability{Type: h.Manifest.Type, Slots: h.Manifest.Slots}
	if h.closed || h.leaving || time.Now().Before(h.down) {
		c.Slots = 0
	}
	if before := h.cfg.Before; before != nil {
		busy := before.tasks()
		if busy == 0 {
			h.cfg.Before = nil // it has no more
		}
		c.Slots = max(0, c.Slots-busy)
	}
	return c, nil
}

// tasks is how many it has, with those of whom it follows.
func (h *Handler) tasks() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cfg.Before == nil {
		return h.busy
	}
	return h.busy + h.cfg.Before.tasks()
}

// State tells how many processes there are, and, where it takes no tasks at present, why.
func (h *Handler) State() (processes int, why error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Now().Before(h.down) {
		why = h.why
	}
	return len(h.all), why
}

// Leave ends the processes that have no task at once, and each of the others with its task.
func (h *Handler) Leave() {
	h.mu.Lock()
	h.leaving = true
	idle := h.idle
	h.idle = nil
	h.mu.Unlock()
	for _, p := range idle {
		h.forget(p)
	}
}

// Close ends all processes, side by side: one whose children keep its output open takes Config.Stop.
func (h *Handler) Close() {
	h.mu.Lock()
	h.closed = true
	all := h.all
	h.all, h.idle = map[*process]bool{}, nil
	h.mu.Unlock()
	for p := range all {
		p.cancel()
	}
	for p := range all {
		p.end()
	}
}

// Handle implements bus.Handler. An error that the program tells has the code that it names: CodeFailed, CodeInvalid,
// CodeTooLarge, or CodeUnavailable, which gives the task to another node. With a program that does not start, or ends in
// the midst of a task, that is tried three times: on other nodes, where they have the plugin.
func (h *Handler) Handle(ctx context.Context, t *bus.Task, emit bus.Emit) (any, error) {
	bus.SetPhase(ctx, "plugin", time.Duration(h.Manifest.Silence))
	h.count(1)
	defer h.count(-1)
	p, err := h.take()
	if err != nil {
		return nil, h.unstarted(err)
	}
	res, err := p.run(ctx, t, emit)
	gone, crashed := errors.AsType[*goneError](err)
	h.release(p, t.ID, gone)
	switch {
	case crashed && gone.unbegun:
		return nil, h.unstarted(gone)
	case crashed:
		return nil, bus.RetryFew(bus.Errorf(bus.CodeFailed, "the plugin %s ended before its task: %w", h.Name, gone))
	}
	return res, err
}

func (h *Handler) count(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.busy += n
}

// take returns a process that waits, or a new one.
func (h *Handler) take() (*process, error) {
	h.mu.Lock()
	if n := len(h.idle); n > 0 {
		p := h.idle[n-1]
		h.idle = h.idle[:n-1]
		h.mu.Unlock()
		if p.fresh() {
			return p, nil
		}
		h.forget(p)
		return h.take()
	}
	h.mu.Unlock()
	p, err := h.start()
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	closed := h.closed
	if !closed {
		h.all[p] = true
	}
	h.mu.Unlock()
	if closed {
		p.end()
		return nil, errors.New("the daemon ends")
	}
	return p, nil
}

// release keeps the process of a task for the next one, or ends it. gone is how it ended, nil where it has not.
func (h *Handler) release(p *process, id bus.TaskID, gone *goneError) {
	if !h.keep(p, id, gone) {
		h.forget(p)
	}
}

// keep is release, for a process that goes on. One that does not it leaves to its caller.
func (h *Handler) keep(p *process, id bus.TaskID, gone *goneError) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case gone == nil:
		clear(h.crashed)
	case !gone.unbegun:
		h.crashed[id] = true
	}
	if len(h.crashed) >= maxCrashes {
		h.isDown(downFor, fmt.Errorf("it ended in the midst of %d tasks in a row: %w", maxCrashes, gone))
	}
	if p.spoilt || h.leaving || h.closed {
		return false
	}
	h.idle = append(h.idle, p)
	p.idleFor(time.Duration(h.Manifest.Keep), func() { h.retire(p) })
	return true
}

// retire ends a process that nobody needed.
func (h *Handler) retire(p *process) {
	h.mu.Lock()
	for i, q := range h.idle {
		if q == p {
			h.idle = append(h.idle[:i:i], h.idle[i+1:]...)
			h.mu.Unlock()
			h.forget(p)
			return
		}
	}
	h.mu.Unlock() // it has a task
}

// forget ends a process.
func (h *Handler) forget(p *process) {
	p.end()
	h.mu.Lock()
	delete(h.all, p)
	h.mu.Unlock()
}

// unstarted notes that the program does not start, and returns what becomes of the task.
func (h *Handler) unstarted(err error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return bus.Retry(bus.Errorf(bus.CodeUnavailable, "the daemon ends"))
	}
	if h.leaving {
		return bus.Retry(bus.Errorf(bus.CodeUnavailable, "the plugin %s was changed, or removed, as the task came", h.Name))
	}
	h.isDown(unstartedFor, fmt.Errorf("it does not start: %w", err))
	return bus.RetryFew(bus.Errorf(bus.CodeUnavailable, "the plugin %s does not start: %w", h.Name, err))
}

// isDown has it take no tasks for a while. The caller holds mu.
func (h *Handler) isDown(d time.Duration, why error) {
	clear(h.crashed)
	h.down, h.why = time.Now().Add(d), why
	h.cfg.Log.Warn("a plugin takes no tasks for a while", "plugin", h.Name, "for", d, "err", why)
}
