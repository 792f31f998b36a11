package engine_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/engine"
)

// alone is a Runner with one engine.
type alone struct {
	engine.Runner
	engine.Engine
}

func (a alone) Models() []bus.ModelInfo { return nil }

func (a alone) Embedders() []bus.ModelInfo { return nil }

func (a alone) Embed(ctx context.Context, model string, req bus.EmbedRequest) (bus.EmbedResult, error) {
	return a.Engine.Embed(ctx, model, req)
}

func (a alone) Generate(ctx context.Context, model string, req bus.InferenceRequest, emit func(bus.InferenceChunk) error) (bus.InferenceResult, error) {
	return a.Engine.Generate(ctx, model, req, emit)
}

// A long request is not kept while the engine answers it, which may take minutes.
func TestLargeRequestsAreNotHeldDuringTheAnswer(t *testing.T) {
	const size = 32 << 20
	heap := func() int {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	for kind, serve := range map[string]func(*testing.T, http.HandlerFunc) engine.Engine{
		"ollama": func(t *testing.T, h http.HandlerFunc) engine.Engine { return probe(t, ollama(t, h)) },
		"openai": func(t *testing.T, h http.HandlerFunc) engine.Engine { return probe(t, openAI(t, h)) },
	} {
		measured := make(chan struct{})
		e := serve(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			first, rest := line("hi"), doneLine
			if kind == "openai" {
				first = `data: {"choices":[{"delta":{"content":"hi"}}]}` + "\n\n"
				rest = `data: {"choices":[{"delta":{},"finish_reason":"stop"}]}` + "\n\ndata: [DONE]\n\n"
			}
			fmt.Fprint(w, first)
			_ = http.NewResponseController(w).Flush()
			<-measured
			fmt.Fprint(w, rest)
		})
		before, held, told := heap(), 0, false
		_, err := engine.Measure(alone{Engine: e}, engine.NewSpeeds()).Generate(patiently(t), "tinylm:latest",
			bus.InferenceRequest{Messages: []bus.Message{{Role: "user", Content: strings.Repeat("The sky is blue.\n", size/17)}}},
			func(bus.InferenceChunk) error {
				if told {
					return nil
				}
				told = true
				defer close(measured)
				for end := time.Now().Add(patience); ; { // who sends may be about to let go
					if held = heap() - before; held <= size/2 || time.Now().After(end) {
						return nil
					}
				}
			})
		if err != nil || held > size/2 {
			t.Errorf("%s: error %v, %d MiB are held of a request of %d MiB", kind, err, held>>20, size>>20)
		}
	}
}
