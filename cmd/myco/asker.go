package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/mycoswarm/mycoswarm/bus"
)

// asker is who answers questions: the swarm, or the engines of this machine.
type asker interface {
	// ask runs a task, hands each piece of its output to on, and tells how it ended. Each time that none
	// has come for a while, waits is told what for; that is empty where the task runs.
	ask(ctx context.Context, t bus.Task, req bus.InferenceRequest, on func(bus.Chunk), waits func(string)) (bus.TaskInfo, error)
	// nodes are who may answer.
	nodes(ctx context.Context) ([]bus.NodeInfo, error)
	// status is for /peers.
	status(ctx context.Context) (bus.Status, error)
}

// swarmAsker asks through the daemon.
type swarmAsker struct{ conn *bus.Conn }

func (w swarmAsker) ask(ctx context.Context, t bus.Task, req bus.InferenceRequest, on func(bus.Chunk), waits func(string)) (bus.TaskInfo, error) {
	payload, err := json.Marshal(req)
	if err != nil {
		return bus.TaskInfo{}, fmt.Errorf("encode the conversation: %w", err)
	}
	t.Payload = payload
	stream, err := w.conn.Start(ctx, t)
	if err != nil {
		return bus.TaskInfo{}, err
	}
	look := func() {
		why, _ := waitsFor(ctx, w.conn, stream.Reply.ID)
		waits(why)
	}
	return toItsEnd(patient(stream.Chunks(), patience, look), on)
}

func (w swarmAsker) nodes(ctx context.Context) ([]bus.NodeInfo, error) {
	s, err := w.conn.Status(ctx)
	return s.Nodes, err
}

func (w swarmAsker) status(ctx context.Context) (bus.Status, error) { return w.conn.Status(ctx) }
