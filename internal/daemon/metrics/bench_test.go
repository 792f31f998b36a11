package metrics_test

import (
	"context"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers"
	"github.com/mycoswarm/mycoswarm/internal/daemon/metrics"
)

// writer are engines that write one token after the other.
type writer struct{ tokens int }

func (writer) Models() []bus.ModelInfo { return []bus.ModelInfo{{Name: "m", Loaded: true}} }

func (w writer) Generate(_ context.Context, model string, _ bus.InferenceRequest, emit func(bus.InferenceChunk) error) (bus.InferenceResult, error) {
	for range w.tokens {
		if err := emit(bus.InferenceChunk{Text: "x"}); err != nil {
			return bus.InferenceResult{}, err
		}
	}
	return bus.InferenceResult{Model: model}, nil
}

func (writer) Continue(context.Context, string, bus.InferenceRequest, bus.Said, func() error, func(bus.InferenceChunk) error) (r bus.InferenceResult, ok bool, err error) {
	return r, false, nil
}

// One token on its way through the handler, with and without a count.
func BenchmarkToken(b *testing.B) {
	for name, with := range map[string]func(*handlers.Inference){
		"uncounted": func(*handlers.Inference) {},
		"counted":   func(h *handlers.Inference) { h.WithTokens(metrics.New(state).Tokens) },
	} {
		b.Run(name, func(b *testing.B) {
			h := handlers.NewInference(writer{b.N}, 1)
			with(h)
			task := &bus.Task{Type: bus.TypeInference, Model: "m", Payload: []byte(`{"prompt":"p"}`)}
			b.ReportAllocs()
			if _, err := h.Handle(b.Context(), task, func(any) error { return nil }); err != nil {
				b.Fatal(err)
			}
		})
	}
}
