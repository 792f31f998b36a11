package handlers_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scripted is Engines whose answer a test writes.
type scripted struct {
	models []bus.ModelInfo
	chunks []string
	err    error
	as     string // answers as this model instead of the one asked for

	mu    sync.Mutex
	asked []string
}

func (s *scripted) Models() []bus.ModelInfo { return s.models }

func (s *scripted) Generate(ctx context.Context, model string, req bus.InferenceRequest, emit func(bus.InferenceChunk) error) (bus.InferenceResult, error) {
	s.mu.Lock()
	s.asked = append(s.asked, model+": "+req.Prompt)
	s.mu.Unlock()
	for _, c := range s.chunks {
		if err := emit(bus.InferenceChunk{Text: c}); err != nil {
			return bus.InferenceResult{}, err
		}
	}
	if s.err != nil {
		return bus.InferenceResult{}, s.err
	}
	if err := context.Cause(ctx); err != nil {
		return bus.InferenceResult{}, bus.Retry(bus.Errorf(bus.CodeUnavailable, "cut off: %w", err))
	}
	if s.as != "" {
		model = s.as
	}
	return bus.InferenceResult{Text: strings.Join(s.chunks, ""), Model: model}, nil
}

func (s *scripted) Continue(context.Context, string, bus.InferenceRequest, bus.Said, func() error, func(bus.InferenceChunk) error) (res bus.InferenceResult, ok bool, err error) {
	return res, false, nil
}

// run is one call of Handle and what was seen of it.
type run struct {
	result any
	err    error
	chunks []string
	phases []string
	limits []time.Duration
}

func handle(ctx context.Context, h bus.Handler, model string, payload any) run {
	var r run
	data, err := json.Marshal(payload)
	if err != nil {
		panic(err)
	}
	ctx = bus.WithPhase(ctx, func(name string, limit time.Duration) {
		r.phases, r.limits = append(r.phases, name), append(r.limits, limit)
	})
	r.result, r.err = h.Handle(ctx, &bus.Task{Type: bus.TypeInference, Model: model, Payload: data}, func(c any) error {
		text := fmt.Sprint(c)
		if c, ok := c.(bus.InferenceChunk); ok {
			text = c.Text
		}
		r.chunks = append(r.chunks, text)
		return nil
	})
	return r
}

func wantCode(t *testing.T, err error, code bus.Code, retry bool) {
	t.Helper()
	var e *bus.Error
	if !errors.As(err, &e) || e.Code != code || bus.IsRetry(err) != retry {
		t.Errorf("got %v (retry %v), want code %s, retry %v", err, bus.IsRetry(err), code, retry)
	}
}

func TestPing(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	p := handlers.NewPing("myco-0123456789ab", "kitchen", func() time.Time { return now })
	c, err := p.Capability(t.Context())
	if err != nil || c.Type != bus.TypePing || c.Slots == 0 {
		t.Errorf("capability %+v, %v", c, err)
	}
	got, err := p.Handle(t.Context(), &bus.Task{Type: bus.TypePing, Payload: json.RawMessage(`{"n":1}`)}, nil)
	text, _ := json.Marshal(got)
	const want = `{"node_id":"myco-0123456789ab","name":"kitchen","at":"2026-01-02T03:04:05Z","echo":{"n":1}}`
	if err != nil || string(text) != want {
		t.Errorf("got %s, %v, want %s", text, err, want)
	}
	_, err = p.Handle(t.Context(), &bus.Task{Payload: make(json.RawMessage, 65<<10)}, nil)
	wantCode(t, err, bus.CodeTooLarge, false)
	if got, err := handlers.NewPing("x", "y", nil).Handle(t.Context(), &bus.Task{}, nil); err != nil || got.(handlers.Pong).At.IsZero() {
		t.Errorf("with the machine's clock: %+v, %v", got, err)
	}
}

