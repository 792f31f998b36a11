package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/engine"
	"github.com/mycoswarm/mycoswarm/sched"
)

// withoutDaemon tells that this machine's own engine is asked where err says that no daemon answers, and reports
// whether it does.
func (a *app) withoutDaemon(err error) bool {
	switch {
	case errors.Is(err, &bus.Error{Code: bus.CodeUnavailable}):
		a.hint("No daemon is running (mycod starts one): asking the engine of this machine directly.")
	case errors.Is(err, &bus.Error{Code: bus.CodeTimeout}):
		a.hint("The daemon of this machine is there and does not answer (myco doctor): asking the engine of this machine directly.")
	default:
		return false
	}
	return true
}

// askLocally answers on an engine of this machine, without a daemon.
func (a *app) askLocally(ctx context.Context, t bus.Task, req bus.InferenceRequest, c *askCmd) (err error) {
	ctx, cancel := inTime(ctx, t.Timeout, 0, "answer")
	defer cancel()
	if t.Model, err = modelFor(ctx, localAsker{}, t, req); err != nil {
		return err
	}
	p := a.printer(c.Stream, func() []bus.NodeInfo { return []bus.NodeInfo{here(nil)} })
	p.held = c.Whole
	info, err := localAsker{}.ask(ctx, t, req, p.chunk, nil)
	if err != nil {
		p.newline()
		return err
	}
	return p.end(&info)
}

// localAsker asks the engines of this machine, without a daemon. The model is chosen by the same rule as in a swarm.
type localAsker struct{}

func (localAsker) ask(ctx context.Context, t bus.Task, req bus.InferenceRequest, on func(bus.Chunk), _ func(string)) (bus.TaskInfo, error) {
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

func (localAsker) nodes(ctx context.Context) ([]bus.NodeInfo, error) {
	engines, _, err := engine.Find(ctx, engine.Config{})
	return []bus.NodeInfo{here(engines.Models())}, err
}

func (l localAsker) status(ctx context.Context) (bus.Status, error) {
	nodes, err := l.nodes(ctx)
	return bus.Status{Nodes: nodes}, err
}

// here describes this machine as a node that runs inference.
func here(models []bus.ModelInfo) bus.NodeInfo {
	name, err := os.Hostname()
	if err != nil {
		name = "localhost"
	}
	return bus.NodeInfo{Name: name, State: bus.NodeReady, Types: []string{bus.TypeInference}, Models: models, Slots: 1, Wire: bus.ThisWire()}
}
