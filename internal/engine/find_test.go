package engine_test

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/engine"
)

// silent listens and never answers.
func silent(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

func TestProbe(t *testing.T) {
	t.Parallel()
	o, a := ollama(t, nil), openAI(t, nil)
	for address, want := range map[string]struct{ kind, url string }{
		o.URL:                                {"ollama", o.URL},
		o.URL + "/":                          {"ollama", o.URL},
		strings.TrimPrefix(o.URL, "http://"): {"ollama", o.URL},
		a.URL:                                {"openai", a.URL},
		a.URL + "/v1":                        {"openai", a.URL},
		a.URL + "/v1/":                       {"openai", a.URL},
	} {
		e, err := engine.Probe(patiently(t), address)
		if err != nil || e.Kind() != want.kind || e.URL() != want.url {
			t.Errorf("%s: got %v, %v, want %v", address, e, err, want)
		}
	}
}

// Ollama does not tell how many questions it answers at one time; the environment does, where both have the same.
func TestSeveralAtATime(t *testing.T) {
	t.Parallel()
	for parallel, one := range map[string]bool{"": true, "1": true, "many": true, "4": false} {
		cfg := quick(func(name string) string {
			return map[string]string{"OLLAMA_NUM_PARALLEL": parallel, "OLLAMA_HOST": "127.0.0.1:1"}[name]
		}, ollama(t, nil).URL)
		if set, _ := find(t, cfg); len(set.Models()) == 0 || set.Models()[0].OneAtATime != one {
			t.Errorf("OLLAMA_NUM_PARALLEL=%s: %+v", parallel, set.Models())
		}
	}
}

// It answers one at a time all the same with some models, and makes vectors so.
func TestOneAtATimeWhateverOllamaIsTold(t *testing.T) {
	t.Parallel()
	several := map[string]bool{
		"llama": true, "qwen3": true, "": true, "lfm2": false, "qwen35moe": false, "qwen3vl": false, "nemotron_h": false, "nemotron_h_omni": false, "mllama": false,
	}
	tags := []map[string]any{{"name": "embed"}}
	for family := range several {
		tags = append(tags, map[string]any{"name": "of " + family, "details": map[string]string{"family": family}})
	}
	list, err := json.Marshal(map[string]any{"models": tags})
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, map[string]http.HandlerFunc{
		"GET /api/version": text(ollamaVersion), "GET /api/tags": text(string(list)), "GET /api/ps": text(ollamaNone), "POST /api/show": ollamaShow,
	})
	set, _ := find(t, quick(func(name string) string {
		return map[string]string{"OLLAMA_NUM_PARALLEL": "4", "OLLAMA_HOST": "127.0.0.1:1"}[name]
	}, s.URL))
	if n := len(set.Embedders()); n != len(tags) {
		t.Errorf("%d models, want %d", n, len(tags))
	}
	for _, m := range set.Embedders() {
		if want := m.Name == "embed" || !several[m.Family]; m.OneAtATime != want {
			t.Errorf("%s answers one at a time: %t, want %t", m.Name, m.OneAtATime, want)
		}
	}
}

// An address may hold a password, which an error must not show.
func TestAddressErrorsShowNoPassword(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"ftp://user:secret@host", "http://user:secret@host:port", "http://user:secret/@host", "user:secret@ho st", "http://user:sec#secret@host:x",
		"http://user:secret%zz@host", "x://secret@", "http://user:secret?@host",
	} {
		_, err := engine.Probe(patiently(t), address)
		wantError(t, err, bus.CodeInvalid, false, "engine address")
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%v", err)
		}
	}
}

func TestProbeFailures(t *testing.T) {
	t.Parallel()
	web := serve(t, map[string]http.HandlerFunc{"/": text("<html>a page</html>")})
	sick := serve(t, map[string]http.HandlerFunc{"/": status(500, "")})
	for address, want := range map[string]struct {
		code  bus.Code
		retry bool
		text  string
	}{
		web.URL:         {bus.CodeUnavailable, false, "neither Ollama nor"},
		sick.URL:        {bus.CodeUnavailable, true, "status 500"},
		"127.0.0.1:1":   {bus.CodeUnavailable, true, "refused"},
		"ftp://x":       {bus.CodeInvalid, false, "only http and https"},
		"http://a b":    {bus.CodeInvalid, false, "engine address"},
		"http://x:port": {bus.CodeInvalid, false, "invalid port"},
	} {
		_, err := engine.Probe(patiently(t), address)
		wantError(t, err, want.code, want.retry, want.text)
	}
	cfg := quick(nowhere, silent(t))
	cfg.ProbeTimeout = 100 * time.Millisecond
	_, problems, err := engine.Find(t.Context(), cfg)
	if err != nil || len(problems) == 0 {
		t.Fatalf("problems %v, error %v", problems, err)
	}
	wantError(t, problems[0].Err, bus.CodeTimeout, false, "deadline exceeded")
}

