package gateway_test

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// events decodes a stream of events, and wants it to end with [DONE] where it is whole.
func events(t *testing.T, w *httptest.ResponseRecorder, whole bool) (out []map[string]any) {
	t.Helper()
	all := strings.Split(strings.TrimSuffix(w.Body.String(), "\n\n"), "\n\n")
	for i, e := range all {
		data, ok := strings.CutPrefix(e, "data: ")
		if !ok {
			t.Fatalf("event %q", e)
		}
		if data == "[DONE]" {
			if i != len(all)-1 || !whole {
				t.Errorf("[DONE] is event %d of %d", i+1, len(all))
			}
			return out
		}
		var v map[string]any
		if err := json.Unmarshal([]byte(data), &v); err != nil {
			t.Fatalf("event %q: %v", data, err)
		}
		out = append(out, v)
	}
	if whole {
		t.Errorf("the stream has no [DONE]: %q", w.Body)
	}
	return out
}

func TestOpenAIStreams(t *testing.T) {
	t.Parallel()
	for path, c := range map[string]struct {
		body   string
		object string
		text   []any
	}{
		"/v1/chat/completions": {hello, "chat.completion.chunk", []any{"choices", 0, "delta", "content"}},
		"/v1/completions":      {`{"model":"m","prompt":"hi"`, "text_completion", []any{"choices", 0, "text"}},
	} {
		for usage, n := range map[string]int{"": 3, `,"stream_options":{"include_usage":true}`: 4} {
			_, g := newOracle(t, paris())
			w := local(t, g, "POST", path, c.body+`,"stream":true`+usage+`}`)
			if w.Code != 200 || w.Header().Get("Content-Type") != "text/event-stream" || w.Header().Get("X-Myco-Node") != string(other) {
				t.Fatalf("%s: %d %v %s", path, w.Code, w.Header(), w.Body)
			}
			got := events(t, w, true)
			if len(got) != n {
				t.Fatalf("%s: %d events, want %d: %v", path, len(got), n, got)
			}
			for i, e := range got {
				if e["object"] != c.object || e["model"] != "m" || e["id"] != got[0]["id"] || e["created"].(float64) < 1 {
					t.Errorf("%s: event %d is %v", path, i, e)
				}
			}
			if at(got[0], c.text...) != "Par" || at(got[1], c.text...) != "is." || at(got[0], "choices", 0, "finish_reason") != nil ||
				at(got[2], "choices", 0, "finish_reason") != "stop" {
				t.Errorf("%s: %v", path, got)
			}
			if role := at(got[0], "choices", 0, "delta", "role"); c.object != "text_completion" && role != "assistant" || at(got[1], "choices", 0, "delta", "role") != nil {
				t.Errorf("%s: role %v: %v", path, role, got)
			}
			if n == 4 && (len(got[3]["choices"].([]any)) != 0 || at(got[3], "usage", "total_tokens") != 11.0) {
				t.Errorf("%s: usage %v", path, got[3])
			}
		}
	}
}

func TestOpenAIAnswersAtOnce(t *testing.T) {
	t.Parallel()
	_, g := newOracle(t, paris())
	v := object(t, local(t, g, "POST", "/v1/chat/completions", hello+`}`))
	if v["object"] != "chat.completion" || at(v, "choices", 0, "message", "content") != "Paris." || at(v, "choices", 0, "message", "role") != "assistant" ||
		at(v, "choices", 0, "finish_reason") != "stop" || at(v, "usage", "prompt_tokens") != 9.0 || !strings.HasPrefix(v["id"].(string), "chatcmpl-") {
		t.Errorf("%v", v)
	}
	v = object(t, local(t, g, "POST", "/v1/completions", `{"model":"m","prompt":["hi"]}`))
	if v["object"] != "text_completion" || at(v, "choices", 0, "text") != "Paris." || at(v, "usage", "completion_tokens") != 2.0 || !strings.HasPrefix(v["id"].(string), "cmpl-") {
		t.Errorf("%v", v)
	}
	_, g = newOracle(t, says(bus.InferenceResult{DoneReason: "length"}))
	if v = object(t, local(t, g, "POST", "/v1/chat/completions", hello+`}`)); at(v, "choices", 0, "finish_reason") != "length" {
		t.Errorf("%v", v)
	}
	if got := events(t, local(t, g, "POST", "/v1/chat/completions", hello+`,"stream":true}`), true); len(got) != 2 || at(got[0], "choices", 0, "delta", "role") != "assistant" {
		t.Errorf("nothing is said: %v", got)
	}
}

