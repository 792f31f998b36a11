package engine_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/engine"
)

// recorder is an engine that keeps what it is sent, by path, and answers each with one text.
type recorder struct {
	*httptest.Server
	path string
	body map[string]any
}

func record(t *testing.T, paths map[string]string, more map[string]http.HandlerFunc) *recorder {
	t.Helper()
	r := &recorder{}
	for path, reply := range paths {
		more["POST "+path] = func(w http.ResponseWriter, req *http.Request) {
			r.path, r.body = path, nil
			if err := json.NewDecoder(req.Body).Decode(&r.body); err != nil {
				t.Error(err)
			}
			fmt.Fprint(w, reply)
		}
	}
	r.Server = serve(t, more)
	return r
}

const generated = `{"response":"Pa","done":false}` + "\n" + `{"response":"ris","thinking":"hm","done":false}` + "\n" +
	`{"response":"","done":true,"done_reason":"stop","context":[1,2],"load_duration":3,"prompt_eval_count":4,"prompt_eval_duration":5,"eval_count":6,"eval_duration":7}` + "\n"

const called = `{"message":{"role":"assistant","content":"","tool_calls":[{"id":"c1","function":{"index":0,"name":"f","arguments":{"a":1}}},{"function":{"index":1,"name":"g","arguments":{}}}]},"done":false}` + "\n"

func recordOllama(t *testing.T) *recorder {
	t.Helper()
	return record(t, map[string]string{
		"/api/chat": called + doneLine, "/api/generate": generated,
		"/api/embed":      `{"embeddings":[[0.5,1],[2,3]],"load_duration":3,"prompt_eval_count":4}`,
		"/api/embeddings": `{"embedding":[0.5,1]}`,
	}, map[string]http.HandlerFunc{"GET /api/version": text(ollamaVersion), "GET /api/tags": text(ollamaTags)})
}

func recordOpenAI(t *testing.T) *recorder {
	t.Helper()
	calls := func(s string) string { return `data: {"choices":[{"delta":{"tool_calls":[` + s + `]}}]}` + "\n\n" }
	return record(t, map[string]string{
		"/v1/chat/completions": calls(`{"index":0,"id":"c1","type":"function","function":{"name":"f","arguments":""}}`) +
			calls(`{"index":0,"function":{"arguments":"{\"a\""}},{"index":1,"id":"c2","function":{"name":"g","arguments":""}}`) +
			calls(`{"index":0,"function":{"arguments":":1}"}}`) + finish + doneEvent,
		"/v1/completions": `data: {"choices":[{"text":"Pa"}]}` + "\n\n" + `data: {"choices":[{"text":"ris","finish_reason":"length"}]}` + "\n\n" + doneEvent,
		"/v1/embeddings":  `{"data":[{"index":1,"embedding":[2,3]},{"index":0,"embedding":[0.5,1]}],"usage":{"prompt_tokens":4}}`,
	}, map[string]http.HandlerFunc{"GET /v1/models": text(`{"data":[{"id":"m"}]}`)})
}

func raw(s string) json.RawMessage { return json.RawMessage(s) }

// conversation has all that a message can have.
var conversation = bus.InferenceRequest{
	System: "s",
	Messages: []bus.Message{
		{Role: "user", Content: "u", Images: [][]byte{[]byte("\x89PNG\r\n\x1a\n")}},
		{Role: "assistant", Thinking: "t", ToolCalls: []bus.ToolCall{{Name: "f", Arguments: raw(`{"a":1}`)}, {ID: "own", Index: 1, Name: "g"}}},
		{Role: "tool", Content: "r", ToolName: "f"},
		{Role: "tool", Content: "r2", ToolCallID: "own"},
	},
	Tools: raw(`[{"type":"function"}]`), Format: raw(`{"type":"object"}`), Think: raw("true"), KeepAlive: raw(`"5m"`), Truncate: true,
	Options: map[string]json.RawMessage{"top_p": raw("0.5"), "num_ctx": raw("64")},
	Dialect: "ollama", Extra: map[string]json.RawMessage{"later": raw("1"), "model": raw(`"other"`)},
}

