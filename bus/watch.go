package bus

import (
	"cmp"
	"context"
	"errors"
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

// validate refuses what no event can have. As a part of a subject it would have the server cut the connection, and all
// that goes by it.
func (f EventFilter) validate() error {
	if f.Submitter != "" {
		if err := f.Submitter.Validate(); err != nil {
			return err
		}
	}
	if f.Task != "" {
		if err := f.Task.Validate(); err != nil {
			return err
		}
	}
	if f.Kind != "" && !validName(string(f.Kind), 32) {
		return Errorf(CodeInvalid, "kind of event %q: want one such as %q", f.Kind, EventDone)
	}
	return nil
}

// subject returns the subject that the events of f come on.
func (f EventFilter) subject() string {
	return SubjectEvent(cmp.Or(f.Submitter, "*"), cmp.Or(f.Task, "*"), cmp.Or(f.Kind, "*"))
}

// Watch returns what happens to the tasks of the swarm from now on, until the loop is broken or
// ctx ends. Events are told once, to whoever listens: what a reader misses is not told again.
// Each node tells in order what it does; what two nodes tell may cross, so a task that is short may be done at
// one before it is heard that another has queued it.
// The error has CodeInvalid for a filter that no event can match, and CodeUnavailable when the daemon went away.
func (c *Conn) Watch(ctx context.Context, f EventFilter) iter.Seq2[Event, error] {
	if err := f.validate(); err != nil {
		return func(yield func(Event, error) bool) { yield(Event{}, err) }
	}
	return watch(c, ctx, f.subject(), event)
}

// WatchHeartbeats returns the heartbeats of all nodes from now on, until the loop is broken or ctx
// ends. Errors are those of Watch.
func (c *Conn) WatchHeartbeats(ctx context.Context) iter.Seq2[Heartbeat, error] {
	return watch(c, ctx, SubjectHeartbeats, func(m *nats.Msg) (h Heartbeat, ok bool) {
		err := Unmarshal(m.Data, &h)
		return h, err == nil && m.Subject == SubjectHeartbeat(h.Node)
	})
}

// watch returns what read makes of the messages on subject.
func watch[T any](c *Conn, ctx context.Context, subject string, read func(*nats.Msg) (T, bool)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		ctx, cancel := c.bound(ctx)
		defer cancel(nil)
		nc, err := c.link(ctx)
		if err != nil {
			yield(none, err)
			return
		}
		sub, err := nc.SubscribeSync(subject)
		if err != nil {
			yield(none, c.requestError(ctx, err))
			return
		}
		defer c.leave(sub)
		if err := c.flush(ctx); err != nil {
			yield(none, err)
			return
		}
		for {
			m, err := sub.NextMsgWithContext(ctx)
			if errors.Is(err, nats.ErrSlowConsumer) {
				continue // some were dropped: they are not told again
			}
			if err != nil {
				yield(none, c.requestError(ctx, err))
				return
			}
			if e, ok := read(m); ok && !yield(e, nil) {
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
