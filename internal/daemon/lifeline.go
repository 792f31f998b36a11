package daemon

import (
	"context"
	"fmt"
)

// lifeline holds what was started, and stops it in the reverse order.
type lifeline struct {
	fail context.CancelCauseFunc
	ends []func()
}

// later notes how to undo a step.
func (l *lifeline) later(end func()) { l.ends = append(l.ends, end) }

// run starts a part that runs until its context ends. One that ends before, with an error, ends
// the daemon.
func (l *lifeline) run(ctx context.Context, name string, part func(context.Context) error) {
	// A part outlives the context of the daemon: it is stopped in its turn.
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := part(ctx); err != nil && ctx.Err() == nil {
			l.fail(fmt.Errorf("%s: %w", name, err))
		}
	}()
	l.later(func() {
		stop()
		<-ended
	})
}

// stop ends everything, the last first.
func (l *lifeline) stop() {
	for len(l.ends) > 0 {
		end := l.ends[len(l.ends)-1]
		l.ends = l.ends[:len(l.ends)-1]
		end()
	}
}
