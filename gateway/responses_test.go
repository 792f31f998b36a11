package gateway_test

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/bus"
)

// named decodes a stream of events that have names, and wants each to say its own.
func named(t *testing.T, w *httptest.ResponseRecorder) (names []string, out []map[string]any) {
	t.Helper()
	if w.Code != 200 || w.Header().Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	for e := range strings.SplitSeq(strings.TrimSuffix(w.Body.String(), "\n\n"), "\n\n") {
		name, data, ok := strings.Cut(strings.TrimPrefix(e, "event: "), "\ndata: ")
		var v map[string]any
		if err := json.Unmarshal([]byte(data), &v); err != nil || !ok || v["type"] != name {
			t.Fatalf("event %q: %v", e, err)
		}
		names, out = append(names, name), append(out, v)
	}
	return names, out
}

const ask = `{"model":"m","input":"hi"`

// thinker says a thought, a text and two calls of tools.
func thinker(reason string) func(bus.Task, func(bus.Chunk) error) (any, error) {
	calls := []bus.ToolCall{{ID: "own", Name: "f", Arguments: json.RawMessage(`{"a":1}`)}, {Name: "g"}}
	return says(bus.InferenceResult{Thinking: "hm.", Text: "Well", ToolCalls: calls, DoneReason: reason, PromptTokens: 9, OutputTokens: 2},
		chunks(1, bus.InferenceChunk{Thinking: "hm"}, bus.InferenceChunk{Thinking: "."}, bus.InferenceChunk{Text: "Well"},
			bus.InferenceChunk{ToolCalls: calls[:1]}, bus.InferenceChunk{ToolCalls: calls[1:]})...)
}

func TestResponsesStream(t *testing.T) {
	t.Parallel()
	_, g := newOracle(t, thinker("stop"))
	names, got := named(t, local(t, g, "POST", "/v1/responses", ask+`,"stream":true}`))
	call := []string{"response.output_item.added", "response.function_call_arguments.delta", "response.function_call_arguments.done", "response.output_item.done"}
	want := []string{
		"response.created", "response.in_progress",
		"response.output_item.added", "response.reasoning_summary_part.added", "response.reasoning_summary_text.delta", "response.reasoning_summary_text.delta",
		"response.reasoning_summary_text.done", "response.reasoning_summary_part.done", "response.output_item.done",
		"response.output_item.added", "response.content_part.added", "response.output_text.delta",
		"response.output_text.done", "response.content_part.done", "response.output_item.done",
	}
	want = append(append(append(want, call...), call...), "response.completed")
	if d := cmp.Diff(want, names); d != "" {
		t.Fatal(d)
	}
	for i, e := range got {
		if e["sequence_number"] != float64(i) {
			t.Errorf("event %d is number %v", i, e["sequence_number"])
		}
	}
	if at(got[3], "part", "text") != "" || at(got[5], "delta") != "." || at(got[6], "text") != "hm." || at(got[7], "part", "text") != "hm." ||
		at(got[11], "delta") != "Well" || at(got[11], "output_index") != 1.0 || at(got[16], "delta") != `{"a":1}` {
		t.Errorf("%v", got)
	}
	// What the last event has is what the events before told, and the same as an answer at once.
	all := at(got[len(got)-1], "response", "output").([]any)
	var items []any
	for i, e := range got {
		if names[i] == "response.output_item.done" {
			if e["output_index"] != float64(len(items)) {
				t.Errorf("item %d has the index %v", len(items), e["output_index"])
			}
			items = append(items, e["item"])
		}
	}
	if d := cmp.Diff(items, all); d != "" {
		t.Error(d)
	}
	once := object(t, local(t, g, "POST", "/v1/responses", ask+`}`))
	for i, kind := range []string{"reasoning", "message", "function_call", "function_call"} {
		for _, out := range []any{all, once["output"]} {
			if at(out, i, "type") != kind || at(out, i, "id") == "" {
				t.Errorf("item %d is %v, want %s", i, at(out, i), kind)
			}
		}
	}
	if at(once, "output", 0, "summary", 0, "text") != "hm." || at(once, "output", 1, "content", 0, "text") != "Well" || at(once, "output", 2, "call_id") != "own" ||
		at(once, "output", 3, "arguments") != "{}" || !strings.HasPrefix(at(once, "output", 3, "call_id").(string), "call_") ||
		at(once, "usage", "total_tokens") != 11.0 || once["status"] != "completed" {
		t.Errorf("%v", once)
	}
}

