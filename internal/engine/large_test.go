package engine_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/engine"
)

// largeEngines read a request to its end, and answer as short as they can.
func largeEngines(tb testing.TB) map[string]engine.Engine {
	tb.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch r.URL.Path {
		case "/api/chat":
			fmt.Fprintln(w, `{"model":"m","message":{"role":"assistant","content":"hi"},"done":true,"done_reason":"stop"}`)
		case "/v1/chat/completions":
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, `data: {"choices":[{"delta":{"content":"hi"},"finish_reason":"stop"}]}`+"\n\ndata: [DONE]\n\n")
		default:
			fmt.Fprint(w, `{"embeddings":[[1]],"data":[{"index":0,"embedding":[1]}]}`)
		}
	}))
	tb.Cleanup(s.Close)
	base, err := url.Parse(s.URL)
	if err != nil {
		tb.Fatal(err)
	}
	return map[string]engine.Engine{"ollama": engine.NewOllama(base), "openai": engine.NewOpenAI(base)}
}

// largeCalls ask an engine something long; the length is that of their request to an Ollama.
func largeCalls(size int) map[string]func(context.Context, engine.Engine) error {
	text, image := strings.Repeat("The sky is blue.\n", size/18), []byte(strings.Repeat("\x89PNG", size*3/16))
	generate := func(m bus.Message) func(context.Context, engine.Engine) error {
		m.Role = "user"
		return func(ctx context.Context, e engine.Engine) error {
			_, err := e.Generate(ctx, "m", bus.InferenceRequest{Messages: []bus.Message{m}}, func(bus.InferenceChunk) error { return nil })
			return err
		}
	}
	return map[string]func(context.Context, engine.Engine) error{
		"text":  generate(bus.Message{Content: text}),
		"image": generate(bus.Message{Content: "hi", Images: [][]byte{image}}),
		"embed": func(ctx context.Context, e engine.Engine) error {
			_, err := e.Embed(ctx, "m", bus.EmbedRequest{Inputs: []string{text}})
			return err
		},
	}
}

// A long request is encoded into memory of its size, for images in a data URL once more.
func TestLargeRequestsAreSeldomCopied(t *testing.T) {
	const size = 4 << 20
	for name, e := range largeEngines(t) {
		for what, call := range largeCalls(size) {
			most := 1.8 // times the request
			if name == "openai" && what == "image" {
				most++
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := call(t.Context(), e)
			runtime.ReadMemStats(&after)
			if times := float64(after.TotalAlloc-before.TotalAlloc) / size; err != nil || times > most {
				t.Errorf("%s of %s: error %v, allocates %.1f times the request, want at most %.1f", what, name, err, times, most)
			}
		}
	}
}

// BenchmarkLargeRequests tells what a large request to an engine allocates, in B/op of 16 MiB. The floor sends one that is
// there already.
func BenchmarkLargeRequests(b *testing.B) {
	const size = 16 << 20
	for name, e := range largeEngines(b) {
		for what, call := range largeCalls(size) {
			b.Run(name+"/"+what, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := call(b.Context(), e); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		b.Run(name+"/floor", func(b *testing.B) {
			b.ReportAllocs()
			data := strings.Repeat("x", size)
			for b.Loop() {
				req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, e.URL()+"/floor", strings.NewReader(data))
				if err != nil {
					b.Fatal(err)
				}
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
}
