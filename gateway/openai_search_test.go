package gateway_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/bus"
)

const chatSearch = `{"model":"m","messages":[{"role":"user","content":"When?"}],"web_search_options":{"search_context_size":"low"}`

// A chat with web_search_options is answered from the web: its client sees the text of all of it, and what that cites.
func TestHostedSearchOfChat(t *testing.T) {
	t.Parallel()
	o, g := searcher(t, append(searching(), searching()...)...)
	once := object(t, local(t, g, "POST", "/v1/chat/completions", chatSearch+`}`))
	reqs, others := o.requests(t)
	if len(reqs) != 3 || len(others) != 2 || offered(t, reqs[0]) != "web_search web_fetch" || reqs[0].Extra["web_search_options"] != nil {
		t.Fatalf("%d rounds led to %v, with %s and %s", len(reqs), others, offered(t, reqs[0]), reqs[0].Extra)
	}
	var text, thought string
	var cited, reason, usage any
	for e := range strings.SplitSeq(local(t, g, "POST", "/v1/chat/completions", chatSearch+`,"stream":true,"stream_options":{"include_usage":true}}`).Body.String(), "\n\n") {
		var v map[string]any
		if data := strings.TrimPrefix(e, "data: "); strings.HasPrefix(data, "{") {
			if err := json.Unmarshal([]byte(data), &v); err != nil {
				t.Fatal(err)
			}
		}
		d, _ := at(v, "choices", 0, "delta").(map[string]any)
		if s, ok := d["content"].(string); ok {
			text += s
		}
		if s, ok := d["reasoning"].(string); ok {
			thought += s
		}
		if d["tool_calls"] != nil {
			t.Errorf("the client is told of %v", d["tool_calls"])
		}
		for to, v := range map[*any]any{&cited: d["annotations"], &reason: at(v, "choices", 0, "finish_reason"), &usage: v["usage"]} {
			if v != nil {
				*to = v
			}
		}
	}
	m := at(once, "choices", 0, "message")
	want := []any{"I look.\n\nIn 1969, é " + moon + ".", "hm", []any{map[string]any{"type": "url_citation", "url_citation": map[string]any{
		"url": moon, "title": "The landing", "start_index": 20.0, "end_index": 20.0 + float64(len(moon)),
	}}}, "stop", map[string]any{"prompt_tokens": 34.0, "completion_tokens": 9.0, "total_tokens": 43.0}}
	if d := cmp.Diff(want, []any{at(m, "content"), at(m, "reasoning"), at(m, "annotations"), at(once, "choices", 0, "finish_reason"), at(once, "usage")}); d != "" {
		t.Errorf("at once: %s", d)
	}
	if d := cmp.Diff(want, []any{text, thought, cited, reason, usage}); d != "" {
		t.Errorf("in a stream: %s", d)
	}
}

// Who waits for a stream reads in comments what is looked for, in one line each, whatever the model calls for.
func TestHostedSearchOfChatTells(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 300)
	_, g := searcher(t,
		bus.InferenceResult{ToolCalls: []bus.ToolCall{calls("web_search", `{"query":"moon\r\n\ndata: {}\n\n landing"}`), calls("web_search", `{"query":"`+long+`"}`)}},
		bus.InferenceResult{ToolCalls: []bus.ToolCall{calls("web_fetch", `{"url":"`+moon+`"}`)}}, bus.InferenceResult{Text: "It was."})
	w := local(t, g, "POST", "/v1/chat/completions", chatSearch+`,"stream":true}`)
	var told []string
	for e := range strings.SplitSeq(w.Body.String(), "\n\n") {
		if strings.HasPrefix(e, ": searching") || strings.HasPrefix(e, ": reading") {
			told = append(told, e)
		}
	}
	want := []string{": searching the web: moon data: {} landing", ": " + ("searching the web: " + long)[:200], ": reading " + moon}
	if d := cmp.Diff(want, told); d != "" || w.Code != 200 || !strings.Contains(w.Body.String(), "It was.") {
		t.Errorf("%s in %d %s", d, w.Code, w.Body)
	}
}

// It goes with functions of the client's, and with a format, which engines of OpenAI's kind are told in words of their own.
func TestHostedSearchOfChatWithOthers(t *testing.T) {
	t.Parallel()
	o, g := searcher(t, bus.InferenceResult{Text: "Both.", ToolCalls: []bus.ToolCall{calls("f", "{}"), calls("web_search", `{"query":"x"}`)}})
	v := object(t, local(t, g, "POST", "/v1/chat/completions", chatSearch+`,"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"required"}`))
	if c := at(v, "choices", 0); at(c, "finish_reason") != "tool_calls" || at(c, "message", "content") != "Both." || len(at(c, "message", "tool_calls").([]any)) != 1 {
		t.Errorf("the answer is %v", v)
	}
	if r, _ := o.requests(t); offered(t, r[0]) != "f web_search web_fetch" || string(r[0].Extra["tool_choice"]) != `"required"` {
		t.Errorf("it is offered %s, %s", r[0].Tools, r[0].Extra)
	}

	o, g = searcher(t, bus.InferenceResult{ToolCalls: []bus.ToolCall{calls("web_search", `{"query":"x"}`)}}, bus.InferenceResult{Text: "It was."}, bus.InferenceResult{Text: `{}`})
	v = object(t, local(t, g, "POST", "/v1/chat/completions", chatSearch+`,"response_format":{"type":"json_object"},"parallel_tool_calls":true}`))
	if at(v, "choices", 0, "message", "content") != "{}" {
		t.Errorf("the answer is %v", v)
	}
	reqs, _ := o.requests(t)
	for i, r := range reqs {
		if last := i == 2; len(r.Format) > 0 != last || len(r.Extra["response_format"]) > 0 != last || len(r.Extra["parallel_tool_calls"]) > 0 == last {
			t.Errorf("round %d has the format %s, and %s", i, r.Format, r.Extra)
		}
	}
}

// Where nobody searches it is refused, but of an engine that may search itself.
func TestHostedSearchOfChatNotThere(t *testing.T) {
	t.Parallel()
	o, g := newOracle(t, paris())
	if w := local(t, g, "POST", "/v1/chat/completions", chatSearch+`}`); w.Code != 400 || !strings.Contains(w.Body.String(), "--search") || !strings.Contains(w.Body.String(), `"param":"web_search_options"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for _, n := range o.nodes[:2] {
		n.Models[0].Engine = "openai"
	}
	if w := local(t, g, "POST", "/v1/chat/completions", chatSearch+`}`); w.Code != 200 || o.asked(t).Extra["web_search_options"] == nil {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	_, g = searcher(t)
	if w := local(t, g, "POST", "/v1/chat/completions", chatSearch+`}`, "X-Myco-On-Loss", "restart"); w.Code != 400 || !strings.Contains(w.Body.String(), "X-Myco-On-Loss") {
		t.Errorf("an answer that begins anew: %d %s", w.Code, w.Body)
	}
}
