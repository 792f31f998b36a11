package daemon

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

const (
	defaultModelEvery = time.Second
	// defaultModelPatience is how long no node has to have the default model before it is told: at a
	// start, and while a node starts anew, others are not heard yet.
	defaultModelPatience = 5 * time.Second
)

// missingModel tells that no node that is there has the default model; nil where one has it, or none is named.
func missingModel(nodes []bus.NodeInfo, model string) *bus.MissingModel {
	if model == "" || slices.ContainsFunc(nodes, func(n bus.NodeInfo) bool {
		return n.State.Live() && slices.ContainsFunc(n.Models, func(m bus.ModelInfo) bool { return bus.SameModel(m.Name, model) })
	}) {
		return nil
	}
	return &bus.MissingModel{Model: model, Pull: bus.PullCommand(nodes, model, "")}
}

// startDefaultModel has the log tell when no node has the default model, and when one has it again.
func (d *Daemon) startDefaultModel(ctx context.Context, up *lifeline) {
	if d.cfg.DefaultModel == "" {
		return
	}
	w := defaultModelWatch{log: d.log}
	up.run(ctx, "watch the default model", func(ctx context.Context) error {
		tick := time.NewTicker(defaultModelEvery)
		defer tick.Stop()
		for now := time.Now(); ; {
			w.look(missingModel(d.nodes(), d.cfg.DefaultModel), now)
			select {
			case <-ctx.Done():
				return nil
			case now = <-tick.C:
			}
		}
	})
}

// defaultModelWatch tells news of the default model, once each.
type defaultModelWatch struct {
	log   *slog.Logger
	since time.Time // when it was first missed; zero while a node has it
	told  bool
}

// look takes in that the default model is missing at now, or with nil that it is not.
func (w *defaultModelWatch) look(missing *bus.MissingModel, now time.Time) {
	switch {
	case missing == nil && w.told:
		w.log.Info("a node has the default model again")
		fallthrough
	case missing == nil:
		w.since, w.told = time.Time{}, false
	case w.since.IsZero():
		w.since = now
	case !w.told && now.Sub(w.since) >= defaultModelPatience:
		w.told = true
		w.log.Warn("no node has the default model: questions that name none go to another, if there is one", "model", missing.Model, "try", missing.Pull)
	}
}