func TestOpenAIToolCalls(t *testing.T) {
	t.Parallel()
	calls := []bus.ToolCall{{ID: "own", Name: "f", Arguments: json.RawMessage(`{"a":1}`)}, {Name: "g"}}
	res := bus.InferenceResult{ToolCalls: calls, Thinking: "hm", DoneReason: "stop"}
	_, g := newOracle(t, says(res, chunks(1, bus.InferenceChunk{Thinking: "hm"}, bus.InferenceChunk{ToolCalls: calls[:1]}, bus.InferenceChunk{ToolCalls: calls[1:]})...))
	check := func(what string, first, second any) {
		t.Helper()
		if at(first, "id") != "own" || at(first, "type") != "function" || at(first, "function", "name") != "f" || at(first, "function", "arguments") != `{"a":1}` || at(first, "index") != 0.0 {
			t.Errorf("%s: %v", what, first)
		}
		if id, _ := at(second, "id").(string); !strings.HasPrefix(id, "call_") || at(second, "function", "arguments") != "{}" || at(second, "index") != 1.0 {
			t.Errorf("%s: %v", what, second)
		}
	}
	v := object(t, local(t, g, "POST", "/v1/chat/completions", hello+`}`))
	m := at(v, "choices", 0, "message")
	check("at once", at(m, "tool_calls", 0), at(m, "tool_calls", 1))
	if at(m, "content") != nil || at(m, "reasoning") != "hm" || at(m, "reasoning_content") != "hm" || at(v, "choices", 0, "finish_reason") != "tool_calls" {
		t.Errorf("%v", v)
	}
	got := events(t, local(t, g, "POST", "/v1/chat/completions", hello+`,"stream":true}`), true)
	check("streamed", at(got[1], "choices", 0, "delta", "tool_calls", 0), at(got[2], "choices", 0, "delta", "tool_calls", 0))
	first := at(got[0], "choices", 0, "delta")
	if at(first, "reasoning") != "hm" || at(first, "reasoning_content") != "hm" || at(got[3], "choices", 0, "finish_reason") != "tool_calls" {
		t.Errorf("%v", got)
	}
}

