package sched_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
	"github.com/mycoswarm/mycoswarm/sched/internal/sim"
)

// script is the payload of a simulated task: what its handler does.
type script struct {
	MS     int    `json:"ms"`               // how long it takes
	Chunks int    `json:"chunks,omitempty"` // output, evenly over that time
	Poison bool   `json:"poison,omitempty"` // kills its process halfway
	Fail   bool   `json:"fail,omitempty"`
	Retry  string `json:"retry,omitempty"` // the node that gives it back
	Few    bool   `json:"few,omitempty"`   // with Retry: its engine has failed at it
	First  bool   `json:"first,omitempty"` // the node that runs it first gives it back
	Hang   string `json:"hang,omitempty"`  // the node whose engine hangs
	Slow   bool   `json:"slow,omitempty"`  // to return then
	Late   bool   `json:"late,omitempty"`  // after its first output
	Anew   bool   `json:"anew,omitempty"`  // its handler cannot continue

	Session string `json:"session,omitempty"` // the conversation whose turn it is

	Pad  string `json:"pad,omitempty"`  // makes it too large for a message
	Wide bool   `json:"wide,omitempty"` // its result is as large
	Fat  int    `json:"fat,omitempty"`  // bytes in each piece of its output
}

// result is what run n returns.
func (s script) result(n int) output {
	o := output{Run: n, I: s.Chunks}
	if s.Wide {
		o.Pad = s.Pad
	}
	return o
}

// everywhere stands for each node in Retry and Hang.
const everywhere = "*"

// output is a chunk, and the result.
type output struct {
	Run int    `json:"run"`
	I   int    `json:"i"`
	Pad string `json:"pad,omitempty"`
}

// run is one execution of a handler, as the handler itself noted it.
type run struct {
	task         bus.TaskID
	node         bus.NodeID
	start        int // of the node's process
	n            int // the how manieth of all
	began, ended time.Time
	how          string                    // "" while it runs
	frozen       bool                      // its process was, while it ran
	goesOn       bool                      // with the output of another: its result is the whole of both
	heard        map[bus.NodeID]sched.Peer // by its process until it began
}

// ledger is kept outside the product: what was run, by whom and when.
type ledger struct {
	mu   sync.Mutex
	runs []*run
	died []bus.TaskID // of attempts whose process died between its journal and the handler
}

func (l *ledger) dies(id bus.TaskID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.died = append(l.died, id)
}

// diedOf is how often a process died as it was about to run a task: crashes that are no runs.
func (l *ledger) diedOf(id bus.TaskID) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.died {
		if d == id {
			n++
		}
	}
	return n
}

func (l *ledger) begin(r *run) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.n, r.began = len(l.runs)+1, time.Now()
	l.runs = append(l.runs, r)
}

func (l *ledger) end(r *run, how string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.ended, r.how = time.Now(), how
}

// of returns copies of a task's runs, oldest first.
func (l *ledger) of(id bus.TaskID) (out []run) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.runs {
		if r.task == id {
			out = append(out, *r)
		}
	}
	return out
}

func (l *ledger) freeze(r *run) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.frozen = true
}

func (l *ledger) goOn(r *run) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.goesOn = true
}

// goesOn reports whether run n of a task has gone on with the output of another. What it said itself may be
// lost, and its result is shown all the same.
func (l *ledger) goesOn(id bus.TaskID, n int) bool {
	for _, r := range l.of(id) {
		if r.n == n {
			return r.goesOn
		}
	}
	return false
}

// active counts the runs that have not ended.
func (l *ledger) active() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.runs {
		if r.how == "" {
			n++
		}
	}
	return n
}

var errScripted = errors.New("scripted failure")

// worker runs scripts on one process of a machine.
type worker struct {
	m     *sim.Machine
	life  context.Context //nolint:containedctx // the process's
	start int
	can   bus.Capability
	l     *ledger
	view  func() sched.View // nil for none
	// models are the present ones; nil where they are those of can.
	models func() []bus.ModelInfo
}

