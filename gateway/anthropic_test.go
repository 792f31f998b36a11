package gateway_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/bus"
)

const greet = `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]`

func TestAnthropicStream(t *testing.T) {
	t.Parallel()
	_, g := newOracle(t, thinker("stop"))
	names, got := named(t, local(t, g, "POST", "/v1/messages", greet+`,"stream":true}`))
	want := []string{
		"message_start",
		"content_block_start", "content_block_delta", "content_block_delta", "content_block_delta", "content_block_stop",
		"content_block_start", "content_block_delta", "content_block_stop",
		"content_block_start", "content_block_delta", "content_block_stop",
		"content_block_start", "content_block_delta", "content_block_stop",
		"message_delta", "message_stop",
	}
	if d := cmp.Diff(want, names); d != "" {
		t.Fatal(d)
	}
	block := -1
	for i, e := range got {
		if names[i] == "content_block_start" {
			block++
		}
		if strings.HasPrefix(names[i], "content_block") && e["index"] != float64(block) {
			t.Errorf("event %d is of block %v, want %d", i, e["index"], block)
		}
	}
	if at(got[1], "content_block", "type") != "thinking" || at(got[2], "delta", "thinking") != "hm" || at(got[4], "delta", "signature") != "" || at(got[7], "delta", "text") != "Well" ||
		at(got[9], "content_block", "id") != "own" || at(got[10], "delta", "partial_json") != `{"a":1}` || at(got[13], "delta", "partial_json") != "{}" ||
		at(got[15], "delta", "stop_reason") != "tool_use" || at(got[15], "usage", "output_tokens") != 2.0 || at(got[15], "usage", "input_tokens") != 9.0 ||
		at(got[0], "message", "role") != "assistant" || at(got[0], "message", "usage", "input_tokens").(float64) < 1 {
		t.Errorf("%v", got)
	}
	v := object(t, local(t, g, "POST", "/v1/messages", greet+`}`))
	if at(v, "content", 0, "thinking") != "hm." || at(v, "content", 1, "text") != "Well" || at(v, "content", 2, "input", "a") != 1.0 ||
		!strings.HasPrefix(at(v, "content", 3, "id").(string), "toolu_") || v["stop_reason"] != "tool_use" || v["type"] != "message" || !strings.HasPrefix(v["id"].(string), "msg_") {
		t.Errorf("%v", v)
	}
}

func TestAnthropicEnds(t *testing.T) {
	t.Parallel()
	for reason, want := range map[string]string{"stop": "end_turn", "length": "max_tokens"} {
		_, g := newOracle(t, says(bus.InferenceResult{DoneReason: reason}))
		if v := object(t, local(t, g, "POST", "/v1/messages", greet+`}`)); v["stop_reason"] != want || len(v["content"].([]any)) != 0 {
			t.Errorf("%v", v)
		}
		names, _ := named(t, local(t, g, "POST", "/v1/messages", greet+`,"stream":true}`))
		if d := cmp.Diff([]string{"message_start", "message_delta", "message_stop"}, names); d != "" {
			t.Error(d)
		}
	}
}

func TestAnthropicFields(t *testing.T) {
	t.Parallel()
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	o, g := newOracle(t, paris())
	o.nodes[0].Models[0].Can |= bus.Thinks
	w := local(t, g, "POST", "/v1/messages?beta=true", `{"model":"m","max_tokens":5,"system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}},{"type":"text","text":"t"}],
		"messages":[
			{"role":"user","content":[{"type":"text","text":"a"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"aGk="}}]},
			{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"x"},{"type":"redacted_thinking","data":"x"},{"type":"text","text":"o"},{"type":"tool_use","id":"c","name":"f","input":{"a":1}}]},
			{"role":"user","content":[{"type":"tool_result","tool_use_id":"c","content":[{"type":"text","text":"r"}]},{"type":"text","text":"go on"}]}],
		"temperature":0.5,"top_p":0.5,"top_k":3,"stop_sequences":["x"],"metadata":{"user_id":"u"},"thinking":{"type":"enabled","budget_tokens":1024},
		"tools":[{"name":"f","description":"d","input_schema":{"type":"object"}},{"type":"web_search_20250305","name":"web_search"}],"tool_choice":{"type":"any","disable_parallel_tool_use":true}}`, "anthropic-version", "2023-06-01")
	if w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	want := bus.InferenceRequest{
		Messages: []bus.Message{
			{Role: "system", Content: "st"},
			{Role: "user", Content: "a", Images: [][]byte{[]byte("hi")}},
			{Role: "assistant", Content: "o", Thinking: "t", ToolCalls: []bus.ToolCall{{ID: "c", Name: "f", Arguments: raw(`{"a":1}`)}}},
			{Role: "tool", Content: "r", ToolName: "f", ToolCallID: "c"},
			{Role: "user", Content: "go on"},
		},
		Temperature: new(0.5), MaxTokens: 5, Stop: []string{"x"}, Think: raw("true"),
		Options: map[string]json.RawMessage{"top_p": raw("0.5"), "top_k": raw("3")},
		Tools:   raw(`[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"}}}]`),
		Dialect: "openai", Extra: map[string]json.RawMessage{"tool_choice": raw(`"required"`), "parallel_tool_calls": raw("false")},
	}
	if d := cmp.Diff(want, o.asked(t)); d != "" {
		t.Error(d)
	}
}

