package bus

import (
	"cmp"
	"context"
	"iter"
	"strings"

	"github.com/nats-io/nats.go"
)

// EventFilter chooses events; an empty field matches all.
type EventFilter struct {
	Submitter NodeID
	Task      TaskID
	Kind      EventKind
}

// subject returns the subject that the events of f come on.
func (f EventFilter) subject() string {
	return SubjectEvent(cmp.Or(f.Submitter, "*"), cmp.Or(f.Task, "*"), cmp.Or(f.Kind, "*"))
}

// Watch returns what happens to the tasks of the swarm from now on, until the loop is broken or
// ctx ends. Events are told once, to whoever listens: what a reader misses is not told again.
// The error has CodeUnavailable when the daemon went away.
func (c *Conn) Watch(ctx context.Context, f EventFilter) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		ctx, cancel := c.bound(ctx)
		defer cancel(nil)
		sub, err := c.nc.SubscribeSync(f.subject())
		if err != nil {
			yield(Event{}, gone(err))
			return
		}
		defer func() {
			if err := sub.Unsubscribe(); err != nil {
				c.log.Debug("stop watching events", "error", err)
			}
		}()
		if err := c.flush(ctx); err != nil {
			yield(Event{}, err)
			return
		}
		for {
			m, err := sub.NextMsgWithContext(ctx)
			if err != nil {
				yield(Event{}, c.requestError(ctx, err))
				return
			}
			if e, ok := event(m); ok && !yield(e, nil) {
				return
			}
		}
	}
}

// event decodes a message; cancels, which come on the same subjects, are none.
func event(m *nats.Msg) (Event, bool) {
	var e Event
	if err := Unmarshal(m.Data, &e); err != nil || e.Kind == "" || e.Task == "" {
		return e, false
	}
	return e, strings.HasSuffix(m.Subject, "."+string(e.Task)+"."+string(e.Kind))
}