func TestOpenAIFields(t *testing.T) {
	t.Parallel()
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	for name, c := range map[string]struct {
		path, body string
		want       bus.InferenceRequest
	}{
		"chat": {
			"/v1/chat/completions", `{"model":"m","messages":[
				{"role":"developer","content":"s"},
				{"role":"user","name":"ann","content":[{"type":"text","text":"a"},{"type":"text","text":"b"},{"type":"image_url","image_url":{"url":"data:image/png;base64,aGk="}}]},
				{"role":"assistant","content":null,"reasoning":"t","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},{"id":"d","function":{"name":"g","arguments":""}}]},
				{"role":"tool","tool_call_id":"d","content":"r"}],
				"temperature":0,"top_p":0.5,"seed":7,"stop":"x","max_tokens":5,"max_completion_tokens":6,"presence_penalty":1,"n":1,
				"tools":[{"type":"function"}],"tool_choice":"required","logprobs":false,"user":"u","logit_bias":{"1":2},"reasoning_effort":"low",
				"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{"type":"object"}}}}`,
			bus.InferenceRequest{
				Messages: []bus.Message{
					{Role: "system", Content: "s"},
					{Role: "user", Content: "a\nb", Images: [][]byte{[]byte("hi")}},
					{Role: "assistant", Thinking: "t", ToolCalls: []bus.ToolCall{{ID: "c", Name: "f", Arguments: raw(`{"a":1}`)}, {ID: "d", Name: "g", Arguments: raw("{}")}}},
					{Role: "tool", Content: "r", ToolName: "g", ToolCallID: "d"},
				},
				Temperature: new(0.0), Seed: new(int64(7)), Stop: []string{"x"}, MaxTokens: 6, Tools: raw(`[{"type":"function"}]`),
				Options: map[string]json.RawMessage{"top_p": raw("0.5"), "presence_penalty": raw("1")}, Think: raw(`"low"`), Format: raw(`{"type":"object"}`),
				Dialect: "openai", Extra: map[string]json.RawMessage{
					"logit_bias": raw(`{"1":2}`), "tool_choice": raw(`"required"`), "reasoning_effort": raw(`"low"`),
					"response_format": raw(`{"type":"json_schema","json_schema":{"name":"x","schema":{"type":"object"}}}`),
				},
			},
		},
		"no tools": {
			"/v1/chat/completions", hello + `,"tools":[{}],"tool_choice":"none","parallel_tool_calls":true,"response_format":{"type":"text"},"reasoning":{"effort":"none"}}`,
			bus.InferenceRequest{
				Messages: []bus.Message{{Role: "user", Content: "hi"}}, Think: raw("false"), Dialect: "openai",
				Extra: map[string]json.RawMessage{"reasoning_effort": raw(`"none"`)},
			},
		},
		"as programs send it": {
			"/v1/chat/completions", `{"model":"m","max_tokens":4096.0,"reasoning":{"effort":"high","summary":null},"reasoning_effort":"low","messages":[
				{"role":"assistant","reasoning":"t","reasoning_content":"t","tool_calls":[{"id":"a","function":{"name":"f","arguments":"null"}},
				{"id":"b","function":{"name":"f","arguments":" {\"a\":1} "}},{"id":"c","function":{"name":"f","arguments":"{oops"}},{"id":"d","function":{"name":"f","arguments":"[]"}}]}]}`,
			bus.InferenceRequest{
				Messages: []bus.Message{{Role: "assistant", Thinking: "t", ToolCalls: []bus.ToolCall{
					{ID: "a", Name: "f", Arguments: raw("{}")},
					{ID: "b", Name: "f", Arguments: raw(`{"a":1}`)},
					{ID: "c", Name: "f", Arguments: raw(`"{oops"`)},
					{ID: "d", Name: "f", Arguments: raw(`"[]"`)},
				}}},
				MaxTokens: 4096, Think: raw(`"high"`), Dialect: "openai", Extra: map[string]json.RawMessage{"reasoning_effort": raw(`"high"`)},
			},
		},
		"no limit of tokens": {
			"/v1/chat/completions", hello + `,"max_tokens":5,"max_completion_tokens":-1,"reasoning":{"effort":"low","max_tokens":7}}`,
			bus.InferenceRequest{
				Messages: []bus.Message{{Role: "user", Content: "hi"}}, Think: raw(`"low"`), Dialect: "openai",
				Extra: map[string]json.RawMessage{"reasoning_effort": raw(`"low"`), "reasoning": raw(`{"effort":"low","max_tokens":7}`)},
			},
		},
		"more thought than engines have levels": {
			"/v1/chat/completions", hello + `,"reasoning_effort":"xhigh"}`,
			bus.InferenceRequest{
				Messages: []bus.Message{{Role: "user", Content: "hi"}}, Think: raw(`"high"`), Dialect: "openai",
				Extra: map[string]json.RawMessage{"reasoning_effort": raw(`"xhigh"`)},
			},
		},
		"completion": {
			"/v1/completions", `{"model":"m","prompt":"p","suffix":"s","stop":["a","b"],"max_tokens":3,"best_of":1,"echo":false}`,
			bus.InferenceRequest{Mode: bus.ModeComplete, Prompt: "p", Suffix: "s", Stop: []string{"a", "b"}, MaxTokens: 3, Dialect: "openai"},
		},
	} {
		asksFor(t, name, c.path, c.body, c.want)
	}
}

