package main

import (
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"

	"github.com/mycoswarm/mycoswarm/bus"
)

func TestModels(t *testing.T) {
	t.Parallel()
	d := setup(t)
	golden(t, "models.golden", d.myco("models").want(t, 0).out)
	golden(t, "models_json.golden", d.myco("models", "--loaded", "--json").want(t, 0).out)
	if got := d.myco("models", "A").want(t, 0).out; !strings.Contains(got, "\na ") || strings.Contains(got, "gemma3") {
		t.Errorf("models A printed\n%s\nwant a alone", got)
	}
	d.myco("models", "--node", "laptop").want(t, 0, "no models. To get one: ollama pull gemma3:1b")
	d.myco("models", "--node", "nobody").want(t, 3, "nobody", "try: myco swarm")
	d.myco("models", "gemma9").want(t, 3, "model 'gemma9' not found: no node has it", "try: ollama pull gemma9")
	d.myco("models", "a", "--node", "laptop").want(t, 3, "laptop does not have it")
	d.myco("models", "a", "--loaded").want(t, 3, "model 'a' is not loaded", "try: myco ask -m a PROMPT")
}

// One line a model, whoever has it; what one node does not tell another may.
func TestSharedModels(t *testing.T) {
	t.Parallel()
	small := bus.ModelInfo{Name: "small:latest", Digest: "d1", SizeBytes: 815e6, ContextLength: 32768, ParameterSize: "1B", Quantization: "Q4_K_M", Can: bus.Answers | bus.Tools}
	loaded := small
	loaded.Loaded, loaded.Speed = true, &bus.ModelSpeed{Writing: 34}
	other := bus.ModelInfo{Name: "small", Digest: "d2", SizeBytes: 1.6e9}
	both := bus.ModelInfo{Name: "embed:latest", Can: bus.Embeds, ContextLength: 2000}
	got := bus.SharedModels([]bus.NodeInfo{
		{ID: "myco-1", Name: "laptop", State: bus.NodeReady, Models: []bus.ModelInfo{small, {Name: "cap", Demo: true, SizeBytes: 100}}},
		{ID: "myco-2", Name: "tower", State: bus.NodeSuspect, Models: []bus.ModelInfo{loaded, both}, Embedders: []bus.ModelInfo{both, {Name: "words"}}},
		{ID: "myco-3", Name: "attic", State: bus.NodeDraining, Models: []bus.ModelInfo{other}},
		{ID: "myco-4", Name: "cellar", State: bus.NodeLost, Models: []bus.ModelInfo{{Name: "gone"}}},
	})
	golden(t, "models_shared.golden", ansi.Strip(modelsTable(got, 0)))
}
