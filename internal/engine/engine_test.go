package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/engine"
)

// patience is how long a test waits for what takes milliseconds on a quiet machine.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	// Engines on this machine must be reached past any proxy: every test of this
	// package would fail through this one.
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"} {
		if err := os.Setenv(name, "http://127.0.0.1:1"); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

// nowhere is an environment in which no Ollama runs on this machine.
func nowhere(name string) string {
	if name == "OLLAMA_HOST" {
		return "127.0.0.1:1"
	}
	return ""
}

func withOllama(url string) func(string) string {
	return func(string) string { return url }
}

// serve starts a server that answers each pattern with its handler.
func serve(t *testing.T, handlers map[string]http.HandlerFunc) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	for pattern, h := range handlers {
		if h != nil {
			mux.HandleFunc(pattern, h)
		}
	}
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func text(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }
}

func status(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		fmt.Fprint(w, body)
	}
}

// What Ollama 0.17.4 answers about its models.
const (
	ollamaVersion = `{"version":"0.17.4"}`
	ollamaTags    = `{"models":[
		{"name":"tinylm:latest","model":"tinylm:latest","size":1211900,"digest":"aa","modified_at":"2026-01-02T03:04:05.678+01:00","details":{"family":"llama","parameter_size":"296.64K","quantization_level":"F32"}},
		{"name":"embed:latest","modified_at":"9999-12-31T23:59:59-12:00","model":"embed:latest","size":5,"digest":"bb","details":{}}]}`
	ollamaPS   = `{"models":[{"name":"tinylm:latest","model":"tinylm:latest","size":3,"size_vram":2,"expires_at":"2026-01-02T03:04:05.678Z","context_length":128}]}`
	ollamaNone = `{"models":[]}`
)

func ollamaShow(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if strings.Contains(string(body), "embed") {
		fmt.Fprint(w, `{"capabilities":["embedding"],"model_info":{}}`)
		return
	}
	fmt.Fprint(w, `{"capabilities":["completion"],"model_info":{"general.architecture":"llama","llama.context_length":256}}`)
}

// ollama starts a server that speaks as Ollama does, with chat as its /api/chat.
func ollama(t *testing.T, chat http.HandlerFunc) *httptest.Server {
	t.Helper()
	return serve(t, map[string]http.HandlerFunc{
		"GET /api/version": text(ollamaVersion), "GET /api/tags": text(ollamaTags), "GET /api/ps": text(ollamaPS),
		"POST /api/show": ollamaShow, "POST /api/chat": chat,
	})
}

// openAI starts a server that speaks as llama-server does.
func openAI(t *testing.T, chat http.HandlerFunc) *httptest.Server {
	t.Helper()
	return serve(t, map[string]http.HandlerFunc{
		"GET /v1/models":            text(`{"object":"list","data":[{"id":"small.gguf","meta":{"n_ctx_train":256,"size":12345}},{"id":"vllm","max_model_len":4096}]}`),
		"POST /v1/chat/completions": chat,
	})
}

// probe returns the engine at s.
func probe(t *testing.T, s *httptest.Server) engine.Engine {
	t.Helper()
	e, err := engine.Probe(patiently(t), s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// patiently returns the test's context with a limit that a busy machine keeps.
func patiently(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// answer is what came of one Generate.
type answer struct {
	chunks []bus.InferenceChunk
	res    bus.InferenceResult
	err    error
}

func (a answer) streamed() string {
	var b strings.Builder
	for _, c := range a.chunks {
		b.WriteString(c.Text)
	}
	return b.String()
}

// pieces counts what the engine made, where several pieces may have come together.
func (a answer) pieces() int {
	n := 0
	for _, c := range a.chunks {
		n += len(c.Parts())
	}
	return n
}

type generator interface {
	Generate(context.Context, string, bus.InferenceRequest, func(bus.InferenceChunk) error) (bus.InferenceResult, error)
}

func ask(ctx context.Context, g generator, model, prompt string) answer {
	var a answer
	zero := 0.0
	req := bus.InferenceRequest{Prompt: prompt, Temperature: &zero, Threads: 1}
	a.res, a.err = g.Generate(ctx, model, req, func(c bus.InferenceChunk) error {
		a.chunks = append(a.chunks, c)
		return nil
	})
	return a
}

// wantError checks an error's code, whether another node should try, and its text.
func wantError(t *testing.T, err error, code bus.Code, retry bool, contains string) {
	t.Helper()
	var e *bus.Error
	if !errors.As(err, &e) || e.Code != code || bus.IsRetry(err) != retry || !strings.Contains(err.Error(), contains) {
		t.Errorf("got %v (retry %v), want code %s, retry %v, with %q", err, bus.IsRetry(err), code, retry, contains)
	}
}

// wantFew checks whether an error counts among the few that the task itself may have caused.
func wantFew(t *testing.T, err error, few bool) {
	t.Helper()
	if bus.IsRetryFew(err) != few {
		t.Errorf("%v: for a few tries %v, want %v", err, !few, few)
	}
}

// await waits until the watcher's engines are as wanted.
func await(t *testing.T, w *engine.Watcher, what string, ok func(*engine.Set) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		set, changed := w.Watch()
		if set != nil && ok(set) {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("%s: still %v", what, set.Models())
		}
	}
}

// watch runs a watcher until the test ends.
func watch(t *testing.T, cfg engine.Config) *engine.Watcher {
	t.Helper()
	w, _ := watchLogged(t, cfg, nil)
	return w
}

// watchLogged is watch with a log. stop ends the watcher sooner.
func watchLogged(t *testing.T, cfg engine.Config, log *slog.Logger) (w *engine.Watcher, stop func()) {
	t.Helper()
	w, err := engine.NewWatcher(cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return w, stop
}

func hasModel(name string) func(*engine.Set) bool {
	return func(s *engine.Set) bool {
		for _, m := range s.Models() {
			if bus.SameModel(m.Name, name) {
				return true
			}
		}
		return false
	}
}
