package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/engine"
)

const studioModels = `{"data":[{"id":"qwen/qwen3-8b","object":"model","owned_by":"organization_owner"},
	{"id":"qwen2-vl-7b","owned_by":"organization_owner"},{"id":"text-embedding-nomic","owned_by":"organization_owner"},{"id":"new","owned_by":"organization_owner"}]}`

// LM Studio lists all models that it has on its disk, for vectors too; an interface of its own tells what is what.
func TestStudioTellsOfItsModels(t *testing.T) {
	t.Parallel()
	s := serve(t, map[string]http.HandlerFunc{
		"GET /v1/models": text(studioModels),
		"GET /api/v0/models": text(`{"data":[
			{"id":"qwen/qwen3-8b","type":"llm","arch":"qwen3","quantization":"Q4_K_M","state":"loaded","max_context_length":40960,"loaded_context_length":8192,"capabilities":["tool_use"]},
			{"id":"qwen2-vl-7b","type":"vlm","arch":"qwen2_vl","quantization":"4bit","state":"not-loaded","max_context_length":32768},
			{"id":"text-embedding-nomic","type":"embeddings","state":"not-loaded","max_context_length":2048}]}`),
	})
	got, err := probe(t, s).Models(t.Context())
	want := []bus.ModelInfo{
		{Name: "qwen/qwen3-8b", Loaded: true, ContextLength: 8192, Family: "qwen3", Quantization: "Q4_K_M", Can: bus.Answers | bus.Tools},
		{Name: "qwen2-vl-7b", ContextLength: 32768, Family: "qwen2_vl", Quantization: "4bit", Can: bus.Answers | bus.Tools | bus.Sees},
		{Name: "text-embedding-nomic", ContextLength: 2048, Can: bus.Embeds},
		{Name: "new", Loaded: true},
	}
	for i := range want {
		want[i].Engine = engine.KindOpenAI
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	set, _, err := engine.Find(patiently(t), quick(nowhere, s.URL))
	if err != nil || len(set.Models()) != 3 || len(set.Embedders()) != 4 {
		t.Errorf("%d models answer, %d make vectors, %v", len(set.Models()), len(set.Embedders()), err)
	}
}

// What takes too long to tell is not told otherwise meanwhile.
func TestSlowStudio(t *testing.T) {
	t.Parallel()
	s := serve(t, map[string]http.HandlerFunc{
		"GET /v1/models": text(studioModels), "GET /api/v0/models": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if got, err := probe(t, s).Models(ctx); err == nil {
		t.Errorf("told %+v", got)
	}
}

// Versions before that interface say with a status of 200 that there is none.
func TestOlderStudio(t *testing.T) {
	t.Parallel()
	s := serve(t, map[string]http.HandlerFunc{
		"GET /v1/models": text(studioModels), "GET /api/v0/models": text(`{"error":"Unexpected endpoint or method. (GET /api/v0/models)"}`),
	})
	got, err := probe(t, s).Models(t.Context())
	if err != nil || len(got) != 4 || got[2] != (bus.ModelInfo{Name: "text-embedding-nomic", Loaded: true, Engine: engine.KindOpenAI}) {
		t.Errorf("%+v, %v", got, err)
	}
}

// LM Studio begins its stream before it looks at the prompt, and says in it that this is too long: older turns are left out
// all the same where the client allows it.
func TestStudioForgetsTheBeginning(t *testing.T) {
	t.Parallel()
	var asked []int
	s := openAI(t, func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Messages []json.RawMessage }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		if asked = append(asked, len(body.Messages)); len(body.Messages) > 5 {
			fmt.Fprint(w, "event: error\n"+`data: {"error":{"message":"the model is loaded with context length of only 4096 tokens"}}`+"\n\n")
			return
		}
		fmt.Fprint(w, event("Paris")+finish+doneEvent)
	})
	req := bus.InferenceRequest{Messages: long(8), Truncate: true}
	said := ""
	res, err := probe(t, s).Generate(t.Context(), "vllm", req, func(c bus.InferenceChunk) error { said += c.Text; return nil })
	if err != nil || res.Text != "Paris" || said != "Paris" || !slices.Equal(asked, []int{17, 7, 3}) {
		t.Errorf("%+v, %v, said %q, asked with %v messages", res, err, said, asked)
	}
}