// What a tool says as it fails reaches the model as an error, once.
func TestAnthropicResultsOfToolsThatFailed(t *testing.T) {
	t.Parallel()
	for result, want := range map[string]string{
		`"content":"exit code 1","is_error":true`: "Error: exit code 1", `"is_error":true`: "Error: ", `"content":"ERROR: no","is_error":true`: "ERROR: no",
		`"content":"ok","is_error":false`: "ok", `"content":"ok"`: "ok",
	} {
		o, g := newOracle(t, paris())
		w := local(t, g, "POST", "/v1/messages", `{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"tool_use","id":"c","name":"f","input":{}}]},
			{"role":"user","content":[{"type":"tool_result","tool_use_id":"c",`+result+`}]}]}`, "anthropic-version", "2023-06-01")
		if w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if m := o.asked(t).Messages[2]; m.Role != "tool" || m.Content != want {
			t.Errorf("%s: %+v, want %q", result, m, want)
		}
	}
}

// An error has the shape and the type of Anthropic's, wherever it comes from.
func TestAnthropicErrors(t *testing.T) {
	t.Parallel()
	content := func(s string) string {
		return `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":` + s + `}]}`
	}
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		kind, says         string
	}{
		"no body":         {"POST", "", "", 400, "invalid_request_error", "missing request body"},
		"no model":        {"POST", "", `{"max_tokens":9,"messages":[{"role":"user","content":"hi"}]}`, 400, "invalid_request_error", "model"},
		"no limit":        {"POST", "", `{"model":"m","messages":[{"role":"user","content":"hi"}]}`, 400, "invalid_request_error", "max_tokens"},
		"no messages":     {"POST", "", `{"model":"m","max_tokens":9,"messages":[]}`, 400, "invalid_request_error", "messages"},
		"a role":          {"POST", "", `{"model":"m","max_tokens":9,"messages":[{"role":"cook","content":"x"}]}`, 400, "invalid_request_error", "messages[0]: the role \"cook\""},
		"a number":        {"POST", "", content("7"), 400, "invalid_request_error", "neither a text"},
		"a block":         {"POST", "", content(`[{"type":"document"}]`), 400, "invalid_request_error", "document"},
		"an image":        {"POST", "", content(`[{"type":"image","source":{"type":"url","url":"http://192.0.2.1/x.png"}}]`), 400, "invalid_request_error", "within the request"},
		"a result in it":  {"POST", "", content(`[{"type":"tool_result","tool_use_id":"x","content":[{"type":"tool_result"}]}]`), 400, "invalid_request_error", "tool_result"},
		"a tool":          {"POST", "", greet + `,"tools":[{"type":"web_search_20250305","name":"web_search"}]}`, 400, "invalid_request_error", "web_search_20250305"},
		"counting":        {"POST", "/count_tokens", greet + `}`, 404, "not_found_error", "count_tokens"},
		"another method":  {"GET", "", "", 405, "invalid_request_error", "POST"},
		"a missing model": {"POST", "", strings.Replace(greet, `"m"`, `"x"`, 1) + `}`, 404, "not_found_error", "m:latest"},
	} {
		_, g := newOracle(t, func(task bus.Task, _ func(bus.Chunk) error) (any, error) {
			return nil, bus.Errorf(bus.CodeNoWorker, "the swarm has m:latest")
		})
		w := local(t, g, c.method, "/v1/messages"+c.path, c.body)
		v := object(t, w)
		msg, _ := at(v, "error", "message").(string)
		if w.Code != c.status || v["type"] != "error" || at(v, "error", "type") != c.kind || !strings.Contains(msg, c.says) {
			t.Errorf("%s: %d %s, want %d %s %q", name, w.Code, w.Body, c.status, c.kind, c.says)
		}
	}
	for code, kind := range map[bus.Code]string{bus.CodeBusy: "rate_limit_error", bus.CodeUnavailable: "overloaded_error", bus.CodeInternal: "api_error"} {
		_, g := newOracle(t, fails(bus.Errorf(code, "no")))
		if v := object(t, local(t, g, "POST", "/v1/messages", greet+`}`)); at(v, "error", "type") != kind {
			t.Errorf("%s: %v", code, v)
		}
	}
	_, g := newOracle(t, paris())
	w := from(t, g, "192.0.2.1:5", "POST", "/v1/messages", greet+`}`, "Authorization", "")
	if w.Code != http.StatusUnauthorized || at(object(t, w), "error", "type") != "authentication_error" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// A client of Anthropic's that asks for models hears of them in its own words.