func TestRequestsAreSpelled(t *testing.T) {
	t.Parallel()
	calls := []bus.ToolCall{{ID: "c1", Name: "f", Arguments: raw(`{"a":1}`)}, {Index: 1, Name: "g", Arguments: raw(`{}`)}}
	complete := bus.InferenceRequest{
		Mode: bus.ModeComplete, Prompt: "p", Suffix: "s", Dialect: "openai", Options: map[string]json.RawMessage{"min_p": raw("0.1")},
		Extra: map[string]json.RawMessage{"logit_bias": raw(`{"1":2}`)}, MaxTokens: 3,
	}
	for name, c := range map[string]struct {
		server func(*testing.T) *recorder
		req    bus.InferenceRequest
		path   string
		body   string
		want   bus.InferenceResult
	}{
		"a conversation at Ollama": {
			recordOllama, conversation, "/api/chat", `{"model":"tinylm:latest","stream":true,"truncate":true,"shift":false,
			"later":1,"keep_alive":"5m","think":true,"format":{"type":"object"},"tools":[{"type":"function"}],"options":{"top_p":0.5,"num_ctx":64},
			"messages":[{"role":"system","content":"s"},{"role":"user","content":"u","images":["iVBORw0KGgo="]},
			{"role":"assistant","content":"","thinking":"t","tool_calls":[{"function":{"index":0,"name":"f","arguments":{"a":1}}},{"id":"own","function":{"index":1,"name":"g","arguments":{}}}]},
			{"role":"tool","content":"r","tool_name":"f"},{"role":"tool","content":"r2","tool_call_id":"own"}]}`,
			bus.InferenceResult{ToolCalls: calls, PromptTokens: 9, OutputTokens: 2, DoneReason: "stop"},
		},
		"a generation at Ollama": {
			recordOllama,
			bus.InferenceRequest{
				Mode: bus.ModeGenerate, Prompt: "p", System: "y", Suffix: "s", Template: "t", Raw: true, Context: raw("[1]"), Images: [][]byte{{1}},
			},
			"/api/generate", `{"model":"tinylm:latest","stream":true,"truncate":false,"shift":false,"options":{},
			"prompt":"p","system":"y","suffix":"s","template":"t","raw":true,"context":[1],"images":["AQ=="]}`,
			bus.InferenceResult{Text: "Paris", Thinking: "hm", Context: raw("[1,2]"), Loading: 3, PromptTokens: 4, Reading: 5, OutputTokens: 6, Writing: 7, DoneReason: "stop"},
		},
		"a completion at Ollama": {
			recordOllama, complete, "/api/generate", `{"model":"tinylm:latest","stream":true,"truncate":false,"shift":false,
			"options":{"min_p":0.1,"num_predict":3},"prompt":"p","suffix":"s"}`,
			bus.InferenceResult{Text: "Paris", Thinking: "hm", Context: raw("[1,2]"), Loading: 3, PromptTokens: 4, Reading: 5, OutputTokens: 6, Writing: 7, DoneReason: "stop"},
		},
		"a model loaded at Ollama": {
			recordOllama,
			bus.InferenceRequest{Load: true, KeepAlive: raw(`"0s"`)},
			"/api/generate",
			`{"model":"tinylm:latest","stream":true,"truncate":false,"shift":false,"options":{},"keep_alive":"0s"}`,
			bus.InferenceResult{Text: "Paris", Thinking: "hm", Context: raw("[1,2]"), Loading: 3, PromptTokens: 4, Reading: 5, OutputTokens: 6, Writing: 7, DoneReason: "unload"},
		},
		"a conversation at OpenAI": {
			recordOpenAI, conversation, "/v1/chat/completions", `{"model":"m","stream":true,"stream_options":{"include_usage":true},
			"top_p":0.5,"chat_template_kwargs":{"enable_thinking":true},"tools":[{"type":"function"}],
			"response_format":{"type":"json_schema","json_schema":{"name":"answer","strict":true,"schema":{"type":"object"}}},
			"messages":[{"role":"system","content":"s"},
			{"role":"user","content":[{"type":"text","text":"u"},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo="}}]},
			{"role":"assistant","content":"","reasoning":"t","reasoning_content":"t","tool_calls":[{"index":0,"id":"call_2_0","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},
			{"index":1,"id":"own","type":"function","function":{"name":"g","arguments":"{}"}}]},
			{"role":"tool","content":"r","name":"f","tool_call_id":"call_2_0"},{"role":"tool","content":"r2","tool_call_id":"own"}]}`,
			bus.InferenceResult{ToolCalls: []bus.ToolCall{calls[0], {ID: "c2", Index: 1, Name: "g", Arguments: raw("{}")}}, DoneReason: "stop"},
		},
		"a completion at OpenAI": {recordOpenAI, complete, "/v1/completions", `{"model":"m","stream":true,"stream_options":{"include_usage":true},
			"prompt":"p","suffix":"s","min_p":0.1,"logit_bias":{"1":2},"max_tokens":3}`, bus.InferenceResult{Text: "Paris", DoneReason: "length"}},
		"a question at OpenAI": {
			recordOpenAI,
			bus.InferenceRequest{Mode: bus.ModeGenerate, Prompt: "p", Format: raw(`"json"`), Think: raw(`"low"`)},
			"/v1/chat/completions", `{"model":"m","stream":true,"stream_options":{"include_usage":true},"response_format":{"type":"json_object"},
			"reasoning_effort":"low","chat_template_kwargs":{"reasoning_effort":"low"},"messages":[{"role":"user","content":"p"}]}`,
			bus.InferenceResult{ToolCalls: []bus.ToolCall{calls[0], {ID: "c2", Index: 1, Name: "g", Arguments: raw("{}")}}, DoneReason: "stop"},
		},
		"a model loaded at OpenAI": {recordOpenAI, bus.InferenceRequest{Load: true}, "", `null`, bus.InferenceResult{DoneReason: "load"}},
	} {
		s := c.server(t)
		e := probe(t, s.Server)
		model := map[string]string{engine.KindOllama: "tinylm:latest", engine.KindOpenAI: "m"}[e.Kind()]
		res, err := e.Generate(t.Context(), model, c.req, func(bus.InferenceChunk) error { return nil })
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var want map[string]any
		if err := json.Unmarshal([]byte(c.body), &want); err != nil {
			t.Fatal(name, err)
		}
		if d := cmp.Diff(want, s.body); d != "" || s.path != c.path {
			t.Errorf("%s went to %s: %s", name, s.path, d)
		}
		c.want.Model, c.want.Engine = model, e.Kind()
		res.TTFT, res.Duration = 0, 0
		if d := cmp.Diff(c.want, res); d != "" {
			t.Error(name, d)
		}
	}
}

