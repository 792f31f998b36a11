package handlers

import (
	"context"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

const (
	// pullSlots is how many models a node pulls at once, or deletes: they share its line and its disk.
	pullSlots = 2
	// pullPause is between two lines of progress: the engine says nothing while it checks what it has
	// loaded, which takes a slow disk minutes.
	pullPause = 20 * time.Minute
	// deleteTime is for deleting a model.
	deleteTime = 2 * time.Minute
)

// Puller is what pulls and deletes models on this machine at present.
type Puller interface {
	// Pulls reports whether there is an engine that can. It must not block.
	Pulls() bool
	// Pull has an engine pull a model, and hands its progress to emit; the result is its address.
	Pull(ctx context.Context, req bus.PullRequest, emit func(bus.PullProgress) error) (engine string, err error)
	// Delete removes a model from every engine that has it; the result is the address of the first.
	Delete(ctx context.Context, model string) (engine string, err error)
}

// Pull has an engine pull a model. The payload of a task is a bus.PullRequest, its output
// bus.PullProgress, its result a bus.ModelsReply.
type Pull struct{ engines Puller }

// Delete removes a model from the engines of this machine. The payload of a task is a
// bus.DeleteRequest, its result a bus.ModelsReply; there is no output.
type Delete struct{ engines Puller }

var _, _ bus.Handler = (*Pull)(nil), (*Delete)(nil)

// NewPull returns a handler that has engines pull.
func NewPull(engines Puller) *Pull { return &Pull{engines} }

// NewDelete returns a handler that has engines delete.
func NewDelete(engines Puller) *Delete { return &Delete{engines} }

// Capability implements bus.Handler.
func (h *Pull) Capability(context.Context) (bus.Capability, error) {
	return managing(bus.TypePull, h.engines), nil
}

// Capability implements bus.Handler.
func (h *Delete) Capability(context.Context) (bus.Capability, error) {
	return managing(bus.TypeDelete, h.engines), nil
}

func managing(typ string, p Puller) bus.Capability {
	c := bus.Capability{Type: typ}
	if p.Pulls() {
		c.Slots = pullSlots
	}
	return c
}

// Handle implements bus.Handler. Errors have CodeInvalid for a request that is none, or are those of the
// engine. A pull that begins again goes on where the engine was.
func (h *Pull) Handle(ctx context.Context, t *bus.Task, emit bus.Emit) (any, error) {
	req, err := bus.Request[bus.PullRequest](t)
	if err != nil {
		return nil, err
	}
	bus.SetPhase(ctx, "pull", pullPause)
	engine, err := h.engines.Pull(ctx, req, func(p bus.PullProgress) error { return emit(p) })
	return replied(ctx, req.Model, engine, err)
}

// Handle implements bus.Handler. Errors have CodeInvalid for a request that is none, CodeNotFound where
// no engine here has the model, or are those of the engine.
func (h *Delete) Handle(ctx context.Context, t *bus.Task, _ bus.Emit) (any, error) {
	req, err := bus.Request[bus.DeleteRequest](t)
	if err != nil {
		return nil, err
	}
	bus.SetPhase(ctx, "delete", deleteTime)
	engine, err := h.engines.Delete(ctx, req.Model)
	return replied(ctx, req.Model, engine, err)
}

func replied(ctx context.Context, model, engine string, err error) (any, error) {
	if err != nil {
		return nil, why(ctx, err)
	}
	return bus.ModelsReply{Model: model, Engine: engine}, nil
}
