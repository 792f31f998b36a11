package handlers

import (
	"context"

	"github.com/mycoswarm/mycoswarm/bus"
)

// embedBatch is how many texts an engine gets at a time, so that the watchdog sees that it goes on.
const embedBatch = 64

// numberSize is how many bytes a number of a vector takes in a result, at the least of what models make.
const numberSize = 8

// Embedders is what makes vectors of texts on this machine at present.
type Embedders interface {
	// Embedders lists the models that can. It must not block.
	Embedders() []bus.ModelInfo
	// Embed makes a vector of each input with exactly the model asked for. Errors that another node
	// may not meet are marked by bus.Retry.
	Embed(ctx context.Context, model string, req bus.EmbedRequest) (bus.EmbedResult, error)
}

// Embed makes vectors of texts. The payload of a task is a bus.EmbedRequest, its result a
// bus.EmbedResult; it has no output before.
type Embed struct {
	engines Embedders
	slots   int
	limits  Limits
}

var _ bus.Handler = (*Embed)(nil)

// NewEmbed returns a handler that runs up to slots tasks at once on engines.
func NewEmbed(engines Embedders, slots int) *Embed { return &Embed{engines: engines, slots: slots} }

// WithLimits sets the watchdog's limits, First for each batch of texts, and returns h. It is called
// before h is used.
func (h *Embed) WithLimits(l Limits) *Embed {
	h.limits = l
	return h
}

// Capability implements bus.Handler. There are no slots as long as there is no model.
func (h *Embed) Capability(context.Context) (bus.Capability, error) {
	return withModels(bus.TypeEmbed, h.engines.Embedders(), h.slots), nil
}

// Handle implements bus.Handler. Errors have CodeInvalid for a request that is none, CodeTooLarge for
// one over a limit, CodeNotFound, marked by bus.Retry, for a model that this node does not have (any
// more), or are those of the engine.
func (h *Embed) Handle(ctx context.Context, t *bus.Task, _ bus.Emit) (any, error) {
	req, err := bus.Request[bus.EmbedRequest](t)
	if err != nil {
		return nil, err
	}
	t.DropPayload() // it is read, and may be large
	if t.Model == "" {
		return nil, bus.Errorf(bus.CodeInvalid, "the task names no model").WithHint("myco swarm shows the models")
	}
	whole := bus.EmbedResult{Model: t.Model, Vectors: make([][]float32, 0, len(req.Inputs))}
	size := 0
	for inputs := req.Inputs; ; {
		part := req
		part.Inputs = inputs[:min(len(inputs), embedBatch)]
		inputs = inputs[len(part.Inputs):]
		h.setPhase(ctx, t.Model, part.Inputs)
		res, err := h.engines.Embed(ctx, t.Model, part)
		switch {
		case err != nil:
			return nil, why(ctx, err)
		case !bus.SameModel(res.Model, t.Model):
			return nil, bus.Errorf(bus.CodeInternal, "the model %q was asked for and %q answered", t.Model, res.Model)
		}
		whole.Vectors, whole.Model, whole.Engine = append(whole.Vectors, res.Vectors...), res.Model, res.Engine
		for _, v := range res.Vectors {
			size += len(v) * numberSize
		}
		if size > bus.MaxPayload { // it would be found out when all are made
			return nil, bus.Errorf(bus.CodeTooLarge, "the vectors have more than %d bytes", bus.MaxPayload).WithHint("ask for fewer at a time")
		}
		whole.PromptTokens += res.PromptTokens
		whole.Loading += res.Loading
		whole.Duration += res.Duration
		if len(inputs) == 0 {
			whole.Digest = called(t.Model, h.engines.Embedders()).Digest
			return whole, nil
		}
	}
}

// setPhase tells the watchdog how long the next batch may take.
func (h *Embed) setPhase(ctx context.Context, model string, inputs []string) {
	size := 0
	for _, s := range inputs {
		size += len(s)
	}
	limit, _ := h.limits.first(called(model, h.engines.Embedders()), size)
	bus.SetPhase(ctx, "embed", limit)
}