// Two calls of one tool without ids: each result belongs to another of them.
func TestResultsFindTheirCalls(t *testing.T) {
	t.Parallel()
	s := recordOpenAI(t)
	call, result := bus.ToolCall{Name: "f"}, bus.Message{Role: "tool", ToolName: "f"}
	_, err := probe(t, s.Server).Generate(t.Context(), "m", bus.InferenceRequest{Messages: []bus.Message{
		{Role: "assistant", ToolCalls: []bus.ToolCall{call, call}}, result, result, {Role: "tool", ToolName: "nobody's"},
	}}, func(bus.InferenceChunk) error { return nil })
	var ids []any
	for _, m := range s.body["messages"].([]any) {
		ids = append(ids, m.(map[string]any)["tool_call_id"])
	}
	if d := cmp.Diff([]any{nil, "call_0_0", "call_0_1", nil}, ids); err != nil || d != "" {
		t.Error(err, d)
	}
}

// An option is one of sampling, or stays here: it does not become another field of the request. One that servers know by
// two names has both.
func TestOptionsAtOpenAI(t *testing.T) {
	t.Parallel()
	s := recordOpenAI(t)
	options := map[string]json.RawMessage{}
	for _, name := range []string{"n", "num_thread", "num_ctx", "max_tokens", "tool_choice", "messages", "model", "stream", "tools", "response_format", "top_k", "mirostat", "repeat_penalty"} {
		options[name] = raw("2")
	}
	broken := bus.ToolCall{ID: "c", Name: "f", Arguments: raw(`"{oops"`)}
	_, err := probe(t, s.Server).Generate(t.Context(), "m", bus.InferenceRequest{
		Dialect: "ollama", Options: options, Messages: []bus.Message{{Role: "assistant", ToolCalls: []bus.ToolCall{broken}}},
	}, func(bus.InferenceChunk) error { return nil })
	want := map[string]any{
		"model": "m", "stream": true, "stream_options": map[string]any{"include_usage": true}, "top_k": 2.0, "mirostat": 2.0,
		"repeat_penalty": 2.0, "repetition_penalty": 2.0,
		"messages": []any{map[string]any{"role": "assistant", "content": "", "tool_calls": []any{map[string]any{
			"index": 0.0, "id": "c", "type": "function", "function": map[string]any{"name": "f", "arguments": "{oops"},
		}}}},
	}
	if d := cmp.Diff(want, s.body); err != nil || d != "" {
		t.Error(err, d)
	}
}

