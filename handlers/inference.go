package handlers

import (
	"context"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Engines is what runs models on this machine at present.
type Engines interface {
	// Models lists the models that can answer. It must not block.
	Models() []bus.ModelInfo
	// Generate answers with exactly the model asked for, and hands each piece of the
	// answer to emit. An empty piece tells only that the engine is at work. Errors that
	// another node may not meet are marked by bus.Retry; one of emit is returned as it is.
	Generate(ctx context.Context, model string, req bus.InferenceRequest, emit func(bus.InferenceChunk) error) (bus.InferenceResult, error)
	// Continue is Generate for the rest of an answer, of which said is there. It calls goesOn once it is
	// certain that it can go on, before the first piece; the result is the whole answer. Where it cannot,
	// ok is false, and nothing has been done.
	Continue(ctx context.Context, model string, req bus.InferenceRequest, said bus.Said, goesOn func() error, emit func(bus.InferenceChunk) error) (res bus.InferenceResult, ok bool, err error)
}

// Inference asks a model. The payload of a task is a bus.InferenceRequest, its
// output bus.InferenceChunks, its result a bus.InferenceResult.
type Inference struct {
	engines Engines
	slots   int
	limits  Limits
	tokens  func(model string) Tokens
	written rate
}

// Tokens counts the tokens of a model. Its methods are called at the same time, and must not block.
type Tokens interface {
	// Wrote counts more of an answer, a piece as one token.
	Wrote(n int)
	// Read counts those of a prompt, where the engine tells.
	Read(n int)
}

var _ bus.Handler = (*Inference)(nil)

// NewInference returns a handler that runs up to slots tasks at once on engines.
func NewInference(engines Engines, slots int) *Inference {
	return &Inference{engines: engines, slots: slots}
}

// TokensPerSecond is how fast the engines write, all answers together, over the last seconds.
func (h *Inference) TokensPerSecond() float64 { return h.written.perSecond(time.Now()) }

// WithLimits sets the watchdog's limits, and returns h. It is called before h is used.
func (h *Inference) WithLimits(l Limits) *Inference {
	h.limits = l
	return h
}

// WithTokens has the tokens of each model counted by what of returns, and returns h. It is called before h is used.
func (h *Inference) WithTokens(of func(model string) Tokens) *Inference {
	h.tokens = of
	return h
}

// Capability implements bus.Handler. There are no slots as long as there is no model.
func (h *Inference) Capability(context.Context) (bus.Capability, error) {
	return withModels(bus.TypeInference, h.engines.Models(), h.slots), nil
}

// Handle implements bus.Handler. Errors have CodeInvalid for a request that is
// none, CodeTooLarge for one over a limit, CodeNotFound, marked by bus.Retry, for a
// model that this node does not have (any more), or are those of the engine.
func (h *Inference) Handle(ctx context.Context, t *bus.Task, emit bus.Emit) (any, error) {
	req, err := bus.Request[bus.InferenceRequest](t)
	if err != nil {
		return nil, err
	}
	if t.Model == "" {
		return nil, bus.Errorf(bus.CodeInvalid, "the task names no model").WithHint("myco swarm shows the models; name one with -m")
	}
	m := called(t.Model, h.engines.Models())
	limit, loads := h.limits.first(m, len(t.Payload))
	phase := "prompt"
	if loads {
		phase = "load"
	}
	t.DropPayload() // it is read, and may be large
	bus.SetPhase(ctx, phase, limit)
	answering, between, tokens := false, h.limits.between(m, req, limit), h.counter(m)
	out := func(c bus.InferenceChunk) error {
		if !answering || c.Empty() {
			answering = true
			bus.SetPhase(ctx, "output", between)
		}
		if c.Empty() { // it is for the watchdog
			return nil
		}
		h.written.note(time.Now(), 1+len(c.Cuts))
		tokens.Wrote(1 + len(c.Cuts))
		return emit(c)
	}
	res, ok, err := h.goOn(ctx, t.Model, req, out)
	if !ok {
		if loads {
			if err := emit(bus.InferenceChunk{Loading: true}); err != nil {
				return nil, err
			}
		}
		res, err = h.engines.Generate(ctx, t.Model, req, out)
	}
	switch {
	case err == nil && !bus.SameModel(res.Model, t.Model):
		return nil, bus.Errorf(bus.CodeInternal, "the model %q was asked for and %q answered", t.Model, res.Model)
	case err == nil:
		tokens.Read(res.PromptTokens)
		return res, nil
	}
	return nil, why(ctx, err)
}

// goOn goes on with what clients have of the answer, if another node has begun it and was lost; ok is
// false where there is nothing of that kind, or the engine cannot.
func (h *Inference) goOn(ctx context.Context, model string, req bus.InferenceRequest, emit func(bus.InferenceChunk) error) (res bus.InferenceResult, ok bool, err error) {
	if req.Load {
		return res, false, nil
	}
	shown := bus.ShownOf(ctx)
	if shown == nil {
		return res, false, nil
	}
	said, known := bus.SaidIn(shown.Chunks)
	if !known || said.Empty() {
		return res, false, nil
	}
	return h.engines.Continue(ctx, model, req, said, shown.Continue, emit)
}

// uncounted are Tokens of who wants none counted, or of a model that is not there.
type uncounted struct{}

func (uncounted) Wrote(int) {}
func (uncounted) Read(int)  {}

func (h *Inference) counter(m bus.ModelInfo) Tokens {
	if h.tokens == nil || m.Name == "" {
		return uncounted{}
	}
	return h.tokens(m.Name)
}