func TestConfigValidate(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"", "0.0.0.0", "::", "[::1]:80", "::1", ":8080", "0.0.0.0:99", "https://x.example/ollama/", "gpu-box", " 127.0.0.1 "} {
		if err := (engine.Config{Env: withOllama(host)}).Validate(); err != nil {
			t.Errorf("OLLAMA_HOST=%q: %v", host, err)
		}
	}
	err := engine.Config{URLs: []string{"gopher://x"}}.Validate()
	wantError(t, err, bus.CodeInvalid, false, `"gopher://x"`)
	var e *bus.Error
	if errors.As(err, &e) && e.Hint == "" {
		t.Error("no hint")
	}
	_, err = engine.NewWatcher(engine.Config{URLs: []string{"gopher://x"}}, nil)
	wantError(t, err, bus.CodeInvalid, false, `"gopher://x"`)
	if _, _, err = engine.Find(t.Context(), engine.Config{URLs: []string{"gopher://x"}}); err == nil {
		t.Error("Find took an address that is none")
	}
}

// find returns what is there under cfg.
func find(t *testing.T, cfg engine.Config) (*engine.Set, []engine.Problem) {
	t.Helper()
	cfg.ProbeTimeout = patience
	s, problems, err := engine.Find(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s, problems
}

func names(s *engine.Set) string {
	var out []string
	for _, m := range s.Models() {
		out = append(out, m.Engine+"/"+m.Name)
	}
	return strings.Join(out, " ")
}

func TestFindInOrder(t *testing.T) {
	t.Parallel()
	o, a := ollama(t, text(line("real")+doneLine)), openAI(t, text(event("other")+doneEvent))
	s, problems := find(t, engine.Config{URLs: []string{a.URL, "127.0.0.1:1", a.URL + "/v1"}, Env: withOllama(o.URL)})
	if got := names(s); got != "openai/small.gguf openai/vllm ollama/tinylm:latest" {
		t.Errorf("got %s", got)
	}
	if len(problems) != 1 || problems[0].URL != "http://127.0.0.1:1" || problems[0].Err == nil {
		t.Errorf("problems %+v", problems)
	}
	if n := len(s.Engines()); n != 2 {
		t.Errorf("%d engines", n)
	}
	// The model asked for is the model that answers, with or without its tag.
	for model, want := range map[string]string{"vllm": "other", "vllm:latest": "other", "tinylm": "real", "tinylm:latest": "real"} {
		if got := ask(t.Context(), s, model, "x"); got.err != nil || got.res.Text != want || !bus.SameModel(got.res.Model, model) {
			t.Errorf("%s: got %+v, %v", model, got.res, got.err)
		}
	}
	for _, model := range []string{"tinylm:q4", "tiny", "", "TINYLM"} {
		wantError(t, ask(t.Context(), s, model, "x").err, bus.CodeNotFound, true, "there is small.gguf, vllm, tinylm:latest")
	}
}

func TestDemoServesOnlyWhereThereIsNothingElse(t *testing.T) {
	t.Parallel()
	s, _ := find(t, engine.Config{Env: nowhere})
	a := ask(t.Context(), s, "tinylm", "What is the capital of France?")
	if runtime.GOOS == "windows" {
		a.res.TTFT += time.Nanosecond // its clock may not have gone on meanwhile
	}
	if a.err != nil || a.res.Text != "The capital of France is Paris." || !a.res.Demo || a.res.Engine != engine.KindDemo || a.res.Model != "tinylm:latest" ||
		a.streamed() != a.res.Text || a.res.PromptTokens == 0 || a.res.OutputTokens == 0 || a.res.DoneReason != "stop" || a.res.TTFT <= 0 {
		t.Errorf("got %+v, %v", a.res, a.err)
	}
	if m := s.Models(); len(m) != 1 || !m[0].Demo || !m[0].Loaded || m[0].ContextLength != 256 {
		t.Errorf("models %+v", m)
	}
	wantError(t, ask(t.Context(), s, "tinylm", strings.Repeat("x ", 5000)).err, bus.CodeTooLarge, false, "too long for the model's context")

	s, _ = find(t, engine.Config{Env: nowhere, NoDemo: true})
	if len(s.Models()) != 0 {
		t.Errorf("models %+v", s.Models())
	}
	wantError(t, ask(t.Context(), s, "tinylm", "x").err, bus.CodeNotFound, true, "or any other")

	empty := serve(t, map[string]http.HandlerFunc{
		"GET /api/version": text(ollamaVersion), "GET /api/tags": text(ollamaNone), "GET /api/ps": text(ollamaNone),
	})
	if s, _ = find(t, engine.Config{Env: withOllama(empty.URL)}); names(s) != "demo/tinylm:latest" || len(s.Engines()) != 2 {
		t.Errorf("beside an Ollama without models: %s", names(s))
	}
	if s, _ = find(t, engine.Config{Env: withOllama(ollama(t, nil).URL)}); names(s) != "ollama/tinylm:latest" {
		t.Errorf("beside an Ollama with models: %s", names(s))
	}
}

func TestDemoRefusesOtherModelsAndCancelledWork(t *testing.T) {
	t.Parallel()
	d, err := engine.NewDemo()
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, ask(t.Context(), d, "llama3.2", "x").err, bus.CodeNotFound, true, "llama3.2")
	gone := errors.New("superseded")
	if _, err := d.Generate(t.Context(), "tinylm", bus.InferenceRequest{Prompt: "hi"}, func(bus.InferenceChunk) error { return gone }); !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
	_, err = d.Generate(t.Context(), "tinylm", bus.InferenceRequest{Messages: []bus.Message{{Role: "tool"}}}, nil)
	wantError(t, err, bus.CodeInvalid, false, "tool")
}
