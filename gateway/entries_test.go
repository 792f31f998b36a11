package gateway_test

import (
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Lists of next to nothing cost no more than their bytes: they are counted before they are read.
func TestLongListsAreRefusedEarly(t *testing.T) {
	const size = 4 << 20
	list := func(one string) string { return "[" + strings.Repeat(one+",", size/(len(one)+1)) + one + "]" }
	var names strings.Builder
	for i := 0; names.Len() < size; i++ {
		names.WriteString(`,"n` + strconv.Itoa(i) + `":0`)
	}
	for name, c := range map[string]struct{ path, body, says string }{
		"messages of Ollama":    {"/api/chat", `{"model":"m","messages":` + list("{}") + `}`, "messages: more than 16384"},
		"messages of OpenAI":    {"/v1/chat/completions", `{"model":"m","messages":` + list("{}") + `}`, "messages: more than 16384"},
		"messages of Anthropic": {"/v1/messages", `{"model":"m","max_tokens":1,"messages":` + list("{}") + `}`, "messages: more than 16384"},
		"items":                 {"/v1/responses", `{"model":"m","input":` + list("{}") + `}`, "input: more than 16384"},
		"calls":                 {"/api/chat", `{"model":"m","messages":[{"role":"user","tool_calls":` + list(`{}`) + `}]}`, "messages: more than 131072"},
		"calls of OpenAI":       {"/v1/chat/completions", `{"model":"m","messages":[{"role":"user","tool_calls":` + list(`{}`) + `}]}`, "messages: more than 131072"},
		"parts":                 {"/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":` + list(`{}`) + `}]}`, "messages: more than 131072"},
		"images":                {"/api/generate", `{"model":"m","images":` + list(`""`) + `}`, "images: more than 131072"},
		"inputs":                {"/api/embed", `{"model":"vec","input":` + list(`""`) + `}`, "input: more than 131072"},
		"stops":                 {"/v1/completions", `{"model":"m","prompt":"x","stop":` + list(`""`) + `}`, "stop: more than 131072"},
		"options":               {"/api/chat", hello + `,"options":{` + names.String()[1:] + `}}`, "options: more than 131072"},
		"tools of a search":     {"/v1/chat/completions", hello + `,"web_search_options":{},"tools":` + list("{}") + `}`, "tools: more than 131072"},
		"allowed tools":         {"/v1/responses", `{"model":"m","input":"x","tool_choice":{"type":"allowed_tools","tools":` + list("{}") + `}}`, "tool_choice: more than 131072"},
		"names":                 {"/api/chat", `{"model":"m"` + names.String() + `}`, "more than 256 fields"},
	} {
		o, g := newOracle(t, paris())
		o.nodes[1].Types = append(slices.Clone(o.nodes[1].Types), bus.TypeSearch)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		w := local(t, g, "POST", c.path, c.body)
		runtime.ReadMemStats(&after)
		if w.Code != 400 || !strings.Contains(w.Body.String(), c.says) || len(o.tasks) > 0 {
			t.Errorf("%s: %d %.200s, want %q", name, w.Code, w.Body, c.says)
		}
		if times := (after.TotalAlloc - before.TotalAlloc) / uint64(len(c.body)); times > 12 {
			t.Errorf("%s: reading allocates %d times the body", name, times)
		}
	}
}

// What is not read here is not counted either: a list of tokens, tools.
func TestLongListsOfEnginesAreHandedOn(t *testing.T) {
	t.Parallel()
	tokens := "[" + strings.Repeat("1,", 1<<18) + "1]"
	o, g := newOracle(t, paris())
	if w := local(t, g, "POST", "/api/generate", `{"model":"m","prompt":"x","context":`+tokens+`}`); w.Code != 200 || string(o.asked(t).Context) != tokens {
		t.Errorf("%d %.200s", w.Code, w.Body)
	}
}
