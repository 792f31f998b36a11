package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/engine"
)

// rest is what came of going on with an answer.
type rest struct {
	res      bus.InferenceResult
	err      error
	ok, went bool
	pieces   string
}

func goOn(ctx context.Context, e engine.Engine, model string, req bus.InferenceRequest, said bus.Said) (r rest) {
	c := e.(engine.Continuer)
	r.res, r.ok, r.err = c.Continue(ctx, model, req, said, func() error {
		r.went = true
		return nil
	}, func(c bus.InferenceChunk) error {
		r.pieces += c.Text
		return nil
	})
	return r
}

func saidBy(pieces ...string) (s bus.Said) {
	s.Text, s.Tokens = strings.Join(pieces, ""), len(pieces)
	return s
}

// The demo model goes on from any piece of an answer with the rest of it, and counts the same.
func TestDemoContinues(t *testing.T) {
	t.Parallel()
	d, err := engine.NewDemo()
	if err != nil {
		t.Fatal(err)
	}
	for _, prompt := range []string{"What is the capital of France?", "hello", "Tell me of the sea and of ships, please.", "zürich ☃ 42"} {
		for _, most := range []int{0, 9} {
			req := bus.InferenceRequest{Prompt: prompt, MaxTokens: most, Stop: []string{"\u2603\u2603"}}
			var pieces []string
			whole, err := d.Generate(t.Context(), "tinylm", req, func(c bus.InferenceChunk) error {
				pieces = append(pieces, c.Text)
				return nil
			})
			if err != nil || len(pieces) < 2 {
				t.Fatalf("%q: %+v, %v", prompt, whole, err)
			}
			for _, n := range cuts(len(pieces)) {
				r := goOn(t.Context(), d, "tinylm", req, saidBy(pieces[:n]...))
				if r.err != nil || !r.ok || !r.went || r.res.Text != whole.Text || strings.Join(pieces[:n], "")+r.pieces != whole.Text {
					t.Errorf("%q after %d of %d pieces: %+v: %q, want %q", prompt, n, len(pieces), r, r.res.Text, whole.Text)
				}
				if r.res.OutputTokens != whole.OutputTokens || r.res.PromptTokens != whole.PromptTokens || r.res.DoneReason != whole.DoneReason {
					t.Errorf("%q after %d pieces: %+v, want the figures of %+v", prompt, n, r.res, whole)
				}
			}
		}
	}
}

// answersBy answers by path, and keeps what was asked.
type answersBy map[string]func(body map[string]any) string

func (rec answersBy) serve(t *testing.T, asked *[]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var body map[string]any
		_ = json.NewDecoder(r.Body).Decode(&body) // a GET has none
		do := rec[r.URL.Path]
		if do == nil {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		text, _ := json.Marshal(body)
		*asked = append(*asked, r.URL.Path+" "+string(text))
		fmt.Fprint(w, do(body))
	}
}

