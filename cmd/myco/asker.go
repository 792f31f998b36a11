package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/engine"
	"github.com/mycoswarm/mycoswarm/sched"
)

// asker is who answers a conversation: the swarm, or the engines of this machine.
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
	look := func() { waits(waitsFor(ctx, w.conn, stream.Reply.ID)) }
	return toItsEnd(patient(stream.Chunks(), patience, look), on)
}

func (w swarmAsker) nodes(ctx context.Context) ([]bus.NodeInfo, error) {
	s, err := w.conn.Status(ctx)
	return s.Nodes, err
}

func (w swarmAsker) status(ctx context.Context) (bus.Status, error) { return w.conn.Status(ctx) }

// localAsker asks the engines of this machine, without a daemon.
type localAsker struct{}

func (l localAsker) ask(ctx context.Context, t bus.Task, req bus.InferenceRequest, on func(bus.Chunk), _ func(string)) (bus.TaskInfo, error) {
	info := bus.TaskInfo{Type: t.Type, State: bus.StateDone, Attempts: 1}
	engines, _, err := engine.Find(ctx, engine.Config{})
	if err != nil {
		return info, err
	}
	placed, err := sched.Place(t.WithDefaults(bus.Interactive), []bus.NodeInfo{here(engines.Models())}, "", "", false)
	if err != nil {
		return info, err
	}
	seq := 0
	result, err := engines.Generate(ctx, placed.Task.Model, req, func(piece bus.InferenceChunk) error {
		data, err := json.Marshal(piece)
		if err != nil {
			return fmt.Errorf("encode a piece of the answer: %w", err)
		}
		on(bus.Chunk{Attempt: 1, Seq: seq, Data: data})
		seq++
		return nil
	})
	if err != nil {
		return info, err
	}
	if info.Result, err = json.Marshal(result); err != nil {
		return info, fmt.Errorf("encode the answer: %w", err)
	}
	return info, nil
}

func (l localAsker) nodes(ctx context.Context) ([]bus.NodeInfo, error) {
	engines, _, err := engine.Find(ctx, engine.Config{})
	return []bus.NodeInfo{here(engines.Models())}, err
}

func (l localAsker) status(ctx context.Context) (bus.Status, error) {
	nodes, err := l.nodes(ctx)
	return bus.Status{Nodes: nodes}, err
}
