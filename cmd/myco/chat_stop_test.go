package main

import (
	"context"
	"io"
	"os"
	"strings"
	"testing"
	"time"

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

// failingAsker is a daemon that fails so in the middle of an answer.
type failingAsker struct {
	asker
	err error
}

func (f failingAsker) nodes(context.Context) ([]bus.NodeInfo, error) { return nil, nil }

func (f failingAsker) ask(context.Context, bus.Task, bus.InferenceRequest, func(bus.Chunk), func(string)) (bus.TaskInfo, error) {
	return bus.TaskInfo{}, f.err
}

// Where a question has failed that may do another time the user is told how to ask it again, once.
func TestChatTellsOfRetry(t *testing.T) {
	t.Parallel()
	for code, want := range map[bus.Code]int{
		bus.CodeUnavailable: 1, bus.CodeTimeout: 1, bus.CodeNoWorker: 1, bus.CodeDead: 1, bus.CodeFailed: 1, bus.CodeInvalid: 0, bus.CodeTooLarge: 0,
	} {
		var errs strings.Builder
		ch := &chat{app: &app{view: newView(io.Discard, nil, false), now: time.Now}, asker: failingAsker{err: bus.Errorf(code, "it broke").WithHint("mycod")}, notes: &errs, s: &session{}}
		ch.told(ch.turn(t.Context(), "Why?"))
		ch.told(ch.command(t.Context(), chatLine{verb: "/model", arg: "x", set: true})) // which fails as well, and is no question
		if got := strings.Count(errs.String(), "/retry asks it again"); got != want {
			t.Errorf("%s: told %d times, want %d: %s", code, got, want, errs.String())
		}
	}
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
