package handlers

import (
	"cmp"
	"context"
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
	// phaseLoad is the phase in which a model is loaded.
	phaseLoad = "load"
	// tokenTime is between two pieces of an answer.
	tokenTime = 30 * time.Second
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
	c := bus.Capability{Type: bus.TypeInference, Models: h.engines.Models()}
	if len(c.Models) > 0 {
		c.Slots = h.slots
	}
	return c, nil
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
	m := h.model(t.Model)
	phase, limit := h.firstPhase(m, len(t.Payload))
	t.DropPayload() // it is read, and may be large
	bus.SetPhase(ctx, phase, limit)
	answering, between, tokens := false, h.between(m, req, limit), h.counter(m)
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
		if phase == phaseLoad {
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
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	}
	return nil, err
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

// model is what the engines tell of a model; zero where none has it.
func (h *Inference) model(name string) bus.ModelInfo {
	for _, m := range h.engines.Models() {
		if bus.SameModel(m.Name, name) {
			return m
		}
	}
	return bus.ModelInfo{}
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

// firstPhase returns what the engine does before the first piece of an answer, and
// how long that may take.
func (h *Inference) firstPhase(m bus.ModelInfo, promptSize int) (name string, limit time.Duration) {
	name, limit = "prompt", promptTime+time.Duration(promptSize/promptRate)*time.Second
	if m.Name != "" && !m.Loaded {
		name, limit = phaseLoad, limit+loadTime+time.Duration(m.SizeBytes/loadRate)*time.Second
	}
	return name, cmp.Or(h.limits.First, limit)
}

// between returns how long an engine may take from one piece of an answer to the next, where first is
// the time for the first one. Ollama says nothing while a model writes a call of a tool, which may be a
// whole file.
func (h *Inference) between(m bus.ModelInfo, req bus.InferenceRequest, first time.Duration) time.Duration {
	limit := cmp.Or(h.limits.Token, tokenTime)
	if len(req.Tools) > 0 && m.Engine == "ollama" {
		return max(limit, first)
	}
	return limit
}
