//go:build e2e && linux

package e2e_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/bus/fabric/fabrictest"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
	"github.com/mycoswarm/mycoswarm/handlers"
	"github.com/mycoswarm/mycoswarm/sched"
	"github.com/mycoswarm/mycoswarm/sched/jet"
)

// insider returns a function that runs one attached ping task where submitter, queue host and
// worker, with their servers, are this process: a swarm of one, wired as the daemon wires it.
func insider(ctx context.Context, t *testing.T) func() error {
	t.Helper()
	key := fabrictest.NewKey(t)
	servers := fabrictest.Start(t, key, fabrictest.NewRoster(key))
	onStore, err := servers.Store.Conn("e2e")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(onStore.Close)
	log := slog.New(slog.DiscardHandler)
	j, err := jet.New(jet.Config{
		Node: key.ID, Fabric: servers.Conn(t), Store: onStore, Dir: t.TempDir(),
		Domain: func(id bus.NodeID) string { return string(id) },
		Routes: func() map[bus.NodeID]bool { return nil },
		Logger: log,
	})
	if err == nil {
		err = j.Start(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	n := sched.New(sched.Config{
		ID: key.ID, Log: log,
		Alone: func() bool { return true },
		Info:  func() bus.NodeInfo { return bus.NodeInfo{ID: key.ID, Name: "inside"} },
		Load:  func() sched.Load { return sched.Load{} },
	}, j.Effects())
	if _, err := n.Handle(ctx, handlers.NewPing(key.ID, "inside", nil)); err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(running) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("the scheduler ended: %v", err)
		}
	})
	harness.Poll(t, harness.Patience, "the node hosts the queues", func() string {
		if _, ok := n.Host(); !ok {
			return "no host"
		}
		return ""
	})
	return func() error {
		out, _, err := n.Submit(bus.Task{Type: bus.TypePing, Payload: pingPayload})
		if err != nil {
			return err
		}
		for {
			chunk, err := out.Next(ctx)
			switch {
			case errors.Is(err, io.EOF):
				return nil
			case err != nil:
				return err
			case chunk.End != nil && chunk.End.Error != nil:
				return chunk.End.Error
			}
		}
	}
}
