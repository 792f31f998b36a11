package lab

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
)

// Entry is one task that was handed over: what its client asked for and what it was told.
type Entry struct {
	ID      bus.TaskID
	Durable bool
	// Node is the name of the node that it was handed to.
	Node string
	// Accepted is set once the daemon took it: a receipt, or the first reply of an attached task.
	Accepted bool
	// Copies is on how many disks a durable task was when it was accepted.
	Copies int
	// Err is what the client was told instead of an end.
	Err error
	// May are the ends that it may come to beside done: it was cancelled, has a deadline, ...
	May []bus.TaskState
	// Ends counts the ends that the client of an attached task read; State and Text are the last.
	Ends  int
	State bus.TaskState
	Text  string
	// From is when it was handed over; To when the client was told the last thing of it.
	From, To time.Time
}

// may reports whether a task may end in state s.
func (e Entry) may(s bus.TaskState) bool {
	return s == bus.StateDone || slices.Contains(e.May, s)
}

// Hurt is one thing that was done to a node.
type Hurt struct {
	Node string
	Act  Act
	// From and To are when it began and when it was over; equal where a process was killed.
	// To is zero while it lasts.
	From, To time.Time
}

// meets reports whether h overlaps the time from a to b.
func (h Hurt) meets(a, b time.Time) bool {
	return !h.From.After(b) && (h.To.IsZero() || !h.To.Before(a))
}

// Book is the driver's half of the ledger. The zero value is ready to use.
type Book struct {
	mu      sync.Mutex
	entries map[bus.TaskID]*Entry
	hurts   []Hurt
	events  map[bus.TaskID][]bus.Event // each once
	seen    map[string]bool
}

// Open notes a task that is about to be handed over.
func (b *Book) Open(e Entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.entries == nil {
		b.entries = map[bus.TaskID]*Entry{}
	}
	e.From = time.Now()
	b.entries[e.ID] = &e
}

// Note changes the entry of a task.
func (b *Book) Note(id bus.TaskID, change func(*Entry)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.entries[id]; e != nil {
		change(e)
		e.To = time.Now()
	}
}

// Entries returns every task, by id.
func (b *Book) Entries() []Entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]Entry, 0, len(b.entries))
	for _, e := range b.entries {
		out = append(out, *e)
	}
	slices.SortFunc(out, func(x, y Entry) int {
		if x.ID < y.ID {
			return -1
		}
		return 1
	})
	return out
}

// Hurt notes that something is done to a node, and returns how to note that it is over.
func (b *Book) Hurt(node string, act Act) (over func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	h := Hurt{Node: node, Act: act, From: now}
	if act == Kill {
		h.To = now
	}
	i := len(b.hurts)
	b.hurts = append(b.hurts, h)
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.hurts[i].To = time.Now()
	}
}

// Hurts returns everything that was done.
func (b *Book) Hurts() []Hurt {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.hurts)
}

// Event notes an event of a task. It may come more than once, from several observers.
func (b *Book) Event(e bus.Event) {
	key := string(e.Task) + " " + string(e.Kind) + " " + string(e.Node) + " " + e.At.String()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.seen == nil {
		b.seen, b.events = map[string]bool{}, map[bus.TaskID][]bus.Event{}
	}
	if !b.seen[key] {
		b.seen[key] = true
		b.events[e.Task] = append(b.events[e.Task], e)
	}
}

// Events tells how many events of a kind were heard, of one task, or of all where id is empty.
func (b *Book) Events(id bus.TaskID, k bus.EventKind) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for task, all := range b.events {
		if id != "" && task != id {
			continue
		}
		for _, e := range all {
			if e.Kind == k {
				n++
			}
		}
	}
	return n
}

// ended tells whether an end of a task was heard of. Where a cancel meets a commit each end may reach one disk: both are
// refused at the other, and all that is told is that the worker was superseded.
func (b *Book) ended(id bus.TaskID) bool {
	for _, k := range []bus.EventKind{bus.EventDone, bus.EventFailed, bus.EventCancelled, bus.EventExpired, bus.EventDead, bus.EventSuperseded} {
		if b.Events(id, k) > 0 {
			return true
		}
	}
	return false
}

const clock = "15:04:05.000"

// Story tells all that is known of a task in the order of time, and what was done to nodes then.
func (b *Book) Story(e Entry, runs []engine.Run) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	type line struct {
		at   time.Time
		what string
	}
	lines := []line{{e.From, fmt.Sprintf("handed to %s, durable: %v", e.Node, e.Durable)}}
	for _, v := range b.events[e.ID] {
		lines = append(lines, line{v.At, fmt.Sprintf("event %s at %s, attempt %d %s", v.Kind, v.Node, v.Attempt, v.Reason)})
	}
	for _, r := range runs {
		lines = append(lines, line{r.Start, "begins on engine " + r.Engine}, line{r.End, fmt.Sprintf("is %s on engine %s", r.Outcome, r.Engine)})
	}
	until := e.From
	for _, l := range lines {
		if l.at.After(until) {
			until = l.at
		}
	}
	for _, h := range b.hurts {
		if h.Node != "" && h.meets(e.From.Add(-2*time.Second), until.Add(time.Second)) {
			lines = append(lines, line{h.From, fmt.Sprintf("%s %s", h.Act, h.Node)})
			if h.To.After(h.From) {
				lines = append(lines, line{h.To, fmt.Sprintf("%s %s is over", h.Act, h.Node)})
			}
		}
	}
	slices.SortStableFunc(lines, func(x, y line) int { return x.at.Compare(y.at) })
	var s strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&s, "\n    %s %s", l.at.UTC().Format(clock), l.what)
	}
	return s.String()
}
