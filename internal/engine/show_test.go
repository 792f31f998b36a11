package engine_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/engine"
)

// All that an Ollama tells of a model is told, but for where its files are.
func TestOllamaShows(t *testing.T) {
	t.Parallel()
	hash := strings.Repeat("0f", 32)
	for name, c := range map[string]struct{ file, parent, want, wantParent string }{
		"files": {
			"# FROM m:latest\n\nFROM /home/ann/.ollama/models/blobs/sha256-" + hash + "\nFROM /srv/blobs/sha256-" + hash + "\nADAPTER D:\\models\\blobs\\sha256-" + hash + "\nTEMPLATE x\n",
			"/home/ann/.ollama/models/blobs/sha256-" + hash, "# FROM m:latest\n\nFROM m:latest\nTEMPLATE x\n", "",
		},
		"the last line":      {"FROM /srv/blobs/sha256-" + hash, "", "FROM m:latest\n", ""},
		"a model of another": {"FROM other:7b\nLICENSE \"\"\"\nFROM /the/heart\n\"\"\"", "other:7b", "FROM other:7b\nLICENSE \"\"\"\nFROM /the/heart\n\"\"\"", "other:7b"},
	} {
		told, _ := json.Marshal(map[string]any{
			"modelfile": c.file, "details": map[string]string{"parent_model": c.parent, "family": "llama"}, "license": "<MIT>", "model_info": map[string]int{"x": 1},
		})
		var asked []string
		show, err := engine.NewOllama(server(t, answersBy{"/api/show": always(string(told))}.serve(t, &asked))).Show(t.Context(), "m:latest", true)
		var got map[string]any
		if err != nil || json.Unmarshal(show, &got) != nil {
			t.Fatalf("%s: %s, %v", name, show, err)
		}
		want := map[string]any{
			"modelfile": c.want, "details": map[string]any{"parent_model": c.wantParent, "family": "llama"}, "license": "<MIT>", "model_info": map[string]any{"x": 1.0},
		}
		if d := cmp.Diff(want, got); d != "" || asked[0] != `/api/show {"model":"m:latest","verbose":true}` {
			t.Errorf("%s: asked %s: %s", name, asked, d)
		}
	}
	var asked []string
	_, err := engine.NewOllama(server(t, answersBy{}.serve(t, &asked))).Show(t.Context(), "m", false)
	wantError(t, err, bus.CodeNotFound, true, "does not have the model")
	_, err = engine.NewOllama(server(t, answersBy{"/api/show": always(`{}`)}.serve(t, &asked))).Show(t.Context(), "m", false)
	if err != nil {
		t.Errorf("an old server: %v", err)
	}
}
