package main

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// hangingAsker is a daemon that says nothing more.
type hangingAsker struct {
	asker
	asked chan struct{}
}

func (h hangingAsker) nodes(ctx context.Context) ([]bus.NodeInfo, error) {
	h.asked <- struct{}{}
	<-ctx.Done()
	return nil, ctx.Err()
}

func (h hangingAsker) status(ctx context.Context) (bus.Status, error) {
	_, err := h.nodes(ctx)
	return bus.Status{}, err
}

// An interrupt ends a command too, and a question that has not gone out: a daemon may hang. Neither is an error.
func TestChatStopsWhatHangs(t *testing.T) {
	t.Parallel()
	var errs strings.Builder
	h := hangingAsker{asked: make(chan struct{})}
	ch := &chat{app: &app{}, asker: h, notes: &errs, s: &session{}, interrupts: make(chan os.Signal, 1)}
	go func() {
		for range h.asked {
			ch.interrupts <- os.Interrupt
		}
	}()
	defer close(h.asked)
	for name, do := range map[string]func(context.Context) error{
		"/peers":     func(ctx context.Context) error { return ch.command(ctx, chatLine{verb: "/peers"}) },
		"/model x":   func(ctx context.Context) error { return ch.command(ctx, chatLine{verb: "/model", arg: "x", set: true}) },
		"a question": func(ctx context.Context) error { return ch.turn(ctx, "Why?") },
		"/retry":     func(ctx context.Context) error { return ch.command(ctx, chatLine{verb: "/retry"}) },
	} {
		ch.s.Unanswered = "Why?"
		errs.Reset()
		if err := do(t.Context()); err != nil || !strings.HasSuffix(errs.String(), "-- stopped\x1b[m\n") {
			t.Errorf("%s: %v, told %q", name, err, errs.String())
		}
	}
	if ch.s.Unanswered != "Why?" {
		t.Errorf("the question is %q, want it kept", ch.s.Unanswered)
	}
}