func TestOpenAIRefuses(t *testing.T) {
	t.Parallel()
	content := func(s string) string { return `{"model":"m","messages":[{"role":"user","content":` + s + `}]}` }
	for name, c := range map[string]struct{ path, body, says string }{
		"no body":             {"chat/completions", "", "missing request body"},
		"no model":            {"chat/completions", `{"messages":[{"role":"user","content":"hi"}]}`, "model"},
		"no messages":         {"chat/completions", `{"model":"m"}`, "messages"},
		"a wrong role":        {"chat/completions", `{"model":"m","messages":[{"role":"cook","content":"x"}]}`, "cook"},
		"content of a number": {"chat/completions", content("7"), "neither a text"},
		"a part":              {"chat/completions", content(`[{"type":"input_audio"}]`), "input_audio"},
		"an image elsewhere":  {"chat/completions", content(`[{"type":"image_url","image_url":{"url":"http://192.0.2.1/x.png"}}]`), "within the request"},
		"an image of junk":    {"chat/completions", content(`[{"type":"image_url","image_url":"data:image/png;base64,?"}]`), "an image"},
		"an image of nothing": {"chat/completions", content(`[{"type":"image_url","image_url":7}]`), "image_url"},
		"too many answers":    {"chat/completions", hello + `,"n":17}`, "n: 17 answers are wanted: want 1 to 16"},
		"no answer":           {"chat/completions", hello + `,"n":0}`, "n: 0 answers"},
		"probabilities":       {"chat/completions", hello + `,"logprobs":5}`, "logprobs"},
		"others alone":        {"chat/completions", hello + `,"top_logprobs":5}`, "top_logprobs: want logprobs"},
		"too many others":     {"chat/completions", hello + `,"logprobs":true,"top_logprobs":21}`, "top_logprobs 21"},
		"less than none":      {"completions", `{"model":"m","prompt":"a","logprobs":-1}`, "logprobs: want 0 to 20"},
		"whether, of a text":  {"completions", `{"model":"m","prompt":"a","logprobs":true}`, "logprobs"},
		"older tools":         {"chat/completions", hello + `,"functions":[{"name":"f"}]}`, "functions"},
		"a format":            {"chat/completions", hello + `,"response_format":{"type":"xml"}}`, "response_format"},
		"no schema":           {"chat/completions", hello + `,"response_format":{"type":"json_schema"}}`, "response_format"},
		"an effort":           {"chat/completions", hello + `,"reasoning_effort":"some"}`, "reasoning_effort"},
		"too many tokens":     {"chat/completions", hello + `,"max_tokens":-5}`, "max_tokens"},
		"half a token":        {"chat/completions", hello + `,"max_tokens":1.5}`, "whole number"},
		"a word of tokens":    {"chat/completions", hello + `,"max_tokens":"many"}`, "whole number"},
		"fewer than no token": {"chat/completions", hello + `,"max_tokens":-5}`, "or -1 for no limit"},
		"tokens as a prompt":  {"completions", `{"model":"m","prompt":[1,2]}`, "prompt"},
		"too many to each":    {"completions", `{"model":"m","prompt":["a","b"],"n":9}`, "prompt: 18 answers are wanted: want 1 to 16"},
		"no text":             {"completions", `{"model":"m","prompt":[]}`, "prompt: want a text"},
		"no prompt":           {"completions", `{"model":"m"}`, "prompt"},
		"an echo":             {"completions", `{"model":"m","prompt":"a","echo":true}`, "echo"},
		"best of two":         {"completions", `{"model":"m","prompt":"a","best_of":2}`, "best_of"},
		"tokens to embed":     {"embeddings", `{"model":"vec","input":[1,2]}`, "input"},
		"nothing to embed":    {"embeddings", `{"model":"vec","input":[]}`, "input"},
		"a format of vectors": {"embeddings", `{"model":"vec","input":"x","encoding_format":"hex"}`, "encoding_format"},
		"nobody to embed":     {"embeddings", `{"input":"x"}`, "model"},
	} {
		o, g := newOracle(t, paris())
		w := local(t, g, "POST", "/v1/"+c.path, c.body)
		e := object(t, w)["error"]
		if text, _ := at(e, "message").(string); w.Code != 400 || at(e, "type") != "invalid_request_error" || !strings.Contains(text, c.says) || len(o.tasks) > 0 {
			t.Errorf("%s: %d %s, %d tasks, want %q", name, w.Code, w.Body, len(o.tasks), c.says)
		}
	}
}

func TestOpenAIErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		model      string
		err        error
		status     int
		kind, code any
	}{
		"unknown":  {"nothing", bus.Errorf(bus.CodeNoWorker, "no node has it"), 404, "invalid_request_error", "model_not_found"},
		"full":     {"m", bus.Errorf(bus.CodeBusy, "full"), 429, "rate_limit_error", "rate_limit_exceeded"},
		"too long": {"m", bus.Errorf(bus.CodeTooLarge, "too long"), 400, "invalid_request_error", "context_length_exceeded"},
		"refused":  {"m", bus.Errorf(bus.CodeInvalid, "no tools"), 400, "invalid_request_error", nil},
		"a fault":  {"m", bus.Errorf(bus.CodeInternal, "fault"), 500, "api_error", nil},
	} {
		for _, stream := range []string{"true", "false"} {
			_, g := newOracle(t, fails(c.err))
			w := local(t, g, "POST", "/v1/chat/completions", `{"model":"`+c.model+`","messages":[{"role":"user","content":"hi"}],"stream":`+stream+`}`)
			e := object(t, w)["error"]
			if w.Code != c.status || at(e, "type") != c.kind || at(e, "code") != c.code {
				t.Errorf("%s: %d %s", name, w.Code, w.Body)
			}
		}
	}
	_, g := newOracle(t, func(_ bus.Task, out func(bus.Chunk) error) (any, error) {
		return nil, errorsAfter(out, chunks(1, texts("Par")...), bus.Errorf(bus.CodeUnavailable, "broke off"))
	})
	got := events(t, local(t, g, "POST", "/v1/chat/completions", hello+`,"stream":true}`), false)
	if len(got) != 2 || at(got[1], "error", "message") != "broke off" {
		t.Errorf("an error in the middle: %v", got)
	}
	w := local(t, g, "POST", "/v1/nothing", "{}")
	if e := object(t, w)["error"]; w.Code != 404 || at(e, "code") != nil || at(e, "type") != "invalid_request_error" {
		t.Errorf("no such path: %d %s", w.Code, w.Body)
	}
	w = from(t, g, "192.0.2.1:5", "GET", "/v1/models", "", "Authorization", "Bearer sk-other")
	if e := object(t, w)["error"]; w.Code != 401 || at(e, "code") != "invalid_api_key" {
		t.Errorf("without the key: %d %s", w.Code, w.Body)
	}
}

func TestOpenAIModels(t *testing.T) {
	t.Parallel()
	_, g := newOracle(t, paris())
	list := object(t, local(t, g, "GET", "/v1/models", ""))
	if list["object"] != "list" || len(list["data"].([]any)) != 2 || at(list, "data", 0, "id") != "m:latest" || at(list, "data", 0, "object") != "model" || at(list, "data", 1, "id") != "vec" {
		t.Errorf("%v", list)
	}
	for name, id := range map[string]any{"m": "m:latest", "m:latest": "m:latest", "vec:latest": "vec", "M": "m:latest", "VEC:Latest": "vec", "o%2Fx": nil, "o/x": nil, "": nil} {
		w := local(t, g, "GET", "/v1/models/"+name, "")
		if got := object(t, w)["id"]; got != id || (w.Code == 200) != (id != nil) {
			t.Errorf("%q: %d %s", name, w.Code, w.Body)
		}
	}
}

// Names of models differ in more than the case of letters: a task gets the name that nodes know.
func TestNamesOfModelsInAnyCase(t *testing.T) {
	t.Parallel()
	for sent, want := range map[string]string{"M": "m:latest", "m": "m", "m:LATEST": "m:latest", "other": "other", "Both": "Both", "BOTH": "both"} {
		o, g := newOracle(t, paris())
		o.nodes[1].Models = append(o.nodes[1].Models, bus.ModelInfo{Name: "both"})
		if want == "Both" {
			o.nodes[1].Models = append(o.nodes[1].Models, bus.ModelInfo{Name: "Both:latest"})
		}
		w := local(t, g, "POST", "/v1/chat/completions", `{"model":"`+sent+`","messages":[{"role":"user","content":"hi"}]}`)
		if len(o.tasks) != 1 || o.tasks[0].Model != want || object(t, w)["model"] != sent {
			t.Errorf("%q: %+v, want %q: %s", sent, o.tasks, want, w.Body)
		}
	}
}
