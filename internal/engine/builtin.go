package engine

import (
	"context"
	"errors"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/engine/demo"
)

// Demo is the embedded demo model. Make it with NewDemo. Every result of it is
// marked as a demo.
type Demo struct{ e *demo.Engine }

// NewDemo returns the embedded model. An error means that the program is damaged.
func NewDemo() (*Demo, error) {
	e, err := demo.New()
	if err != nil {
		return nil, bus.Errorf(bus.CodeInternal, "load the embedded demo model: %w", err)
	}
	return &Demo{e}, nil
}

// Kind returns KindDemo.
func (d *Demo) Kind() string { return KindDemo }

// URL returns nothing: the model is part of this process.
func (d *Demo) URL() string { return "" }

// Models returns the one model.
func (d *Demo) Models(context.Context) ([]bus.ModelInfo, error) {
	i := d.e.Info()
	return []bus.ModelInfo{{
		Name: i.Name, Loaded: true, SizeBytes: i.SizeBytes, ContextLength: i.ContextLength,
		ParameterSize: "296K", Quantization: "F32", Family: "llama", Demo: true, Engine: KindDemo, Can: bus.Answers,
	}}, nil
}

// Embed implements Engine: the demo model makes no vectors.
func (d *Demo) Embed(context.Context, string, bus.EmbedRequest) (bus.EmbedResult, error) {
	return bus.EmbedResult{}, bus.Errorf(bus.CodeInvalid, "the demo model makes no embeddings").WithHint("install a real model: https://ollama.com/download, then ollama pull nomic-embed-text")
}

// lacks names what req wants and the demo model has not; "" where there is nothing.
func (d *Demo) lacks(req bus.InferenceRequest) string {
	for what, wanted := range map[string]bool{
		"tools": len(req.Tools) > 0, "a format": len(req.Format) > 0, "raw prompts": req.Raw, "suffixes": req.Suffix != "",
		"log probabilities": req.Logprobs, "templates": req.Template != "", "contexts": len(req.Context) > 0, "thinking": len(req.Think) > 0 && string(req.Think) != "false",
	} {
		if wanted {
			return what
		}
	}
	for _, m := range req.Conversation() {
		if len(m.Images) > 0 {
			return "images"
		}
	}
	return ""
}

// Generate implements Engine. The model always says what is likeliest, so the
// request's Temperature, Seed, Threads and Options change nothing. What would change the
// answer elsewhere, as tools do, is refused with CodeInvalid.
func (d *Demo) Generate(ctx context.Context, model string, req bus.InferenceRequest, emit func(bus.InferenceChunk) error) (bus.InferenceResult, error) {
	if !bus.SameModel(model, d.e.Info().Name) {
		return bus.InferenceResult{}, bus.Retry(bus.Errorf(bus.CodeNotFound, "the demo engine does not have the model %q", model))
	}
	if what := d.lacks(req); what != "" {
		return bus.InferenceResult{}, bus.Errorf(bus.CodeInvalid, "the demo model cannot handle %s", what).
			WithHint("install a real model: https://ollama.com/download, then ollama pull llama3.2")
	}
	a := newAnswer(KindDemo, d.e.Info().Name, req, emit)
	if req.Load {
		return a.loaded(req.KeepAlive, reasonStop), nil
	}
	return d.answer(ctx, req, "", a)
}

// Continue implements Continuer: the text so far becomes part of the prompt.
func (d *Demo) Continue(ctx context.Context, _ string, req bus.InferenceRequest, said bus.Said, goesOn func() error, emit func(bus.InferenceChunk) error) (bus.InferenceResult, bool, error) {
	if d.lacks(req) != "" {
		return bus.InferenceResult{}, false, nil
	}
	if err := goesOn(); err != nil {
		return bus.InferenceResult{}, true, err
	}
	res, err := d.answer(ctx, req, said.Text, newAnswer(KindDemo, d.e.Info().Name, req, emit).follows(said))
	return asFast(res, said), true, err
}

// answer makes an answer, or what of it comes after said.
func (d *Demo) answer(ctx context.Context, req bus.InferenceRequest, said string, a *answer) (bus.InferenceResult, error) {
	room := 0
	if req.Truncate { // what is cut to fit leaves room for the answer, where it can
		room = d.e.Info().ContextLength / 4
	}
	shortest := req
	res, err := forgetting(req, func(req bus.InferenceRequest, _ func()) (bus.InferenceResult, error) {
		shortest = req
		return d.fitting(ctx, req, said, room, a)
	})
	if room > 0 && isTooLong(err) {
		return d.fitting(ctx, shortest, said, 0, a)
	}
	return res, err
}

// fitting is answer for a prompt beside which there is room for so many tokens, or an error.
func (d *Demo) fitting(ctx context.Context, req bus.InferenceRequest, said string, room int, a *answer) (bus.InferenceResult, error) {
	in := demo.Request{MaxTokens: req.MaxTokens, Stop: req.Stop, Said: said, Room: room}
	for _, m := range req.Conversation() {
		in.Messages = append(in.Messages, demo.Message{Role: m.Role, Content: m.Content})
	}
	res, err := d.e.Generate(ctx, in, func(text string) error {
		a.add(bus.InferenceChunk{Text: text})
		return a.emitErr
	})
	switch {
	case err == nil:
		a.result.PromptTokens, a.result.OutputTokens = res.PromptTokens, res.OutputTokens
		return a.done(res.Reason), nil
	case a.emitErr != nil:
		return bus.InferenceResult{}, a.emitErr
	case errors.Is(err, demo.ErrContext):
		return bus.InferenceResult{}, bus.Errorf(bus.CodeTooLarge, "%w", err).
			WithHint("install a real model: https://ollama.com/download, then ollama pull llama3.2")
	case errors.Is(err, demo.ErrRole):
		return bus.InferenceResult{}, bus.Errorf(bus.CodeInvalid, "%w", err)
	}
	return bus.InferenceResult{}, bus.AsError(err)
}
