package handlers_test

import (
	"context"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers"
)

// holding is engines that look at what the task still holds while they work.
type holding struct {
	*scripted
	task *bus.Task
	held int
}

func (h *holding) Generate(ctx context.Context, model string, req bus.InferenceRequest, emit func(bus.InferenceChunk) error) (bus.InferenceResult, error) {
	h.held = len(h.task.Payload)
	return h.scripted.Generate(ctx, model, req, emit)
}

func (h *holding) Embedders() []bus.ModelInfo { return h.models }

func (h *holding) Embed(_ context.Context, model string, _ bus.EmbedRequest) (bus.EmbedResult, error) {
	h.held = len(h.task.Payload)
	return bus.EmbedResult{Model: model, Vectors: [][]float32{{1}}}, nil
}

// A payload that is read is let go: it may be large, and an answer takes minutes.
func TestPayloadIsLetGo(t *testing.T) {
	engines := &holding{scripted: &scripted{models: []bus.ModelInfo{{Name: "m", Loaded: true}}}}
	for payload, h := range map[string]bus.Handler{
		`{"prompt":"hi"}`:   handlers.NewInference(engines, 1),
		`{"inputs":["hi"]}`: handlers.NewEmbed(engines, 1),
	} {
		engines.task, engines.held = &bus.Task{Model: "m", Payload: []byte(payload)}, -1
		if _, err := h.Handle(t.Context(), engines.task, func(any) error { return nil }); err != nil || engines.held != 0 {
			t.Errorf("%s: error %v, %d bytes held", payload, err, engines.held)
		}
	}
}
