package gateway_test

import (
	"encoding/base64"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// largeAsks are requests whose text, image or document has about size bytes, by interface.
func largeAsks(size int) map[string]map[string]string {
	text := strings.Repeat("The sky is blue. ", size/17)
	image := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("\x89PNG blue", size/12)))
	const b64 = "data:image/png;base64,"
	return map[string]map[string]string{
		"text": {
			"/api/chat":            `{"model":"m","messages":[{"role":"user","content":"` + text + `"}]}`,
			"/api/generate":        `{"model":"m","prompt":"` + text + `"}`,
			"/v1/chat/completions": `{"model":"m","messages":[{"role":"user","content":"` + text + `"}]}`,
			"/v1/responses":        `{"model":"m","store":false,"input":[{"role":"user","content":[{"type":"input_text","text":"` + text + `"}]}]}`,
			"/v1/messages":         `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"text","text":"` + text + `"}]}]}`,
			"/v1/embeddings":       `{"model":"m","input":["` + text + `"]}`,
			"/api/embed":           `{"model":"m","input":["` + text + `"]}`,
		},
		"image": {
			"/api/chat":            `{"model":"m","messages":[{"role":"user","content":"hi","images":["` + image + `"]}]}`,
			"/v1/chat/completions": `{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"` + b64 + image + `"}}]}]}`,
			"/v1/responses":        `{"model":"m","store":false,"input":[{"role":"user","content":[{"type":"input_image","image_url":"` + b64 + image + `"}]}]}`,
			"/v1/messages":         `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","data":"` + image + `"}}]}]}`,
		},
		"document": {
			"/v1/chat/completions": `{"model":"m","messages":[{"role":"user","content":[{"type":"file","file":{"file_data":"` + image + `"}}]}]}`,
			"/v1/responses":        `{"model":"m","store":false,"input":[{"role":"user","content":[{"type":"input_file","file_data":"` + image + `"}]}]}`,
			"/v1/messages":         `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"document","source":{"type":"base64","data":"` + image + `"}}]}]}`,
		},
	}
}

// cost tells what the asking node allocates for a large request, in bodies, and what it holds of that once the task is
// submitted and its answer is waited for: the task's payload among it.
func cost(tb testing.TB, path, body string) (allocates, holds float64) {
	tb.Helper()
	var before, waits, after runtime.MemStats
	o, g := newOracle(tb, func(t bus.Task, _ func(bus.Chunk) error) (any, error) {
		if t.Type == bus.TypeFile {
			return bus.FileResult{Text: "read"}, nil
		}
		collect(&waits)
		if t.Type == bus.TypeEmbed {
			return bus.EmbedResult{Model: "m", Vectors: [][]float32{{1}}}, nil
		}
		return bus.InferenceResult{Text: "Paris", Model: "m"}, nil
	})
	o.nodes[1].Types, o.forgets = append(slices.Clone(managing), bus.TypeFile), true
	r := httptest.NewRequestWithContext(tb.Context(), http.MethodPost, "http://127.0.0.1"+path, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:5"
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	collect(&before)
	g.ServeHTTP(w, r)
	runtime.ReadMemStats(&after)
	if w.Code != http.StatusOK {
		tb.Fatalf("%s: %d %.300s", path, w.Code, w.Body)
	}
	size := float64(len(body))
	return float64(after.TotalAlloc-before.TotalAlloc) / size, (float64(waits.HeapAlloc) - float64(before.HeapAlloc)) / size
}

// collect tells of the memory once garbage is collected, and what pools kept: twice.
func collect(m *runtime.MemStats) {
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(m)
}

// BenchmarkLargeRequests tells what a large request costs the asking node, in bodies. The floor is what no node can do
// without: the body in memory of its size.
func BenchmarkLargeRequests(b *testing.B) {
	for kind, asks := range largeAsks(16 << 20) {
		for _, path := range slices.Sorted(maps.Keys(asks)) {
			b.Run(kind+path, func(b *testing.B) {
				allocates, holds := 0.0, 0.0
				for b.Loop() {
					a, h := cost(b, path, asks[path])
					allocates, holds = allocates+a, holds+h
				}
				b.ReportMetric(allocates/float64(b.N), "allocated/body")
				b.ReportMetric(holds/float64(b.N), "held/body")
			})
		}
	}
	b.Run("floor", func(b *testing.B) {
		b.ReportAllocs()
		in := strings.NewReader(strings.Repeat("x", 16<<20))
		for b.Loop() {
			if _, err := in.Seek(0, io.SeekStart); err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadFull(in, make([]byte, in.Len())); err != nil {
				b.Fatal(err)
			}
		}
	})
}