func TestAnthropicModels(t *testing.T) {
	t.Parallel()
	_, g := newOracle(t, paris())
	get := func(path string) map[string]any {
		return object(t, local(t, g, "GET", "/v1/models"+path, "", "anthropic-version", "2023-06-01"))
	}
	v := get("?limit=1000")
	if v["has_more"] != false || v["first_id"] != "m:latest" || v["last_id"] != "vec" || at(v, "data", 0, "type") != "model" || at(v, "data", 0, "display_name") != "m:latest" ||
		at(v, "data", 0, "created_at") != "1970-01-01T00:00:00Z" || at(v, "data", 0, "max_input_tokens") != 128.0 || at(v, "data", 1, "max_input_tokens") != nil {
		t.Errorf("%v", v)
	}
	if v := get("/m"); v["id"] != "m:latest" || v["type"] != "model" {
		t.Errorf("%v", v)
	}
	if v := get("/none"); v["type"] != "error" || at(v, "error", "type") != "not_found_error" {
		t.Errorf("%v", v)
	}
}

// A prompt that does not fit is refused, as Anthropic does, in words by which its clients know that.
func TestAnthropicPromptThatIsTooLong(t *testing.T) {
	t.Parallel()
	o, g := newOracle(t, fails(bus.Errorf(bus.CodeTooLarge, "the prompt is too long for the model: it has 9000 tokens")))
	w := local(t, g, http.MethodPost, "/v1/messages", greet+`}`)
	if w.Code != http.StatusBadRequest || at(object(t, w), "error", "type") != "invalid_request_error" || !strings.Contains(w.Body.String(), "prompt is too long") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if req := o.asked(t); req.Truncate || req.Shift {
		t.Errorf("the engine may forget the beginning: %+v", req)
	}
}

// Who calls a path with the wrong method is told the right one, by every dialect.
func TestWrongMethods(t *testing.T) {
	t.Parallel()
	_, g := newOracle(t, paris())
	for target, c := range map[string]struct{ method, allow string }{
		"/api/chat": {"GET", "POST"}, "/api/tags": {"POST", "GET, HEAD"}, "/v1/models": {"DELETE", "GET, HEAD"}, "/v1/responses": {"GET", "POST"}, "/v1/messages": {"GET", "POST"},
		"/v1/files": {"DELETE", "GET, HEAD, POST"}, "/v1/responses/x": {"POST", "GET, HEAD, DELETE"},
	} {
		if w := local(t, g, c.method, target, ""); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != c.allow {
			t.Errorf("%s %s: %d, Allow %q", c.method, target, w.Code, w.Header().Get("Allow"))
		}
	}
	if w := local(t, g, "POST", "/api/none", ""); w.Code != http.StatusNotFound {
		t.Errorf("%d", w.Code)
	}
}

// A program whose base URL has no /v1, or one too many, hears which path is right, and not of a key.
func TestWrongBaseURLs(t *testing.T) {
	t.Parallel()
	_, g := newOracle(t, paris())
	for call, want := range map[string]string{
		"POST /chat/completions": "/v1/chat/completions", "POST /v1/v1/chat/completions": "/v1/chat/completions", "POST /v1/chat/completions/": "/v1/chat/completions",
		"GET /models": "/v1/models", "GET /v1/v1/models": "/v1/models", "POST /messages": "/v1/messages", "POST /v1/v1/messages": "/v1/messages",
		"GET /v1/api/tags": "/api/tags", "POST /v1/api/chat": "/api/chat", "POST /api/chat/": "/api/chat",
	} {
		method, target, _ := strings.Cut(call, " ")
		w := local(t, g, method, target, greet+`}`)
		if w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), " to "+want+`"`) {
			t.Errorf("%s: %d %s, want to be led to %s", call, w.Code, w.Body, want)
		}
	}
	for _, call := range []string{"/v1/none", "/v1/v1/none", "/api/none/", "/v1/messages/batches"} {
		if w := local(t, g, "POST", call, greet+`}`); w.Code != http.StatusNotFound || strings.Contains(w.Body.String(), "base URL") {
			t.Errorf("%s: %d %s", call, w.Code, w.Body)
		}
	}
	if w := from(t, g, "192.0.2.1:5", "POST", "/chat/completions", greet+`}`, "Authorization", ""); w.Code != http.StatusUnauthorized {
		t.Errorf("from elsewhere without a key: %d", w.Code)
	}
}