func TestResponsesEnds(t *testing.T) {
	t.Parallel()
	_, g := newOracle(t, says(bus.InferenceResult{DoneReason: "length"}))
	v := object(t, local(t, g, "POST", "/v1/responses", ask+`,"max_output_tokens":1}`))
	if v["status"] != "incomplete" || at(v, "incomplete_details", "reason") != "max_output_tokens" || at(v, "output", 0, "content", 0, "text") != "" {
		t.Errorf("%v", v)
	}
	names, _ := named(t, local(t, g, "POST", "/v1/responses", ask+`,"stream":true}`))
	if d := cmp.Diff([]string{"response.created", "response.in_progress", "response.incomplete"}, names); d != "" {
		t.Error(d)
	}
	_, g = newOracle(t, func(_ bus.Task, out func(bus.Chunk) error) (any, error) {
		if err := out(chunks(1, texts("Par")...)[0]); err != nil {
			return nil, err
		}
		return nil, bus.Errorf(bus.CodeUnavailable, "it broke")
	})
	names, got := named(t, local(t, g, "POST", "/v1/responses", ask+`,"stream":true}`))
	last := got[len(got)-1]
	if names[len(names)-1] != "response.failed" || at(last, "response", "status") != "failed" || at(last, "response", "error", "message") != "it broke" {
		t.Errorf("%v", last)
	}
}

func TestResponsesFields(t *testing.T) {
	t.Parallel()
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	for name, c := range map[string]struct {
		body string
		want bus.InferenceRequest
	}{
		"items": {
			`{"model":"m","instructions":"s","input":[
				{"role":"developer","content":"d"},
				{"type":"message","role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_text","text":"b"},{"type":"input_image","image_url":"data:image/png;base64,aGk="}]},
				{"type":"reasoning","id":"r","summary":[{"type":"summary_text","text":"t"}],"encrypted_content":"t"},
				{"type":"message","role":"assistant","content":[{"type":"output_text","text":"o"}]},
				{"type":"function_call","call_id":"c","name":"f","arguments":"{\"a\":1}"},
				{"type":"function_call_output","call_id":"c","output":"r"}],
				"temperature":0,"top_p":0.5,"max_output_tokens":5,"truncation":"auto","store":true,"metadata":{"a":"b"},"include":[],"parallel_tool_calls":false,
				"tools":[{"type":"function","name":"f","description":"d","parameters":{"type":"object"},"strict":true}],"tool_choice":{"type":"function","name":"f"},
				"text":{"format":{"type":"json_schema","name":"x","schema":{"type":"object"}}},"reasoning":{"effort":"high"}}`,
			bus.InferenceRequest{
				Messages: []bus.Message{
					{Role: "system", Content: "s"},
					{Role: "system", Content: "d"},
					{Role: "user", Content: "ab", Images: [][]byte{[]byte("hi")}},
					{Role: "assistant", Content: "o", Thinking: "t", ToolCalls: []bus.ToolCall{{ID: "c", Name: "f", Arguments: raw(`{"a":1}`)}}},
					{Role: "tool", Content: "r", ToolName: "f", ToolCallID: "c"},
				},
				Temperature: new(0.0), MaxTokens: 5, Truncate: true, Shift: true, Format: raw(`{"type":"object"}`), Options: map[string]json.RawMessage{"top_p": raw("0.5")},
				Tools:   raw(`[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"},"strict":true}}]`),
				Dialect: "openai", Extra: map[string]json.RawMessage{
					"tool_choice": raw(`{"function":{"name":"f"},"type":"function"}`), "parallel_tool_calls": raw("false"),
				},
			},
		},
		"what was thought at another server": {
			`{"model":"m","input":[{"type":"reasoning","id":"r","summary":[],"content":[{"type":"reasoning_text","text":"t"}]},{"role":"assistant","content":"o"}],"parallel_tool_calls":false}`,
			bus.InferenceRequest{Messages: []bus.Message{{Role: "assistant", Content: "o", Thinking: "t"}}, Dialect: "openai"},
		},
		"no tools": {
			ask + `,"tools":[{"type":"function","name":"f"}],"tool_choice":"none","parallel_tool_calls":false,"text":{"format":{"type":"json_object"}},"previous_response_id":null,"background":false}`,
			bus.InferenceRequest{Messages: []bus.Message{{Role: "user", Content: "hi"}}, Format: raw(`"json"`), Dialect: "openai"},
		},
	} {
		w := asksFor(t, name, "/v1/responses", c.body, c.want)
		if w != nil && at(object(t, w), "parallel_tool_calls") != false {
			t.Errorf("%s: the answer repeats that calls may be parallel: %s", name, w.Body)
		}
	}
}

