package engine

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Outcome is how a run ended, as its engine saw it.
type Outcome string

// The outcomes of a run. Running is the zero value.
const (
	Running  Outcome = ""
	Finished Outcome = "finished" // the last line was written
	Left     Outcome = "left"     // the caller hung up
	Broken   Outcome = "broken"   // the script broke it
)

// Run is one generation that an engine began.
type Run struct {
	Engine  string
	Marker  string // which task it was, from the prompt; empty where the prompt names none
	Start   time.Time
	End     time.Time // zero while Running
	Outcome Outcome
	// Words is how many the engine made: its tokens.
	Words int
}

// Ledger is the truth about what ran, kept outside the product: one line for each generation
// that any engine began. The zero value is ready to use.
type Ledger struct {
	mu      sync.Mutex
	runs    []Run
	changed chan struct{} // closed at the next change
}

func (l *Ledger) begin(engine, marker string, now time.Time) (id int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.runs = append(l.runs, Run{Engine: engine, Marker: marker, Start: now})
	l.signal()
	return len(l.runs) - 1
}

func (l *Ledger) word(id int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.runs[id].Words++
	l.signal()
}

func (l *Ledger) end(id int, o Outcome, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.runs[id].End, l.runs[id].Outcome = now, o
	l.signal()
}

func (l *Ledger) signal() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// Runs returns every run so far, in the order in which they began.
func (l *Ledger) Runs() []Run {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.runs)
}

// ByMarker returns every run so far by the task that it ran.
func (l *Ledger) ByMarker() map[string][]Run {
	by := map[string][]Run{}
	for _, r := range l.Runs() {
		by[r.Marker] = append(by[r.Marker], r)
	}
	return by
}

// Wait returns the runs once done says so of them, or the cause of ctx's end. done is called
// after every change, and must not call the ledger.
func (l *Ledger) Wait(ctx context.Context, done func([]Run) bool) ([]Run, error) {
	for {
		l.mu.Lock()
		runs := slices.Clone(l.runs)
		if l.changed == nil {
			l.changed = make(chan struct{})
		}
		changed := l.changed
		l.mu.Unlock()
		if done(runs) {
			return runs, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return runs, context.Cause(ctx)
		}
	}
}

// Count tells how many runs match.
func Count(runs []Run, match func(Run) bool) int {
	n := 0
	for _, r := range runs {
		if match(r) {
			n++
		}
	}
	return n
}
