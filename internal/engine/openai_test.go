package engine_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/engine"
)

// event is one server-sent event of a stream.
func event(content string) string {
	b, _ := json.Marshal(map[string]any{
		"object":  "chat.completion.chunk",
		"choices": []any{map[string]any{"index": 0, "finish_reason": nil, "delta": map[string]string{"content": content}}},
	})
	return "data: " + string(b) + "\n\n"
}

const (
	finish    = `data: {"choices":[{"finish_reason":"stop","index":0,"delta":{}}]}` + "\n\n"
	usage     = `data: {"choices":[],"usage":{"completion_tokens":2,"prompt_tokens":9,"total_tokens":11}}` + "\n\n"
	doneEvent = "data: [DONE]\n\n"
)

func TestOpenAIModels(t *testing.T) {
	t.Parallel()
	e := probe(t, openAI(t, nil))
	models, err := e.Models(t.Context())
	want := []bus.ModelInfo{
		{Name: "small.gguf", Loaded: true, SizeBytes: 12345, ContextLength: 256, Engine: engine.KindOpenAI},
		{Name: "vllm", Loaded: true, ContextLength: 4096, Engine: engine.KindOpenAI},
	}
	if err != nil || e.Kind() != engine.KindOpenAI || len(models) != 2 || models[0] != want[0] || models[1] != want[1] {
		t.Errorf("got %+v, %v", models, err)
	}
}

func TestOpenAIAnswers(t *testing.T) {
	t.Parallel()
	var got map[string]any
	s := openAI(t, func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		fmt.Fprint(w, ": ping\n\n"+`data: {"choices":[{"delta":{"role":"assistant","content":null,"reasoning_content":"hm"}}]}`+"\n\n"+
			event("Pa")+event("ris")+finish+usage+doneEvent)
	})
	a := ask(t.Context(), probe(t, s), "small.gguf", "capital?")
	if r := a.res; a.err != nil || r.Text != "Paris" || r.Model != "small.gguf" || r.Engine != "openai" || r.DoneReason != "stop" ||
		r.PromptTokens != 9 || r.OutputTokens != 2 || r.TTFT <= 0 {
		t.Errorf("got %+v, %v", a.res, a.err)
	}
	if len(a.chunks) != 2 || a.chunks[0].Thinking != "hm" || a.chunks[1].Text != "Paris" || len(a.chunks[1].Parts()) != 2 {
		t.Errorf("chunks %+v", a.chunks)
	}
	sent, _ := json.Marshal(got)
	const want = `{"messages":[{"content":"capital?","role":"user"}],"model":"small.gguf","stream":true,"stream_options":{"include_usage":true},"temperature":0}`
	if string(sent) != want {
		t.Errorf("sent %s\nwant %s", sent, want)
	}
}

// What a server had read before is told as it tells it, and no more than the prompt has.
func TestOpenAICachedTokens(t *testing.T) {
	t.Parallel()
	for told, want := range map[string]int{
		`"usage":{"completion_tokens":2,"prompt_tokens":9,"prompt_tokens_details":{"cached_tokens":7}}`:                         7,
		`"usage":{"completion_tokens":2,"prompt_tokens":9},"timings":{"cache_n":7,"prompt_n":2,"prompt_ms":1.5}`:                7,
		`"usage":{"completion_tokens":2,"prompt_tokens":9,"prompt_tokens_details":{"cached_tokens":0}},"timings":{"cache_n":0}`: 0,
		`"usage":{"completion_tokens":2,"prompt_tokens":9,"prompt_tokens_details":null}`:                                        0,
		`"usage":{"completion_tokens":2,"prompt_tokens":9,"prompt_tokens_details":{"cached_tokens":10}}`:                        9,
		`"usage":{"completion_tokens":2,"prompt_tokens":9,"prompt_tokens_details":{"cached_tokens":-1}}`:                        0,
		`"usage":{"completion_tokens":2,"prompt_tokens":9,"prompt_tokens_details":[]},"timings":"1 ms"`:                         0,
		`"usage":{"completion_tokens":2,"prompt_tokens":9}`:                                                                     0,
	} {
		s := openAI(t, text(event("Paris")+finish+`data: {"choices":[],`+told+"}\n\n"+doneEvent))
		if a := ask(t.Context(), probe(t, s), "small.gguf", "capital?"); a.err != nil || a.res.PromptTokens != 9 || a.res.CachedTokens != want {
			t.Errorf("%s: %+v, %v, want %d", told, a.res, a.err, want)
		}
	}
}

