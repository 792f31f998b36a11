package daemon_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

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

// wordy offers models of which every node is told.
type wordy struct {
	flood
	typ string
}

func (w wordy) Capability(context.Context) (bus.Capability, error) {
	models := make([]bus.ModelInfo, 512)
	for i := range models {
		models[i].Name = fmt.Sprint(i, strings.Repeat("x", 200))
	}
	return bus.Capability{Type: w.typ, Slots: 1, Models: models}, nil
}

func TestGreedyProgramIsRefused(t *testing.T) {
	t.Parallel()
	n := start(t, "a")
	if err := n.conn.Serve(n.ctx(), greedy{}); !errors.Is(err, &bus.Error{Code: bus.CodeInvalid}) {
		t.Errorf("a billion slots: %v, want CodeInvalid", err)
	}
	if err := n.conn.Serve(n.ctx(), wordy{typ: "one"}, wordy{typ: "two"}, wordy{typ: "three"}); !errors.Is(err, &bus.Error{Code: bus.CodeTooLarge}) {
		t.Errorf("more than a heartbeat takes: %v, want CodeTooLarge", err)
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

// named answers with a name.
type named struct{}

func (named) Capability(context.Context) (bus.Capability, error) {
	return bus.Capability{Type: "named", Slots: 1}, nil
}

func (named) Handle(context.Context, *bus.Task, bus.Emit) (any, error) { return "lives", nil }

// A program that is stopped listens, and says nothing: tasks go to another.
func TestStoppedProgramGetsNoTasks(t *testing.T) {
	t.Parallel()
	n := start(t, "a")
	nc := raw(t, n)
	offer, err := json.Marshal(bus.ServeRequest{Capability: bus.Capability{Type: "named", Slots: 8}, Program: "stopped"})
	check(t, err)
	m, err := nc.RequestWithContext(n.ctx(), bus.SubjectPayloadRPC(n.conn.NodeID(), bus.VerbServe), offer)
	check(t, err)
	var where bus.ServeReply
	check(t, json.Unmarshal(m.Data, &where))
	_, err = nc.Subscribe(where.Jobs, func(*nats.Msg) { t.Error("the stopped program got a task") })
	check(t, err)
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- n.conn.Serve(ctx, named{}) }()
	// slots waits until the node has that many.
	slots := func(want int) {
		t.Helper()
		for nodes, err := range n.conn.WatchNodes(n.ctx()) {
			check(t, err)
			if nodes[0].Slots == want {
				return
			}
		}
	}
	slots(9)
	slots(1)
	for chunk, err := range n.conn.Submit(n.ctx(), bus.Task{Type: "named"}) {
		check(t, err)
		if chunk.End != nil && string(chunk.End.Result) != `"lives"` {
			t.Errorf("the answer is %s, want that of the program that lives", chunk.End.Result)
		}
	}
	stop()
	check(t, <-served)
}
