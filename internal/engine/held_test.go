package engine_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/engine"
)

// A long request is not kept while the engine answers it, which may take minutes.
func TestLargeRequestsAreNotHeldDuringTheAnswer(t *testing.T) {
	const size = 32 << 20
	heap := func() int {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	for kind, of := range map[string]struct {
		serve func(*testing.T, http.HandlerFunc) *httptest.Server
		model string
	}{"ollama": {ollama, "tinylm:latest"}, "openai": {openAI, "small.gguf"}} {
		measured := make(chan struct{})
		s := of.serve(t, func(w http.ResponseWriter, r *http.Request) {
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
		w := watch(t, quick(nowhere, s.URL))
		await(t, w, "its list", hasModel(of.model))
		before, held, told := heap(), 0, false
		_, err := engine.Measure(w, engine.NewSpeeds()).Generate(patiently(t), of.model,
			bus.InferenceRequest{Messages: []bus.Message{{Role: "user", Content: strings.Repeat("The sky is blue.\n", size/17)}}, Truncate: true},
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