func TestOpenAIReasonLengthAndLongEvent(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 300<<10) // go-sse's own limit is 64 KiB
	cut := strings.Replace(finish, `"stop"`, `"length"`, 1)
	a := ask(t.Context(), probe(t, openAI(t, text(event(long)+cut+doneEvent))), "vllm", "x")
	if a.err != nil || a.res.Text != long || a.res.DoneReason != "length" {
		t.Errorf("%d bytes, %q, %v", len(a.res.Text), a.res.DoneReason, a.err)
	}
}

func TestOpenAIFailures(t *testing.T) {
	t.Parallel()
	blameless := []string{"loading", "plain page"} // the request
	for name, c := range map[string]struct {
		chat     http.HandlerFunc
		code     bus.Code
		retry    bool
		contains string
	}{
		"missing model": {status(404, `{"error":{"message":"no such model","type":"invalid_request_error"}}`), bus.CodeNotFound, true, "does not have the model"},
		"missing model, by its code": {
			status(400, `{"error":{"message":"Model \"vllm\" not found.","type":"invalid_request_error","param":"model","code":"model_not_found"}}`),
			bus.CodeNotFound, true, "does not have the model",
		},
		"prompt too long": {
			status(400, `{"error":{"code":400,"message":"the request has 9000 tokens","type":"exceed_context_size_error","n_ctx":256}}`),
			bus.CodeTooLarge, false, "9000 tokens",
		},
		"too long, and told late": {
			text(ev(`{"error":{"message":"Trying to keep the first 9000 tokens when context overflows. However, the model is loaded with context length of only 4096 tokens"}}`)),
			bus.CodeTooLarge, false, "9000 tokens",
		},
		"too long in its midst": {
			text(event("Pa") + ev(`{"error":{"message":"it exceeds the available context size"}}`)), bus.CodeUnavailable, true, "broke off",
		},
		"an answer given up": {text(event("Pa") + strings.Replace(finish, `"stop"`, `"abort"`, 1) + doneEvent), bus.CodeUnavailable, true, "abort"},
		"bad request":        {status(422, `{"error":{"message":"temperature"}}`), bus.CodeInvalid, false, "temperature"},
		"loading":            {status(503, `{"error":{"message":"Loading model","type":"unavailable_error"}}`), bus.CodeBusy, true, "Loading model"},
		"key wanted":         {status(401, `{"error":{"message":"Invalid API Key"}}`), bus.CodeUnavailable, true, "Invalid API Key"},
		"error in a 200":     {text(event("Pa") + `data: {"error":{"message":"out of memory"}}` + "\n\n"), bus.CodeUnavailable, true, "out of memory"},
		"no end marker":      {text(event("Pa")), bus.CodeUnavailable, true, "no finish_reason nor [DONE]"},
		"an end and no word": {text(doneEvent), bus.CodeUnavailable, true, "no word before [DONE]"},
		"a role and no word": {text(ev(`{"choices":[{"delta":{"role":"assistant"}}]}`) + doneEvent), bus.CodeUnavailable, true, "no word before [DONE]"},
		"error in a field": {
			text(event("Pa") + `error: {"code":500,"message":"failed to decode","type":"server_error"}` + "\n\n" + doneEvent),
			bus.CodeUnavailable, true, "failed to decode",
		},
		"an object without an end": {text(`{"choices":[{"message":{"content":"Pa"}}]}`), bus.CodeUnavailable, true, "no finish_reason"},
		"half an object":           {text(`{"choices":[{"message":`), bus.CodeUnavailable, true, "cannot be read"},
		"not JSON":                 {text("data: {\n\n"), bus.CodeUnavailable, true, "cannot be read"},
		"plain page":               {status(502, "<html>Bad Gateway</html>\nmore"), bus.CodeUnavailable, true, "Bad Gateway"},
		"event too long":           {text("data: " + strings.Repeat("x", 9<<20)), bus.CodeUnavailable, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := ask(t.Context(), probe(t, openAI(t, c.chat)), "vllm", "capital?")
			wantError(t, a.err, c.code, c.retry, c.contains)
			wantFew(t, a.err, c.retry && !slices.Contains(blameless, name))
		})
	}
}