// Programs for Ollama name the tool of a result, and no id: not even where the call had one.
func TestResultsOfOllamaFindTheirCalls(t *testing.T) {
	t.Parallel()
	s := recordOpenAI(t)
	f, g := bus.ToolCall{ID: "c1", Name: "f"}, bus.ToolCall{ID: "c2", Name: "g"}
	_, err := probe(t, s.Server).Generate(t.Context(), "m", bus.InferenceRequest{Dialect: "ollama", Messages: []bus.Message{
		{Role: "assistant", ToolCalls: []bus.ToolCall{f, g, {ID: "c3", Name: "f"}}},
		{Role: "tool", ToolName: "g"},
		{Role: "tool", ToolCallID: "c1"},
		{Role: "tool", ToolName: "f"},
	}}, func(bus.InferenceChunk) error { return nil })
	var ids []any
	for _, m := range s.body["messages"].([]any) {
		ids = append(ids, m.(map[string]any)["tool_call_id"])
	}
	if d := cmp.Diff([]any{nil, "c2", "c1", "c3"}, ids); err != nil || d != "" {
		t.Error(err, d)
	}
}

func TestEnginesSayWhatTheyCannot(t *testing.T) {
	t.Parallel()
	demo, err := engine.NewDemo()
	if err != nil {
		t.Fatal(err)
	}
	open := probe(t, recordOpenAI(t).Server)
	for name, c := range map[string]struct {
		e   engine.Engine
		req bus.InferenceRequest
	}{
		"tools":      {demo, bus.InferenceRequest{Prompt: "x", Tools: raw("[{}]")}},
		"a format":   {demo, bus.InferenceRequest{Prompt: "x", Format: raw(`"json"`)}},
		"images":     {demo, bus.InferenceRequest{Prompt: "x", Images: [][]byte{{1}}}},
		"thinking":   {demo, bus.InferenceRequest{Prompt: "x", Think: raw("true")}},
		"a template": {open, bus.InferenceRequest{Prompt: "x", Template: "t"}},
		"a context":  {open, bus.InferenceRequest{Prompt: "x", Context: raw("[1]")}},
	} {
		model := map[string]string{engine.KindDemo: "tinylm", engine.KindOpenAI: "m"}[c.e.Kind()]
		_, err := c.e.Generate(t.Context(), model, c.req, func(bus.InferenceChunk) error { return nil })
		wantError(t, err, bus.CodeInvalid, false, name)
	}
	_, err = demo.Embed(t.Context(), "tinylm", bus.EmbedRequest{Inputs: []string{"x"}})
	wantError(t, err, bus.CodeInvalid, false, "no embeddings")
	res, err := demo.Generate(t.Context(), "tinylm", bus.InferenceRequest{Load: true}, nil)
	if err != nil || res.DoneReason != "load" {
		t.Errorf("load: %+v, %v", res, err)
	}
}

func TestEmbeds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		server func(*testing.T) *recorder
		req    bus.EmbedRequest
		path   string
		body   string
		tokens int
	}{
		"Ollama": {recordOllama, bus.EmbedRequest{
			Inputs: []string{"x", "y"}, Dimensions: 2, Truncate: true, KeepAlive: raw("1"), Options: map[string]json.RawMessage{"num_ctx": raw("8")},
			Dialect: "ollama", Extra: map[string]json.RawMessage{"later": raw("1")},
		}, "/api/embed", `{"model":"m","input":["x","y"],"dimensions":2,"truncate":true,"keep_alive":1,"options":{"num_ctx":8},"later":1}`, 4},
		"OpenAI": {recordOpenAI, bus.EmbedRequest{
			Inputs: []string{"x", "y"}, Dimensions: 2, Dialect: "openai", Extra: map[string]json.RawMessage{"user": raw(`"u"`)},
		}, "/v1/embeddings", `{"model":"m","input":["x","y"],"dimensions":2,"encoding_format":"float","user":"u"}`, 4},
		"Ollama's older form": {recordOllama, bus.EmbedRequest{Inputs: []string{"y"}, Plain: true}, "/api/embeddings", `{"model":"m","prompt":"y","truncate":false}`, 0},
	} {
		s := c.server(t)
		res, err := probe(t, s.Server).Embed(t.Context(), "m", c.req)
		var want map[string]any
		if err := json.Unmarshal([]byte(c.body), &want); err != nil {
			t.Fatal(name, err)
		}
		if d := cmp.Diff(want, s.body); d != "" || s.path != c.path {
			t.Errorf("%s went to %s: %s", name, s.path, d)
		}
		vectors := [][]float32{{0.5, 1}, {2, 3}}[:len(c.req.Inputs)]
		if d := cmp.Diff(vectors, res.Vectors); err != nil || d != "" || res.Model != "m" || res.PromptTokens != c.tokens {
			t.Errorf("%s: %+v, %v %s", name, res, err, d)
		}
	}
}

