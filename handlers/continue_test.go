package handlers_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers"
)

// continuing is Engines that go on with an answer, where can is set.
type continuing struct {
	scripted
	can  bool
	said bus.Said
}

func (c *continuing) Continue(_ context.Context, model string, _ bus.InferenceRequest, said bus.Said, goesOn func() error, emit func(bus.InferenceChunk) error) (bus.InferenceResult, bool, error) {
	c.said = said
	if !c.can {
		return bus.InferenceResult{}, false, nil
	}
	if err := goesOn(); err != nil {
		return bus.InferenceResult{}, true, err
	}
	return bus.InferenceResult{Text: said.Text + "ris", Model: model}, true, emit(bus.InferenceChunk{Text: "ris"})
}

// What was shown of an answer is gone on with; where there is nothing, or the engine cannot, it begins anew.
func TestInferenceGoesOn(t *testing.T) {
	t.Parallel()
	pieces := func(texts ...string) (out []json.RawMessage) {
		for _, s := range texts {
			out = append(out, json.RawMessage(s))
		}
		return out
	}
	for name, c := range map[string]struct {
		shown []json.RawMessage
		can   bool
		goes  int    // how often it tells that it goes on
		out   string // what is emitted
	}{
		"it can":                {pieces(`{"loading":true}`, `{"text":"P"}`, `{}`, `{"text":"a"}`), true, 1, "ris"},
		"it cannot":             {pieces(`{"text":"Pa"}`), false, 0, "Paris"},
		"nothing was said":      {pieces(`{"loading":true}`, `{}`), true, 0, "Paris"},
		"something else was":    {pieces(`7`), true, 0, "Paris"},
		"it is the first of it": {nil, true, 0, "Paris"},
	} {
		e := &continuing{scripted: scripted{models: []bus.ModelInfo{{Name: "m", Loaded: true}}, chunks: []string{"Paris"}}, can: c.can}
		goes := 0
		ctx := bus.WithShown(t.Context(), func(context.Context) *bus.Shown {
			if c.shown == nil {
				return nil
			}
			return &bus.Shown{Chunks: c.shown, Continue: func() error { goes++; return nil }}
		})
		r := handle(ctx, handlers.NewInference(e, 1), "m", bus.InferenceRequest{Prompt: "x"})
		if res, ok := r.result.(bus.InferenceResult); r.err != nil || !ok || res.Text != "Paris" || goes != c.goes || len(r.chunks) != 1 || r.chunks[0] != c.out {
			t.Errorf("%s: %+v, goes on %d times", name, r, goes)
		}
		if c.goes > 0 && (e.said.Text != "Pa" || e.said.Tokens != 2) {
			t.Errorf("%s: said %+v", name, e.said)
		}
	}
}

// That a model must be loaded is told before its answer, and not of one that is.
func TestInferenceTellsOfLoading(t *testing.T) {
	t.Parallel()
	for _, loaded := range []bool{false, true} {
		e := &scripted{models: []bus.ModelInfo{{Name: "m", Loaded: loaded}}, chunks: []string{"Paris"}}
		var told []bool
		_, err := handlers.NewInference(e, 1).Handle(t.Context(), &bus.Task{Model: "m", Payload: json.RawMessage(`{"prompt":"x"}`)}, func(c any) error {
			told = append(told, c.(bus.InferenceChunk).Loading)
			return nil
		})
		if want := 1; err != nil || told[0] == loaded || !loaded && len(told) != want+1 {
			t.Errorf("loaded %v: told %v, %v", loaded, told, err)
		}
	}
}
