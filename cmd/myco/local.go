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

// askLocally answers on an engine of this machine, without a daemon. The model is chosen by the
// same rule as in a swarm.
func (a *app) askLocally(ctx context.Context, t bus.Task, req bus.InferenceRequest, c *askCmd) error {
	ctx, cancel := inTime(ctx, t.Timeout, 0, "answer")
	defer cancel()
	engines, _, err := engine.Find(ctx, engine.Config{})
	if err != nil {
		return err
	}
	t = t.WithDefaults(bus.Interactive)
	self := []bus.NodeInfo{here(engines.Models())}
	if t.Model, err = modelFor(bus.Status{Nodes: self}, t, req); err != nil {
		return err
	}
	placed, err := sched.Place(t, self, "", "", false)
	if err != nil {
		return err
	}
	p := a.printer(c.Stream)
	p.held = c.Whole
	info := bus.TaskInfo{State: bus.StateDone, Attempts: 1}
	seq := 0
	result, err := engines.Generate(ctx, placed.Task.Model, req, func(piece bus.InferenceChunk) error {
		data, err := json.Marshal(piece)
		if err != nil {
			return fmt.Errorf("encode a piece of the answer: %w", err)
		}
		p.chunk(bus.Chunk{Attempt: 1, Seq: seq, Data: data})
		seq++
		return nil
	})
	if err != nil {
		p.newline()
		return err
	}
	if info.Result, err = json.Marshal(result); err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	return p.end(&info, func() []bus.NodeInfo { return []bus.NodeInfo{here(nil)} })
}

// here describes this machine as a node that runs inference.
func here(models []bus.ModelInfo) bus.NodeInfo {
	name, err := os.Hostname()
	if err != nil {
		name = "localhost"
	}
	return bus.NodeInfo{Name: name, State: bus.NodeReady, Types: []string{bus.TypeInference}, Models: models, Slots: 1}
}