func TestEmbedFailures(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		reply    http.HandlerFunc
		code     bus.Code
		retry    bool
		contains string
	}{
		"too few":      {text(`{"embeddings":[[1]],"data":[{"index":0,"embedding":[1]}]}`), bus.CodeUnavailable, true, "1 vectors for 2 inputs"},
		"an empty one": {text(`{"embeddings":[[1],[]],"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":[]}]}`), bus.CodeUnavailable, true, "an empty vector"},
		"no numbers":   {text(`{"embeddings":["x","y"],"data":[{"embedding":"x"}]}`), bus.CodeUnavailable, true, "cannot be read"},
		"not there":    {status(501, `{"error":{"message":"This server does not support embeddings"}}`), bus.CodeInvalid, false, "does not support embeddings"},
		"no model":     {status(404, `{"error":"not found"}`), bus.CodeNotFound, true, "does not have the model"},
		"too long":     {status(400, `{"error":"the input length exceeds the context length"}`), bus.CodeTooLarge, false, "too long"},
	} {
		for _, probes := range []map[string]http.HandlerFunc{
			{"GET /api/version": text(ollamaVersion), "GET /api/tags": text(ollamaTags), "POST /api/embed": c.reply},
			{"GET /v1/models": text(`{"data":[]}`), "POST /v1/embeddings": c.reply},
		} {
			e := probe(t, serve(t, probes))
			_, err := e.Embed(t.Context(), "m", bus.EmbedRequest{Inputs: []string{"x", "y"}})
			if err == nil || !strings.Contains(err.Error(), c.contains) {
				t.Errorf("%s at %s: %v, want %q", name, e.Kind(), err, c.contains)
				continue
			}
			wantError(t, err, c.code, c.retry, c.contains)
		}
	}
	s := probe(t, serve(t, map[string]http.HandlerFunc{
		"GET /v1/models": text(`{"data":[]}`), "POST /v1/embeddings": text(`{"data":[{"index":0,"embedding":[1]},{"index":7,"embedding":[1]}]}`),
	}))
	_, err := s.Embed(t.Context(), "m", bus.EmbedRequest{Inputs: []string{"x", "y"}})
	wantError(t, err, bus.CodeUnavailable, true, "input 7 of 2")
}

// A model that only makes vectors is not asked questions; Ollama makes vectors with any, and the demo
// model with none.
func TestSetKnowsWhatModelsAreFor(t *testing.T) {
	t.Parallel()
	s := recordOllama(t)
	mux := serve(t, map[string]http.HandlerFunc{
		"GET /api/version": text(ollamaVersion), "GET /api/tags": text(ollamaTags), "GET /api/ps": text(ollamaPS), "POST /api/show": ollamaShow,
		"POST /api/embed": s.Config.Handler.ServeHTTP,
	})
	names := func(ms []bus.ModelInfo) (out []string) {
		for _, m := range ms {
			out = append(out, m.Name)
		}
		return out
	}
	set, _, err := engine.Find(t.Context(), engine.Config{URLs: []string{mux.URL}, Env: nowhere, NoDemo: true})
	if err != nil {
		t.Fatal(err)
	}
	if a, e := names(set.Models()), names(set.Embedders()); strings.Join(a, " ") != "tinylm:latest" || strings.Join(e, " ") != "tinylm:latest embed:latest" {
		t.Errorf("%v answer, %v make vectors", a, e)
	}
	_, err = set.Generate(t.Context(), "embed", bus.InferenceRequest{Prompt: "x"}, nil)
	wantError(t, err, bus.CodeNotFound, true, "embed")
	res, err := set.Embed(t.Context(), "embed", bus.EmbedRequest{Inputs: []string{"x", "y"}})
	if err != nil || res.Model != "embed:latest" || len(res.Vectors) != 2 {
		t.Errorf("%+v, %v", res, err)
	}
	set, _, err = engine.Find(t.Context(), engine.Config{Env: nowhere})
	if err != nil || len(set.Models()) != 1 || len(set.Embedders()) != 0 {
		t.Errorf("the demo: %v answer, %v make vectors, %v", set.Models(), set.Embedders(), err)
	}
	_, err = set.Embed(t.Context(), "tinylm", bus.EmbedRequest{Inputs: []string{"x"}})
	wantError(t, err, bus.CodeNotFound, true, "tinylm")
}
