package handlers_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers"
)

// counting is Embedders whose vectors tell which text they are of.
type counting struct {
	models []bus.ModelInfo
	err    error
	as     string
	sizes  []int // of the batches
}

func (c *counting) Embedders() []bus.ModelInfo { return c.models }

func (c *counting) Embed(_ context.Context, model string, req bus.EmbedRequest) (bus.EmbedResult, error) {
	c.sizes = append(c.sizes, len(req.Inputs))
	if c.as != "" {
		model = c.as
	}
	res := bus.EmbedResult{Model: model, Engine: "ollama", PromptTokens: 2 * len(req.Inputs), Loading: 1, Duration: 2}
	for _, s := range req.Inputs {
		var n float32
		if _, err := fmt.Sscan(s, &n); err != nil {
			return res, err
		}
		res.Vectors = append(res.Vectors, []float32{n, float32(req.Dimensions)})
	}
	return res, c.err
}

func numbers(n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprint(i))
	}
	return out
}

// long is Embedders whose vectors are as long as a test says.
type long struct {
	counting
	vector []float32
}

func (l *long) Embed(_ context.Context, model string, req bus.EmbedRequest) (bus.EmbedResult, error) {
	l.sizes = append(l.sizes, len(req.Inputs))
	res := bus.EmbedResult{Model: model}
	for range req.Inputs {
		res.Vectors = append(res.Vectors, l.vector)
	}
	return res, nil
}

// Vectors that no result has room for are not made to the end.
func TestEmbedEndsWhatBecomesTooLarge(t *testing.T) {
	t.Parallel()
	e := &long{vector: make([]float32, 1<<18)}
	r := handle(t.Context(), handlers.NewEmbed(e, 1), "m", bus.EmbedRequest{Inputs: numbers(1000)})
	wantCode(t, r.err, bus.CodeTooLarge, false)
	if len(e.sizes) != 3 { // 128 MiB each
		t.Errorf("batches %v", e.sizes)
	}
}

func TestEmbedWorksInBatches(t *testing.T) {
	t.Parallel()
	e := &counting{models: []bus.ModelInfo{{Name: "m:latest", SizeBytes: 1 << 30, Digest: "d"}}}
	h := handlers.NewEmbed(e, 2)
	r := handle(t.Context(), h, "m", bus.EmbedRequest{Inputs: numbers(150), Dimensions: 7})
	res, ok := r.result.(bus.EmbedResult)
	if r.err != nil || !ok || len(res.Vectors) != 150 || res.PromptTokens != 300 || res.Loading != 3 || res.Duration != 6 || res.Model != "m" || res.Digest != "d" || res.Engine != "ollama" {
		t.Fatalf("%+v, %v", r.result, r.err)
	}
	for i, v := range res.Vectors {
		if v[0] != float32(i) || v[1] != 7 {
			t.Fatalf("vector %d is %v", i, v)
		}
	}
	if fmt.Sprint(e.sizes) != "[64 64 22]" || strings.Join(r.phases, " ") != "embed embed embed" || r.limits[0] < 4*time.Minute {
		t.Errorf("batches %v, phases %v with limits %v", e.sizes, r.phases, r.limits)
	}
	if r := handle(t.Context(), h, "m", bus.EmbedRequest{}); r.err != nil || r.result.(bus.EmbedResult).Vectors == nil {
		t.Errorf("no inputs: %+v, %v", r.result, r.err)
	}
	r = handle(t.Context(), handlers.NewEmbed(e, 1).WithLimits(handlers.Limits{First: time.Second}), "m", bus.EmbedRequest{Inputs: numbers(1)})
	if r.limits[0] != time.Second {
		t.Errorf("limits %v, want the owner's", r.limits)
	}
}

func TestEmbedCapability(t *testing.T) {
	t.Parallel()
	for slots, models := range map[int][]bus.ModelInfo{0: nil, 3: {{Name: "m"}}} {
		c, err := handlers.NewEmbed(&counting{models: models}, 3).Capability(t.Context())
		if err != nil || c.Type != bus.TypeEmbed || c.Slots != slots || len(c.Models) != len(models) {
			t.Errorf("%+v, %v, want %d slots", c, err, slots)
		}
	}
}

func TestEmbedErrors(t *testing.T) {
	t.Parallel()
	one := bus.EmbedRequest{Inputs: numbers(1)}
	for name, c := range map[string]struct {
		e     counting
		model string
		req   any
		code  bus.Code
		retry bool
	}{
		"not a request":  {counting{}, "m", []int{1}, bus.CodeInvalid, false},
		"no model":       {counting{}, "", one, bus.CodeInvalid, false},
		"too many":       {counting{}, "m", bus.EmbedRequest{Inputs: make([]string, bus.MaxInputs+1)}, bus.CodeInvalid, false},
		"dimensions":     {counting{}, "m", bus.EmbedRequest{Inputs: numbers(1), Dimensions: -1}, bus.CodeInvalid, false},
		"another model":  {counting{as: "n"}, "m", one, bus.CodeInternal, false},
		"engine is gone": {counting{err: bus.Retry(bus.Errorf(bus.CodeUnavailable, "gone"))}, "m", one, bus.CodeUnavailable, true},
	} {
		r := handle(t.Context(), handlers.NewEmbed(&c.e, 1), c.model, c.req)
		t.Log(name)
		wantCode(t, r.err, c.code, c.retry)
	}
	stalled := bus.Errorf(bus.CodeTimeout, "the engine hangs")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stalled)
	r := handle(ctx, handlers.NewEmbed(&counting{err: errors.New("cut off")}, 1), "m", one)
	wantCode(t, r.err, bus.CodeTimeout, false)
}
