package gateway_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/bus"
)

// vectors makes one vector for each input.
func vectors(t bus.Task, _ func(bus.Chunk) error) (any, error) {
	var req bus.EmbedRequest
	if err := json.Unmarshal(t.Payload, &req); err != nil {
		return nil, err
	}
	res := bus.EmbedResult{Model: t.Model, Vectors: [][]float32{}, PromptTokens: 3, Duration: 5, Loading: 1}
	for i := range req.Inputs {
		res.Vectors = append(res.Vectors, []float32{float32(i), 0.5})
	}
	return res, nil
}

func TestEmbeddings(t *testing.T) {
	t.Parallel()
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	for name, c := range map[string]struct {
		path, body string
		want       string
		req        bus.EmbedRequest
	}{
		"Ollama": {
			"/api/embed", `{"model":"vec","input":["a","b"],"truncate":false,"dimensions":2,"keep_alive":"5m","options":{"num_ctx":8},"later":1}`,
			`{"model":"vec","embeddings":[[0,0.5],[1,0.5]],"total_duration":5,"load_duration":1,"prompt_eval_count":3}`,
			bus.EmbedRequest{
				Inputs: []string{"a", "b"}, Dimensions: 2, KeepAlive: raw(`"5m"`), Options: map[string]json.RawMessage{"num_ctx": raw("8")},
				Dialect: "ollama", Extra: map[string]json.RawMessage{"later": raw("1")},
			},
		},
		"Ollama, one": {
			"/api/embed", `{"model":"vec","input":"a"}`, `{"model":"vec","embeddings":[[0,0.5]],"total_duration":5,"load_duration":1,"prompt_eval_count":3}`,
			bus.EmbedRequest{Inputs: []string{"a"}, Truncate: true, Dialect: "ollama"},
		},
		"Ollama, load": {
			"/api/embed", `{"model":"vec","input":""}`, `{"model":"vec","embeddings":[],"prompt_eval_count":3}`,
			bus.EmbedRequest{Truncate: true, Dialect: "ollama"},
		},
		"Ollama, older": {
			"/api/embeddings", `{"model":"vec","prompt":"a"}`, `{"embedding":[0,0.5]}`, bus.EmbedRequest{Inputs: []string{"a"}, Truncate: true, Plain: true, Dialect: "ollama"},
		},
		"Ollama, older, load": {"/api/embeddings", `{"model":"vec"}`, `{"embedding":[]}`, bus.EmbedRequest{Truncate: true, Plain: true, Dialect: "ollama"}},
		"OpenAI": {
			"/v1/embeddings", `{"model":"vec","input":"a","user":"u","dimensions":2,"later":1}`,
			`{"object":"list","model":"vec","data":[{"object":"embedding","index":0,"embedding":[0,0.5]}],"usage":{"prompt_tokens":3,"total_tokens":3}}`,
			bus.EmbedRequest{Inputs: []string{"a"}, Dimensions: 2, Dialect: "openai", Extra: map[string]json.RawMessage{"later": raw("1")}},
		},
		"OpenAI, in base64": {
			"/v1/embeddings", `{"model":"vec","input":["a"],"encoding_format":"base64"}`,
			`{"object":"list","model":"vec","data":[{"object":"embedding","index":0,"embedding":"` +
				base64.StdEncoding.EncodeToString([]byte{0, 0, 0, 0, 0, 0, 0, 0x3f}) + `"}],"usage":{"prompt_tokens":3,"total_tokens":3}}`,
			bus.EmbedRequest{Inputs: []string{"a"}, Dialect: "openai"},
		},
	} {
		o, g := newOracle(t, vectors)
		w := local(t, g, "POST", c.path, c.body)
		var want map[string]any
		if err := json.Unmarshal([]byte(c.want), &want); err != nil {
			t.Fatal(name, err)
		}
		if d := cmp.Diff(want, object(t, w)); w.Code != 200 || w.Header().Get("X-Myco-Node") != string(other) || d != "" {
			t.Error(name, w.Code, w.Header(), d)
		}
		if len(o.tasks) != 1 || o.tasks[0].Type != bus.TypeEmbed || o.tasks[0].Model != "vec" {
			t.Fatalf("%s became %+v", name, o.tasks)
		}
		var req bus.EmbedRequest
		if err := json.Unmarshal(o.tasks[0].Payload, &req); err != nil {
			t.Fatal(name, err)
		}
		if req.Inputs == nil {
			t.Errorf("%s: the inputs are null", name)
		}
		if len(req.Inputs) == 0 {
			req.Inputs = nil
		}
		if d := cmp.Diff(c.req, req); d != "" {
			t.Error(name, d)
		}
	}
}

func TestEmbeddingErrors(t *testing.T) {
	t.Parallel()
	_, g := newOracle(t, fails(bus.Errorf(bus.CodeNoWorker, "no node has it")))
	for path, body := range map[string]string{
		"/api/embed": `{"model":"x","input":"a"}`, "/api/embeddings": `{"model":"x","prompt":"a"}`, "/v1/embeddings": `{"model":"x","input":"a"}`,
	} {
		if w := local(t, g, "POST", path, body); w.Code != 404 || !strings.Contains(w.Body.String(), "model 'x' not found") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		if w := local(t, g, "POST", path, "{}"); w.Code != 400 {
			t.Errorf("%s of nothing: %d %s", path, w.Code, w.Body)
		}
	}
	for _, tokens := range []string{"[1,2]", "[ 1]", "[[1,2],[3]]"} {
		if w := local(t, g, "POST", "/v1/embeddings", `{"model":"x","input":`+tokens+`}`); w.Code != 400 || !strings.Contains(w.Body.String(), "check_embedding_ctx_length") {
			t.Errorf("tokens %s: %d %s", tokens, w.Code, w.Body)
		}
	}
	_, g = newOracle(t, func(bus.Task, func(bus.Chunk) error) (any, error) { return bus.EmbedResult{}, nil })
	if w := local(t, g, "POST", "/api/embed", `{"model":"vec","input":"a"}`); w.Code != 500 || !strings.Contains(w.Body.String(), "0 vectors for 1 inputs") {
		t.Errorf("too few: %d %s", w.Code, w.Body)
	}
}

// A program may have a whole folder made into vectors at once.
func TestManyTexts(t *testing.T) {
	t.Parallel()
	_, g := newOracle(t, vectors)
	for n, status := range map[int]int{bus.MaxInputs: 200, bus.MaxInputs + 1: 400} {
		body := `{"model":"vec","input":["a"` + strings.Repeat(`,"a"`, n-1) + `]}`
		if w := local(t, g, "POST", "/api/embed", body); w.Code != status {
			t.Errorf("%d texts: %d %.200s", n, w.Code, w.Body)
		}
	}
}
