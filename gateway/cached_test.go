package gateway_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// What of a prompt an engine had read before is told in each interface's way: at OpenAI it is a part of the prompt, at Anthropic it
// is beside the rest of it.
func TestCachedTokens(t *testing.T) {
	t.Parallel()
	const asked = `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"?"}]`
	answer := func(cached int, path, body string) string {
		res := bus.InferenceResult{Text: "Paris.", PromptTokens: 9, CachedTokens: cached, OutputTokens: 2, DoneReason: "stop"}
		_, g := newOracle(t, says(res, chunks(1, texts("Paris.")...)...))
		return local(t, g, "POST", "/v1/"+path, body).Body.String()
	}
	for name, c := range map[string]struct{ path, body, want, without string }{
		"a chat":                {"chat/completions", asked + `}`, `"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11,"prompt_tokens_details":{"cached_tokens":7}}`, `"total_tokens":11}`},
		"a chat, streamed":      {"chat/completions", asked + `,"stream":true,"stream_options":{"include_usage":true}}`, `"total_tokens":11,"prompt_tokens_details":{"cached_tokens":7}}`, `"total_tokens":11}`},
		"two answers to a chat": {"chat/completions", asked + `,"n":2}`, `"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13,"prompt_tokens_details":{"cached_tokens":7}}`, `"total_tokens":13}`},
		"a completion":          {"completions", `{"model":"m","prompt":"?"}`, `"prompt_tokens_details":{"cached_tokens":7}`, `"total_tokens":11}`},
		"a response":            {"responses", `{"model":"m","input":"?"}`, `"input_tokens":9,"input_tokens_details":{"cached_tokens":7}`, `"input_tokens_details":{"cached_tokens":0}`},
		"a response, streamed":  {"responses", `{"model":"m","input":"?","stream":true}`, `"input_tokens":9,"input_tokens_details":{"cached_tokens":7}`, `"input_tokens_details":{"cached_tokens":0}`},
		"a message":             {"messages", asked + `}`, `"usage":{"cache_read_input_tokens":7,"input_tokens":2,"output_tokens":2}`, `"usage":{"input_tokens":9,"output_tokens":2}`},
		"a message, streamed":   {"messages", asked + `,"stream":true}`, `"usage":{"cache_read_input_tokens":7,"input_tokens":2,"output_tokens":2}`, `"usage":{"input_tokens":9,"output_tokens":2}`},
	} {
		if got := answer(7, c.path, c.body); !strings.Contains(got, c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		if got := answer(0, c.path, c.body); !strings.Contains(got, c.without) {
			t.Errorf("%s, of an engine that does not tell: %s, want %s", name, got, c.without)
		}
	}
	// What an answer took is the sum of all that was read for it.
	all := searching()
	for i := range all {
		all[i].CachedTokens = i + 1
	}
	_, g := searcher(t, all...)
	w := local(t, g, "POST", "/v1/responses", `{"model":"m","input":"When?","tools":[{"type":"web_search"}]}`)
	if got := at(object(t, w), "usage", "input_tokens_details", "cached_tokens"); fmt.Sprint(got) != "6" {
		t.Errorf("of an answer with searches: %v", got)
	}
}