func server(t *testing.T, h http.HandlerFunc) *url.URL {
	t.Helper()
	u, err := url.Parse(serve(t, map[string]http.HandlerFunc{"/": h}).URL)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func always(s string) func(map[string]any) string { return func(map[string]any) string { return s } }

// Ollama shows the prompt that it makes of a conversation, and goes on behind it; what it would take
// apart, or does not show, begins anew.
func TestOllamaContinues(t *testing.T) {
	t.Parallel()
	const restOf = `{"response":"ris"}` + "\n" + `{"done":true,"done_reason":"stop","prompt_eval_count":12,"eval_count":1,"eval_duration":20000000}` + "\n"
	zero := 0.0
	req := bus.InferenceRequest{Prompt: "capital?", Temperature: &zero, MaxTokens: 5, Stop: []string{"!"}}
	for name, c := range map[string]struct {
		show, chat string
		ok         bool
	}{
		"shows its prompt": {`{"capabilities":["completion"]}`, `{"_debug_info":{"rendered_template":"<u>capital?<a>"}}`, true},
		"does not":         {`{"capabilities":["completion"]}`, `{"message":{"content":"Pa"},"done":true}`, false},
		"thinks":           {`{"capabilities":["completion","thinking"]}`, "", false},
		"has a parser":     {`{"capabilities":["completion"],"parser":"harmony"}`, "", false},
	} {
		var asked []string
		s := server(t, answersBy{"/api/show": always(c.show), "/api/chat": always(c.chat), "/api/generate": always(restOf)}.serve(t, &asked))
		r := goOn(t.Context(), engine.NewOllama(s), "m", req, saidBy("P", "a"))
		if r.ok != c.ok || r.went != c.ok || r.err != nil {
			t.Errorf("%s: %+v", name, r)
		}
		if !c.ok {
			continue
		}
		const want = `/api/generate {"model":"m","options":{"num_predict":3,"stop":["!"],"temperature":0},"prompt":"\u003cu\u003ecapital?\u003ca\u003ePa",` +
			`"raw":true,"shift":false,"stream":true,"truncate":false}`
		if last := asked[len(asked)-1]; last != want {
			t.Errorf("%s: asked %s\nwant %s", name, last, want)
		}
		if r.res.Text != "Paris" || r.pieces != "ris" || r.res.OutputTokens != 3 || r.res.PromptTokens != 10 {
			t.Errorf("%s: %+v", name, r)
		}
		if r.res.Writing != 60*time.Millisecond || r.res.Duration < 40*time.Millisecond { // one token of three took 20 ms
			t.Errorf("%s: %d tokens in %v of %v, want the speed of the one that was written here", name, r.res.OutputTokens, r.res.Writing, r.res.Duration)
		}
		if r := goOn(t.Context(), engine.NewOllama(s), "m", bus.InferenceRequest{Prompt: "x", MaxTokens: 2}, saidBy("P", "a")); !r.ok || !r.went ||
			r.res.Text != "Pa" || r.res.DoneReason != "length" {
			t.Errorf("as long as it may be: %+v", r)
		}
	}
}

// Servers with OpenAI's interface go on where they are known to.
func TestOpenAIContinues(t *testing.T) {
	t.Parallel()
	chat := bus.InferenceRequest{Prompt: "capital?", MaxTokens: 5}
	for name, c := range map[string]struct {
		owner string
		req   bus.InferenceRequest
		said  string
		want  string // the last request; "" where it begins anew
	}{
		"llama-server": {"llamacpp", chat, "Pa", `/v1/completions {"max_tokens":3,"model":"m","prompt":"[capital?]Pa","stream":true,"stream_options":{"include_usage":true}}`},
		"vLLM": {"vllm", chat, "Pa", `/v1/chat/completions {"add_generation_prompt":false,"continue_final_message":true,"max_tokens":3,` +
			`"messages":[{"content":"capital?","role":"user"},{"content":"Pa","role":"assistant"}],"model":"m","stream":true,"stream_options":{"include_usage":true}}`},
		"vLLM, after a blank": {"vllm", chat, "Pa ", ""},
		"another":             {"someone", chat, "Pa", ""},
		"another, of a text": {
			"someone",
			bus.InferenceRequest{Prompt: "P", Raw: true},
			"a",
			`/v1/completions {"model":"m","prompt":"Pa","stream":true,"stream_options":{"include_usage":true}}`,
		},
	} {
		var asked []string
		s := server(t, answersBy{
			"/v1/models":           always(`{"data":[{"id":"m","owned_by":"` + c.owner + `"}]}`),
			"/apply-template":      always(`{"prompt":"[capital?]"}`),
			"/v1/completions":      always(`data: {"choices":[{"text":"ris","finish_reason":"stop"}]}` + "\n\n" + doneEvent),
			"/v1/chat/completions": always(event("ris") + finish + doneEvent),
		}.serve(t, &asked))
		r := goOn(t.Context(), engine.NewOpenAI(s), "m", c.req, bus.Said{InferenceChunk: bus.InferenceChunk{Text: c.said}, Tokens: 2})
		if r.err != nil || r.ok != (c.want != "") || r.went != r.ok {
			t.Errorf("%s: %+v", name, r)
		}
		if last := asked[len(asked)-1]; r.ok && (last != c.want || r.res.Text != c.said+"ris" || r.pieces != "ris") {
			t.Errorf("%s: asked %s\nwant %s\n%+v", name, last, c.want, r)
		}
	}
}

// What a grammar or a parser stands behind is not continued, whatever the engine.
func TestOnlyPlainTextIsContinued(t *testing.T) {
	t.Parallel()
	image := [][]byte{{1}}
	for name, req := range map[string]bus.InferenceRequest{
		"tools": {Prompt: "x", Tools: json.RawMessage(`[{}]`)}, "format": {Prompt: "x", Format: json.RawMessage(`"json"`)},
		"image": {Prompt: "x", Images: image}, "thinking": {Prompt: "x", Think: json.RawMessage(`true`)},
		"suffix": {Prompt: "x", Suffix: "y"}, "unknown": {Prompt: "x", Extra: map[string]json.RawMessage{"guided_json": json.RawMessage(`{}`)}},
		"call": {Messages: []bus.Message{{Role: "user", Content: "x"}, {Role: "tool", Content: "y"}}},
	} {
		if engine.Continuable(req, saidBy("a")) {
			t.Errorf("%s is continued", name)
		}
	}
	for name, said := range map[string]bus.Said{
		"nothing": {}, "thoughts": {InferenceChunk: bus.InferenceChunk{Text: "x", Thinking: "y"}},
		"a call": {InferenceChunk: bus.InferenceChunk{Text: "x", ToolCalls: []bus.ToolCall{{Name: "f"}}}},
	} {
		if engine.Continuable(bus.InferenceRequest{Prompt: "x"}, said) {
			t.Errorf("%s is continued", name)
		}
	}
	if !engine.Continuable(bus.InferenceRequest{Prompt: "x", Think: json.RawMessage(`false`)}, saidBy("a")) {
		t.Error("a plain text is not continued")
	}
}

// cuts are places to cut n pieces: all of the first and the last, and some between.
func cuts(n int) (out []int) {
	for i := 1; i <= n; i++ {
		if i < 12 || i > n-3 || i%20 == 0 {
			out = append(out, i)
		}
	}
	return out
}
