package handlers

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Limits of the watchdog. An engine that says nothing for longer hangs.
const (
	// promptTime is for reading a prompt, and for waiting behind other requests that
	// the engine has.
	promptTime = 2 * time.Minute
	// promptRate adds to it for long prompts, in bytes a second: a slow CPU.
	promptRate = 100
	// loadTime is for starting to load a model.
	loadTime = 2 * time.Minute
	// loadRate adds to it for large models, in bytes a second: a slow disk.
	loadRate = 50 << 20
	// tokenTime is between two pieces of an answer.
	tokenTime = 30 * time.Second
)

// Limits are how long an engine may say nothing before its task goes to another node.
type Limits struct {
	// First is the time to the first piece of an answer, whatever the prompt and whether the
	// model must be loaded. Default: 2 min, 2 more where it must, and more for long prompts and
	// large models.
	First time.Duration
	// Token is the time from one piece to the next. Default 30 s. It is at least First where the model
	// may call tools, and its engine says nothing while the model writes such a call.
	Token time.Duration
}

// first returns how long an engine may take to the first piece of an answer of m to a prompt of so many bytes, and
// whether it loads m before.
func (l Limits) first(m bus.ModelInfo, promptSize int) (limit time.Duration, loads bool) {
	limit = promptTime + time.Duration(promptSize/promptRate)*time.Second
	if loads = m.Name != "" && !m.Loaded; loads {
		limit += loadTime + time.Duration(m.SizeBytes/loadRate)*time.Second
	}
	return cmp.Or(l.First, limit), loads
}

// between returns how long an engine may take from one piece of an answer to the next, where first is
// the time for the first one. Ollama says nothing while a model writes a call of a tool, which may be a
// whole file.
func (l Limits) between(m bus.ModelInfo, req bus.InferenceRequest, first time.Duration) time.Duration {
	limit := cmp.Or(l.Token, tokenTime)
	if len(req.Tools) > 0 && m.Engine == "ollama" {
		return max(limit, first)
	}
	return limit
}

// withModels is what a node can do of a type by the models that it has: there are no slots as long as there is none.
func withModels(typ string, models []bus.ModelInfo, slots int) bus.Capability {
	if len(models) == 0 {
		slots = 0
	}
	return bus.Capability{Type: typ, Models: models, Slots: slots}
}

// called is that of models which name means; zero where none is.
func called(name string, models []bus.ModelInfo) (m bus.ModelInfo) {
	if i := slices.IndexFunc(models, func(m bus.ModelInfo) bool { return bus.SameModel(m.Name, name) }); i >= 0 {
		m = models[i]
	}
	return m
}

// why is the error of a task for which an engine has failed with err: why the task ended before, where it did.
func why(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