// How much to think is said to a model that thinks, in words that its engine knows.
func TestEffort(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		model        bus.ModelInfo
		effort, want string
	}{
		{bus.ModelInfo{Engine: "ollama", Family: "llama", Can: bus.Answers}, "high", ""},
		{bus.ModelInfo{Engine: "ollama", Family: "qwen3", Can: bus.Answers | bus.Thinks}, "high", "true"},
		{bus.ModelInfo{Engine: "ollama", Family: "qwen3", Can: bus.Answers | bus.Thinks}, "none", "false"},
		{bus.ModelInfo{Engine: "ollama", Family: "gptoss", Can: bus.Answers | bus.Thinks}, "minimal", `"low"`},
		{bus.ModelInfo{Engine: "ollama", Family: "gptoss", Can: bus.Answers | bus.Thinks}, "max", `"high"`},
		{bus.ModelInfo{Engine: "openai"}, "high", `"high"`},
		{bus.ModelInfo{Engine: "openai"}, "xhigh", `"high"`},
	} {
		o, g := newOracle(t, paris())
		c.model.Name = "m:latest"
		o.nodes[0].Models, o.nodes[1].Models, o.nodes[1].Embedders = nil, []bus.ModelInfo{c.model}, nil
		if w := local(t, g, "POST", "/v1/responses", ask+`,"reasoning":{"effort":"`+c.effort+`"}}`); w.Code != 200 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		req := o.asked(t)
		if got := string(req.Think); got != c.want {
			t.Errorf("%+v, effort %s: %s, want %s", c.model, c.effort, got, c.want)
		}
		if got := string(req.Extra["reasoning_effort"]); (got == `"`+c.effort+`"`) != (c.want == `"high"` && c.effort != "high") {
			t.Errorf("%+v, effort %s: servers with OpenAI's interface are told %s", c.model, c.effort, got)
		}
	}
}

func TestResponsesRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ body, says string }{
		"no input":       {`{"model":"m"}`, "input"},
		"no items":       {`{"model":"m","input":[]}`, "input"},
		"no model":       {`{"input":"hi"}`, "model"},
		"a number":       {`{"model":"m","input":7}`, "a list of items"},
		"an item":        {`{"model":"m","input":[{"role":"user","content":"x"},{"type":"computer_call","id":"x"}]}`, "input[1]: the type \"computer_call\""},
		"a reference":    {`{"model":"m","input":[{"role":"user","content":"x"},{"type":"item_reference","id":"x"}]}`, "input[1]: there is no item \"x\""},
		"a part":         {`{"model":"m","input":[{"role":"user","content":[{"type":"input_file"}]}]}`, "file_data"},
		"a role":         {`{"model":"m","input":[{"role":"cook","content":"x"}]}`, "cook"},
		"elsewhere":      {`{"model":"m","input":[{"role":"user","content":[{"type":"input_image","image_url":"http://192.0.2.1/x.png"}]}]}`, "within the request"},
		"what was":       {ask + `,"previous_response_id":"resp_1"}`, "previous_response_id"},
		"a conversation": {ask + `,"conversation":"c"}`, "conversation"},
		"in background":  {ask + `,"background":true}`, "background"},
		"a tool":         {ask + `,"tools":[{"type":"web_search"}]}`, "web_search"},
		"a format":       {ask + `,"text":{"format":{"type":"grammar"}}}`, "text.format"},
	} {
		o, g := newOracle(t, paris())
		w := local(t, g, "POST", "/v1/responses", c.body)
		msg, _ := at(object(t, w), "error", "message").(string)
		if w.Code != 400 || !strings.Contains(msg, c.says) || len(o.tasks) > 0 {
			t.Errorf("%s: %d %s, want %q", name, w.Code, w.Body, c.says)
		}
	}
}