// A prompt that is too long is told so by each engine in words of its own.
func TestOpenAIPromptsThatAreTooLong(t *testing.T) {
	t.Parallel()
	for _, says := range []string{
		`{"error":{"message":"This model's maximum context length is 4096 tokens. However, you requested 9000 tokens","type":"BadRequestError"}}`,
		`{"error":{"message":"The decoder prompt (length 9000) is longer than the maximum model length of 4096. Make sure that it is not."}}`,
		`{"object":"error","message":"The input (9000 tokens) is longer than the model's context length (4096 tokens)."}`,
		`{"object":"error","message":"Input length (9000 tokens) exceeds the maximum allowed length (4096 tokens)."}`,
		`{"error":"The number of tokens to keep from the initial prompt is greater than the context length. 9000 tokens"}`,
	} {
		a := ask(t.Context(), probe(t, openAI(t, status(400, says))), "vllm", "capital?")
		if wantError(t, a.err, bus.CodeTooLarge, false, "9000"); strings.Contains(a.err.Error(), "{") {
			t.Errorf("told as it came: %v", a.err)
		}
	}
}

// A llama-server lists how long a context the model was trained for; what it was started with it tells elsewhere, and whether it
// answers one question at a time.
func TestLlamaServerTellsItsContext(t *testing.T) {
	t.Parallel()
	type told struct {
		context int
		one     bool
	}
	for props, want := range map[string]told{
		`{"default_generation_settings":{"n_ctx":4096},"chat_template_caps":{"supports_tools":true}}`: {context: 4096},
		`{"default_generation_settings":{"n_ctx":4096},"total_slots":4}`:                              {context: 4096},
		`{"total_slots":1}`: {context: 131072, one: true},
	} {
		s := serve(t, map[string]http.HandlerFunc{
			"GET /v1/models": text(`{"data":[{"id":"one","owned_by":"llamacpp","meta":{"n_ctx_train":131072}}]}`), "GET /props": text(props),
		})
		models, err := probe(t, s).Models(t.Context())
		if err != nil || len(models) != 1 || models[0].ContextLength != want.context || models[0].OneAtATime != want.one {
			t.Errorf("%s: %+v, %v, want %+v", props, models, err, want)
		}
	}
}

// A llama-server tells which models it has loaded, and what they can do; one that is not loaded is not asked for, which would
// load it.
func TestLlamaServerTellsAbilities(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 9)
	s := serve(t, map[string]http.HandlerFunc{
		"GET /v1/models": text(`{"data":[{"id":"one","owned_by":"llamacpp"},{"id":"a b","owned_by":"llamacpp","status":{"value":"loaded"}},
			{"id":"sleeps","owned_by":"llamacpp","status":{"value":"unloaded"}},{"id":"old","owned_by":"llamacpp"},{"id":"other","owned_by":"vllm"}]}`),
		"GET /props": func(w http.ResponseWriter, r *http.Request) {
			asked <- r.URL.RawQuery
			fmt.Fprint(w, map[string]string{
				"one": `{"chat_template_caps":{"supports_tools":true},"modalities":{"vision":true}}`,
				"a b": `{"chat_template_caps":{"supports_tools":false},"modalities":{"vision":false}}`,
				"old": `{"total_slots":1}`,
			}[r.URL.Query().Get("model")])
		},
	})
	models, err := probe(t, s).Models(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bus.Abilities{"one": bus.Answers | bus.Tools | bus.Sees} // "a b" may make vectors alone
	for _, m := range models {
		if m.Can != want[m.Name] || m.Loaded != (m.Name != "sleeps") {
			t.Errorf("%s can %v, want %v; loaded: %v", m.Name, m.Can.Names(), want[m.Name].Names(), m.Loaded)
		}
	}
	close(asked)
	for q := range asked {
		if !strings.HasPrefix(q, "autoload=false&model=") || strings.Contains(q, "sleeps") || strings.Contains(q, "other") {
			t.Errorf("asked for %s", q)
		}
	}
}
