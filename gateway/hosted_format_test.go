package gateway_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/bus"
)

// An engine that writes nothing but a format calls no tools: a model searches without it, and is asked in it once it calls for no
// more. What it said before is not told, once or in a stream; what it thought is.
func TestHostedSearchThenFormat(t *testing.T) {
	t.Parallel()
	for target, body := range map[string]string{
		"/v1/responses": `{"model":"m","input":"When?","tools":[{"type":"web_search"},{"type":"function","name":"f"}],"max_output_tokens":50,
			"include":["message.output_text.logprobs"],"text":{"format":{"type":"json_schema","name":"n","schema":{"type":"object"}}}`,
		"/v1/messages": `{"model":"m","max_tokens":50,"messages":[{"role":"user","content":"When?"}],"output_config":{"format":{"type":"json_schema","schema":{"type":"object"}}},
			"tools":[{"type":"web_search_20250305","name":"web_search"},{"name":"f","input_schema":{}}]`,
	} {
		for _, streamed := range []string{"false", "true"} {
			o, g := searcher(t, bus.InferenceResult{Text: "I look.", ToolCalls: []bus.ToolCall{calls("web_search", `{"query":"x"}`)}, PromptTokens: 5, OutputTokens: 3, Logprobs: odds(-0.5, "I", " look.")},
				bus.InferenceResult{Thinking: "hm", Text: "It was in 1969.", PromptTokens: 7, OutputTokens: 6},
				bus.InferenceResult{Text: `{"year":1969}`, PromptTokens: 7, OutputTokens: 5, Logprobs: odds(-0.5, `{"year":1969}`)})
			said := local(t, g, "POST", target, body+`,"stream":`+streamed+`}`).Body.String()
			reqs, _ := o.requests(t)
			if len(reqs) != 3 {
				t.Fatalf("%s: the model was asked %d times, want 3: %s", target, len(reqs), said)
			}
			for i, r := range reqs {
				last := i == 2
				if (string(r.Format) == `{"type":"object"}`) != last || (len(r.Tools) == 0) != last {
					t.Errorf("%s: round %d has the format %s and the tools %s", target, i, r.Format, r.Tools)
				}
				if want := []int{50, 47, 47}[i]; r.MaxTokens != want {
					t.Errorf("%s: round %d may write %d tokens, want %d", target, i, r.MaxTokens, want)
				}
			}
			if d := cmp.Diff(reqs[1].Messages, reqs[2].Messages); d != "" {
				t.Errorf("%s: the draft went on: %s", target, d)
			}
			if reqs[1].Messages[1].Content != "I look." {
				t.Errorf("%s: the model forgets what it said: %+v", target, reqs[1].Messages)
			}
			for text, want := range map[string]bool{"I look": false, "It was in": false, `\"year\"`: true, "hm": true, " look.": false} {
				if strings.Contains(said, text) != want {
					t.Errorf("%s, stream %s: that %q is told is %v:\n%s", target, streamed, text, !want, said)
				}
			}
			if !strings.Contains(said, `"input_tokens":19`) || !strings.Contains(said, `"output_tokens":14`) {
				t.Errorf("%s: it does not tell what all of it took: %s", target, said)
			}
		}
	}
}

// A function of the client's that a model calls for before its answer is called, with no words that are of no format.
func TestHostedFormatAndAFunction(t *testing.T) {
	t.Parallel()
	_, g := searcher(t, bus.InferenceResult{Text: "I ask.", ToolCalls: []bus.ToolCall{calls("f", `{}`)}})
	v := object(t, local(t, g, "POST", "/v1/responses", `{"model":"m","input":"When?","tools":[{"type":"web_search"},{"type":"function","name":"f"}],"text":{"format":{"type":"json_object"}}}`))
	if at(v, "output", 0, "type") != "function_call" || at(v, "output", 1) != nil {
		t.Errorf("the answer is %v", at(v, "output"))
	}
}

// How likely a call of a tool was is not told of the message behind it.
func TestHostedLogprobs(t *testing.T) {
	t.Parallel()
	const body = `{"model":"m","input":"When?","tools":[{"type":"web_search"}],"include":["message.output_text.logprobs"]`
	answers := func() []bus.InferenceResult {
		return []bus.InferenceResult{
			{ToolCalls: []bus.ToolCall{calls("web_search", `{"query":"x"}`)}, Logprobs: odds(-0.5, "<call>", "</call>")},
			{Text: "So.", Logprobs: odds(-0.5, "So", ".")},
		}
	}
	o, g := searcher(t, append(answers(), answers()...)...)
	model := o.say
	o.say = func(task bus.Task, out func(bus.Chunk) error) (any, error) { // the odds of a call come before it
		return model(task, func(c bus.Chunk) error {
			piece, err := bus.Piece[bus.InferenceChunk](c)
			if err != nil || len(piece.ToolCalls) == 0 {
				return out(c)
			}
			piece.Logprobs = odds(-0.5, "<call>", "</call>")
			return out(chunks(1, piece)[0])
		})
	}
	once := object(t, local(t, g, "POST", "/v1/responses", body+`}`))
	_, events := named(t, local(t, g, "POST", "/v1/responses", body+`,"stream":true}`))
	for _, v := range []any{once, at(events[len(events)-1], "response")} {
		if l := at(v, "output", 1, "content", 0, "logprobs").([]any); len(l) != 2 || at(l[0], "token") != "So" {
			t.Errorf("of the message it tells %v", l)
		}
	}
}
