package bus_test

import (
	"context"
	"errors"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Contexts of signal.NotifyContext and of an errgroup end with a cause of their own. It is no fault of the swarm.
func TestAContextWithItsOwnCause(t *testing.T) {
	t.Parallel()
	d, c := setup(t)
	why := errors.New("interrupt signal received")
	submits(d, text(1, 0, "a"))
	for name, call := range map[string]func(context.Context) error{
		"dial": func(ctx context.Context) error {
			_, err := bus.Dial(ctx, bus.WithDataDir(d.dir))
			return err
		},
		"a call":     func(ctx context.Context) error { _, err := c.Ping(ctx); return err },
		"a stream":   func(ctx context.Context) error { _, err := c.Start(ctx, bus.Task{Type: "ping"}); return err },
		"the events": func(ctx context.Context) error { return firstOf(c.Watch(ctx, bus.EventFilter{})) },
		"the nodes":  func(ctx context.Context) error { return firstOf(c.WatchNodes(ctx)) },
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(why)
		err := call(ctx)
		if !errors.Is(err, &bus.Error{Code: bus.CodeCancelled}) || !errors.Is(err, context.Canceled) || !errors.Is(err, why) {
			t.Errorf("%s: %v with code %q, want one that is cancelled, and for its cause", name, err, codeOf(err))
		}
		ctx, over := context.WithTimeoutCause(t.Context(), 0, why)
		err = call(ctx)
		over()
		if !errors.Is(err, &bus.Error{Code: bus.CodeTimeout}) || !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, why) {
			t.Errorf("%s: %v with code %q, want a timeout, and for its cause", name, err, codeOf(err))
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	var last error
	for _, err := range c.Submit(ctx, bus.Task{ID: "t1", Type: "ping"}) {
		last = err
		cancel(bus.Errorf(bus.CodeExpired, "too late"))
	}
	wantCode(t, last, bus.CodeExpired) // an Error says its code itself
}

func firstOf[T any](seq func(func(T, error) bool)) error {
	for _, err := range seq {
		return err
	}
	return nil
}
