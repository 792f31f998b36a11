package engine_test

import (
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	product "github.com/mycoswarm/mycoswarm/internal/engine"
)

// The daemon's own client takes a scripted engine for an Ollama, and can use it.
func TestPassesForOllama(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	cfg := product.Config{URLs: []string{b.URL()}, NoDemo: true, ProbeTimeout: 10 * time.Second}
	cfg.Env = func(string) string { return b.URL() } // where an Ollama is looked for
	e, problems, err := product.Find(t.Context(), cfg)
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	models := e.Models()
	if len(models) != 1 || models[0].Engine != product.KindOllama || models[0].Name != engine.Model || !models[0].Loaded {
		t.Fatalf("models %+v", models)
	}
	text := ""
	r, err := e.Generate(t.Context(), engine.Model, bus.InferenceRequest{Prompt: engine.Prompt("t-2")},
		func(c bus.InferenceChunk) error { text += c.Text; return nil })
	if err != nil || r.Text != "done t-2" || text != r.Text || r.DoneReason != "stop" {
		t.Errorf("result %+v, streamed %q, error %v", r, text, err)
	}
	if runs := b.ledger.Runs(); len(runs) != 1 || runs[0].Marker != "t-2" {
		t.Errorf("runs %+v, want one", runs)
	}
}

// The marks around what others wrote name no task, and one in it is found.
func TestMarkerBetweenMarks(t *testing.T) {
	t.Parallel()
	for want, prompt := range map[string]string{
		"t-2": bus.NeverObey + "\n\n" + bus.Marked(engine.Prompt("t-2")) + "\n\nWhat is it?",
		"":    bus.Marked("nothing"),
	} {
		if got := engine.Marker(prompt); got != want {
			t.Errorf("%q names %q, want %q", prompt, got, want)
		}
	}
}
