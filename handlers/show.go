package handlers

import (
	"context"
	"encoding/json"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

const (
	// showSlots is how many questions about models a node answers at once. Each takes milliseconds, but one
	// that an engine leaves open should not hold up the others, and programs ask about all models in a row.
	showSlots = 4
	// showTime is for one of them.
	showTime = 30 * time.Second
)

// Shower is what tells of the models of this machine at present.
type Shower interface {
	// Pulls reports whether there is an engine that can. It must not block.
	Pulls() bool
	// Show returns what an engine tells of a model.
	Show(ctx context.Context, req bus.ShowRequest) (json.RawMessage, error)
}

// Show tells of a model. The payload of a task is a bus.ShowRequest, its result a bus.ShowReply; there is
// no output.
type Show struct{ engines Shower }

var _ bus.Handler = (*Show)(nil)

// NewShow returns a handler that has engines tell.
func NewShow(engines Shower) *Show { return &Show{engines} }

// Capability implements bus.Handler.
func (h *Show) Capability(context.Context) (bus.Capability, error) {
	c := bus.Capability{Type: bus.TypeShow}
	if h.engines.Pulls() {
		c.Slots = showSlots
	}
	return c, nil
}

// Handle implements bus.Handler. Errors have CodeInvalid for a request that is none, CodeNotFound where
// no engine here has the model, or are those of the engine. None is tried again: no other node could, and
// whoever asks has a shorter answer.
func (h *Show) Handle(ctx context.Context, t *bus.Task, _ bus.Emit) (any, error) {
	req, err := bus.Request[bus.ShowRequest](t)
	if err != nil {
		return nil, err
	}
	bus.SetPhase(ctx, "show", showTime)
	show, err := h.engines.Show(ctx, req)
	switch {
	case err == nil:
		return bus.ShowReply{Show: show}, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	}
	e := bus.AsError(err)
	return nil, &bus.Error{Code: e.Code, Message: e.Message, Hint: e.Hint}
}
