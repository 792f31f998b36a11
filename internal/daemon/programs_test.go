package daemon_test

import (
	"context"
	"errors"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

const pieces = 60000

// flood tells more, and faster, than anybody reads.
type flood struct{}

func (flood) Capability(context.Context) (bus.Capability, error) {
	return bus.Capability{Type: "flood", Slots: 1}, nil
}

func (flood) Handle(_ context.Context, _ *bus.Task, emit bus.Emit) (any, error) {
	for i := range pieces {
		if err := emit(i); err != nil {
			return nil, err
		}
	}
	return pieces, nil
}

// greedy offers more than a node can hold.
type greedy struct{ flood }

func (greedy) Capability(context.Context) (bus.Capability, error) {
	return bus.Capability{Type: "greedy", Slots: 1 << 30}, nil
}

func TestGreedyProgramIsRefused(t *testing.T) {
	t.Parallel()
	n := start(t, "a")
	if err := n.conn.Serve(n.ctx(), greedy{}); !errors.Is(err, &bus.Error{Code: bus.CodeInvalid}) {
		t.Errorf("a billion slots: %v, want CodeInvalid", err)
	}
}

// A program that talks fast loses nothing of what it says, the end least of all.
func TestProgramThatTalksFast(t *testing.T) {
	t.Parallel()
	n := start(t, "a")
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- n.conn.Serve(ctx, flood{}) }()
	heard := 0
	for chunk, err := range n.conn.Submit(n.ctx(), bus.Task{Type: "flood"}) {
		check(t, err)
		if chunk.End == nil {
			heard++
		}
	}
	stop()
	check(t, <-served)
	if heard != pieces {
		t.Errorf("%d pieces came of %d", heard, pieces)
	}
}