func TestInferenceCapability(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		models []bus.ModelInfo
		slots  int
	}{
		"no engine": {nil, 0},
		"a model":   {[]bus.ModelInfo{{Name: "m"}}, 3},
	} {
		got, err := handlers.NewInference(&scripted{models: c.models}, 3).Capability(t.Context())
		if err != nil || got.Type != bus.TypeInference || got.Slots != c.slots || len(got.Models) != len(c.models) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestInferenceStreamsAndReturnsTheResult(t *testing.T) {
	t.Parallel()
	e := &scripted{models: []bus.ModelInfo{{Name: "m:latest", Loaded: true}}, chunks: []string{"Pa", "ris"}}
	r := handle(t.Context(), handlers.NewInference(e, 1), "m", bus.InferenceRequest{Prompt: "capital?"})
	res, ok := r.result.(bus.InferenceResult)
	if r.err != nil || !ok || res.Text != "Paris" || res.Model != "m" {
		t.Errorf("got %+v, %v", r.result, r.err)
	}
	if strings.Join(r.chunks, "|") != "Pa|ris" || strings.Join(e.asked, "|") != "m: capital?" {
		t.Errorf("chunks %q, asked %q", r.chunks, e.asked)
	}
	if strings.Join(r.phases, " ") != "prompt output" || r.limits[0] < 2*time.Minute || r.limits[1] != 30*time.Second {
		t.Errorf("phases %v with limits %v", r.phases, r.limits)
	}
}

func TestInferenceGivesALargeModelTimeToLoad(t *testing.T) {
	t.Parallel()
	limit := func(m bus.ModelInfo, prompt string) time.Duration {
		r := handle(t.Context(), handlers.NewInference(&scripted{models: []bus.ModelInfo{m}}, 1), "m", bus.InferenceRequest{Prompt: prompt})
		if want := map[bool]string{true: "prompt", false: "load"}[m.Loaded]; r.phases[0] != want {
			t.Errorf("%+v: phase %q, want %q", m, r.phases[0], want)
		}
		return r.limits[0]
	}
	loaded := limit(bus.ModelInfo{Name: "m", Loaded: true, SizeBytes: 40 << 30}, "x")
	small := limit(bus.ModelInfo{Name: "m", SizeBytes: 1 << 20}, "x")
	large := limit(bus.ModelInfo{Name: "m", SizeBytes: 40 << 30}, "x")
	long := limit(bus.ModelInfo{Name: "m", Loaded: true}, strings.Repeat("x", 100_000))
	if loaded >= small || small >= large || loaded >= long {
		t.Errorf("limits: loaded %v, small %v, large %v, long prompt %v", loaded, small, large, long)
	}
}

// An engine that is at work and says nothing is left alone, and clients hear nothing of it.
func TestInferenceSignsOfLife(t *testing.T) {
	t.Parallel()
	e := &scripted{models: []bus.ModelInfo{{Name: "m", Loaded: true}}, chunks: []string{"Pa", "", "", "ris"}}
	r := handle(t.Context(), handlers.NewInference(e, 1), "m", bus.InferenceRequest{Prompt: "x"})
	if r.err != nil || strings.Join(r.chunks, "|") != "Pa|ris" || strings.Join(r.phases, " ") != "prompt output output output" {
		t.Errorf("chunks %q, phases %v, %v", r.chunks, r.phases, r.err)
	}
}

// Ollama says nothing while a model writes a call of a tool.
func TestInferenceGivesToolsTime(t *testing.T) {
	t.Parallel()
	tools := json.RawMessage(`[{"type":"function"}]`)
	for name, c := range map[string]struct {
		engine string
		req    bus.InferenceRequest
		long   bool
	}{
		"no tools":        {"ollama", bus.InferenceRequest{Prompt: "x"}, false},
		"tools":           {"ollama", bus.InferenceRequest{Prompt: "x", Tools: tools}, true},
		"tools elsewhere": {"openai", bus.InferenceRequest{Prompt: "x", Tools: tools}, false},
	} {
		e := &scripted{models: []bus.ModelInfo{{Name: "m:latest", Loaded: true, Engine: c.engine}}, chunks: []string{"Pa"}}
		r := handle(t.Context(), handlers.NewInference(e, 1), "m", c.req)
		if len(r.limits) != 2 || (r.limits[1] == r.limits[0]) != c.long || (r.limits[1] == 30*time.Second) == c.long {
			t.Errorf("%s: phases %v with limits %v", name, r.phases, r.limits)
		}
	}
}

func TestInferenceKeepsToItsOwnersLimits(t *testing.T) {
	t.Parallel()
	e := &scripted{models: []bus.ModelInfo{{Name: "m", SizeBytes: 40 << 30}}, chunks: []string{"Pa"}}
	h := handlers.NewInference(e, 1).WithLimits(handlers.Limits{First: 2 * time.Second, Token: time.Second})
	r := handle(t.Context(), h, "m", bus.InferenceRequest{Prompt: "x"})
	if len(r.limits) != 2 || r.limits[0] != 2*time.Second || r.limits[1] != time.Second {
		t.Errorf("phases %v with limits %v, want 2 s and 1 s", r.phases, r.limits)
	}
}

func TestInferenceRefusesBadRequests(t *testing.T) {
	t.Parallel()
	e := &scripted{models: []bus.ModelInfo{{Name: "m"}}}
	h := handlers.NewInference(e, 1)
	for name, c := range map[string]struct {
		model   string
		payload any
		code    bus.Code
	}{
		"not a request":  {"m", []int{1}, bus.CodeInvalid},
		"no payload":     {"m", nil, bus.CodeInvalid},
		"empty prompt":   {"m", bus.InferenceRequest{}, bus.CodeInvalid},
		"blank prompt":   {"m", bus.InferenceRequest{Prompt: " \n"}, bus.CodeInvalid},
		"both kinds":     {"m", bus.InferenceRequest{Prompt: "x", Messages: []bus.Message{{Role: "user", Content: "y"}}}, bus.CodeInvalid},
		"unknown role":   {"m", bus.InferenceRequest{Messages: []bus.Message{{Role: "cook", Content: "y"}}}, bus.CodeInvalid},
		"prompt too big": {"m", bus.InferenceRequest{Prompt: strings.Repeat("x", bus.MaxPrompt+1)}, bus.CodeTooLarge},
		"no model":       {"", bus.InferenceRequest{Prompt: "x"}, bus.CodeInvalid},
	} {
		r := handle(t.Context(), h, c.model, c.payload)
		if len(r.phases) != 0 {
			t.Errorf("%s: phases %v", name, r.phases)
		}
		wantCode(t, r.err, c.code, false)
	}
	if len(e.asked) != 0 {
		t.Errorf("the engine was asked: %q", e.asked)
	}
}

func TestInferenceErrors(t *testing.T) {
	t.Parallel()
	req := bus.InferenceRequest{Prompt: "x"}
	swapped := handle(t.Context(), handlers.NewInference(&scripted{as: "other"}, 1), "m", req)
	wantCode(t, swapped.err, bus.CodeInternal, false)

	crash := bus.Retry(bus.Errorf(bus.CodeUnavailable, "connection reset"))
	r := handle(t.Context(), handlers.NewInference(&scripted{chunks: []string{"Pa"}, err: crash}, 1), "m", req)
	wantCode(t, r.err, bus.CodeUnavailable, true)

	stalled := bus.Errorf(bus.CodeTimeout, "the engine hangs")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stalled)
	r = handle(ctx, handlers.NewInference(&scripted{}, 1), "m", req)
	wantCode(t, r.err, bus.CodeTimeout, false)

	gone := errors.New("superseded")
	data, _ := json.Marshal(req)
	_, err := handlers.NewInference(&scripted{chunks: []string{"Pa"}}, 1).Handle(t.Context(),
		&bus.Task{Model: "m", Payload: data}, func(any) error { return gone })
	if !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
}