func (w *worker) Capability(context.Context) (bus.Capability, error) {
	c := w.can
	if w.models != nil {
		c.Models = w.models()
	}
	return c, nil
}

func (w *worker) Handle(ctx context.Context, t *bus.Task, emit bus.Emit) (any, error) {
	r := &run{task: t.ID, node: w.m.ID(), start: w.start}
	if !w.m.Gate(w.start) {
		w.l.dies(t.ID)
		return nil, context.Canceled
	}
	if w.view != nil {
		r.heard = w.view().Peers
	}
	w.l.begin(r)
	result, how, err := w.script(ctx, r, t, emit)
	if !w.m.Gate(w.start) {
		how = "killed"
	}
	w.l.end(r, how)
	return result, err
}

func (w *worker) script(ctx context.Context, r *run, t *bus.Task, emit bus.Emit) (any, string, error) {
	var s script
	if err := json.Unmarshal(t.Payload, &s); err != nil {
		return nil, "unreadable", err
	}
	if s.Hang == string(w.m.ID()) || s.Hang == everywhere {
		bus.SetPhase(ctx, "prefill", 2*time.Second)
		if s.Late { // in the middle of its answer
			bus.SetPhase(ctx, "output", 2*time.Second)
			if err := emit(output{Run: r.n}); err != nil {
				return nil, "stopped", err
			}
		}
		select {
		case <-ctx.Done():
			if s.Slow {
				time.Sleep(2 * time.Second)
			}
			if before := time.Now(); w.m.Gate(w.start) && time.Now().After(before) {
				w.l.freeze(r)
			}
			return nil, "stopped", context.Cause(ctx)
		case <-w.life.Done():
			return nil, "killed", context.Canceled
		}
	}
	step := time.Duration(s.MS) * time.Millisecond / time.Duration(s.Chunks+1)
	from, goesOn := s.shown(ctx)
	for i := from; i <= s.Chunks; i++ {
		tm := time.NewTimer(step)
		var err error
		select {
		case <-tm.C:
		case <-w.life.Done():
			tm.Stop()
			return nil, "killed", context.Canceled
		case <-ctx.Done():
			tm.Stop()
			err = context.Cause(ctx)
		}
		before := time.Now()
		if !w.m.Gate(w.start) {
			return nil, "killed", context.Canceled
		}
		if time.Now().After(before) {
			w.l.freeze(r)
		}
		if err != nil {
			return nil, "stopped", err
		}
		if s.Poison && i >= s.Chunks/2 {
			w.m.Kill()
			return nil, "killed", context.Canceled
		}
		if goesOn != nil {
			if err := goesOn(); err != nil {
				return nil, "stopped", err
			}
			goesOn = nil
			w.l.goOn(r)
		}
		if i < s.Chunks {
			if err := emit(output{Run: r.n, I: i, Pad: strings.Repeat("x", s.Fat)}); err != nil {
				return nil, "stopped", err
			}
		}
	}
	switch {
	case s.Fail:
		return nil, "failed", errScripted
	case s.First && w.l.of(t.ID)[0].node == w.m.ID():
		return nil, "gave back", bus.Retry(errScripted)
	case s.Retry != string(w.m.ID()) && s.Retry != everywhere:
	case s.Few:
		return nil, "engine failed", bus.RetryFew(errScripted)
	default:
		return nil, "gave back", bus.Retry(errScripted)
	}
	return s.result(r.n), "done", nil
}

// shown returns how many of a script's chunks were shown of an earlier attempt, and what tells that
// they are continued.
func (s script) shown(ctx context.Context) (n int, goesOn func() error) {
	if s.Anew {
		return 0, nil
	}
	before := bus.ShownOf(ctx)
	if before == nil {
		return 0, nil
	}
	for _, c := range before.Chunks {
		var o output
		if json.Unmarshal(c, &o) == nil && o.Run > 0 {
			n++
		}
	}
	return n, before.Continue
}
