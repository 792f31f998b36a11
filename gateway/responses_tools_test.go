package gateway_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Agents such as Codex name functions in namespaces, and tools that OpenAI runs itself, in each request: the
// functions are offered, and the model's calls come back by the names that the agent knows.
func TestResponsesToolsOfAgents(t *testing.T) {
	t.Parallel()
	calls := []bus.ToolCall{{ID: "c1", Name: "crm__find", Arguments: json.RawMessage(`{"a":1}`)}, {ID: "c2", Name: "run"}}
	o, g := newOracle(t, says(bus.InferenceResult{ToolCalls: calls}, chunks(1, bus.InferenceChunk{ToolCalls: calls})...))
	const body = `{"model":"m","input":[{"role":"user","content":"hi"},
		{"type":"function_call","call_id":"c0","namespace":"crm","name":"find","arguments":"{}"},
		{"type":"function_call_output","call_id":"c0","output":"none"}],
		"tools":[{"type":"function","name":"run"},{"type":"web_search","external_web_access":false},
			{"type":"namespace","name":"crm","description":"d","tools":[{"type":"function","name":"find","parameters":{"type":"object"}},{"type":"custom","name":"free"}]}]`
	once := object(t, local(t, g, "POST", "/v1/responses", body+`}`))
	req := o.asked(t)
	if d := cmp.Diff(`[{"type":"function","function":{"name":"run"}},{"type":"function","function":{"name":"crm__find","parameters":{"type":"object"}}}]`, string(req.Tools)); d != "" {
		t.Error(d)
	}
	if m := req.Messages; len(m) != 3 || m[1].ToolCalls[0].Name != "crm__find" || m[2].ToolName != "crm__find" {
		t.Errorf("the conversation is %+v", m)
	}
	names, events := named(t, local(t, g, "POST", "/v1/responses", body+`,"stream":true}`))
	if last := names[len(names)-1]; last != "response.completed" {
		t.Fatalf("it ends with %s", last)
	}
	for _, reply := range []any{once, at(events[len(events)-1], "response")} {
		for i, want := range []map[string]any{{"namespace": "crm", "name": "find", "call_id": "c1"}, {"namespace": nil, "name": "run", "call_id": "c2"}} {
			got := at(reply, "output", i).(map[string]any)
			for field, v := range want {
				if got["type"] != "function_call" || got[field] != v {
					t.Errorf("call %d: %s is %v, want %v", i, field, got[field], v)
				}
			}
		}
		if at(reply, "tools", 0, "strict") != nil || at(reply, "tools", 1, "external_web_access") != false || at(reply, "tools", 2, "tools", 0, "name") != "find" {
			t.Errorf("it repeats the tools as %v", at(reply, "tools"))
		}
	}
	o, g = newOracle(t, paris())
	if w := local(t, g, "POST", "/v1/responses", body+`,"tool_choice":{"type":"function","namespace":"crm","name":"find"}}`); w.Code != 200 {
		t.Fatal(w.Body)
	}
	if got := string(o.asked(t).Extra["tool_choice"]); got != `{"function":{"name":"crm__find"},"type":"function"}` {
		t.Errorf("tool_choice is %s", got)
	}
}

// A namespace has functions alone. Where a swarm has a search a refusal does not say that it has none.
func TestSearchWithinANamespace(t *testing.T) {
	t.Parallel()
	o, g := searcher(t, bus.InferenceResult{Text: "Hi."})
	const body = `{"model":"m","input":"hi","tools":[{"type":"namespace","name":"n","tools":[{"type":"web_search"}%s]}]}`
	w := local(t, g, "POST", "/v1/responses", fmt.Sprintf(body, ""))
	if w.Code != 400 || !strings.Contains(w.Body.String(), "has no web_search in a namespace of its own") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	wantStatus(t, "beside a function", local(t, g, "POST", "/v1/responses", fmt.Sprintf(body, `,{"type":"function","name":"f"}`)), 200)
	if d := cmp.Diff(`[{"type":"function","function":{"name":"n__f"}}]`, string(o.asked(t).Tools)); d != "" {
		t.Error(d)
	}
}
