package engine_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/engine"
)

// likely is a token, how likely it was, and who else was there.
func likely(token string, logprob float64, top ...bus.TokenLogprob) bus.Logprob {
	return bus.Logprob{TokenLogprob: bus.TokenLogprob{Token: token, Logprob: logprob}, Top: top}
}

const (
	ollamaOdds = `{"message":{"content":""},"logprobs":[{"token":"Pa","logprob":-0.5,"bytes":[80,97]}],"done":false}` + "\n" +
		`{"message":{"content":"Paris"},"logprobs":[{"token":"ris","logprob":-1,"top_logprobs":[{"token":"ris","logprob":-1},{"token":"x","logprob":-2}]}],"done":false}` + "\n" + doneLine
	chatOdds = `data: {"choices":[{"delta":{"content":"Pa"},"logprobs":{"content":[{"token":"Pa","logprob":-0.5,"bytes":[80,97],"top_logprobs":[]}]}}]}` + "\n\n" +
		`data: {"choices":[{"delta":{"content":"ris"},"logprobs":{"content":[{"token":"ris","logprob":-1,"bytes":null,"top_logprobs":[{"token":"ris","logprob":-1},{"token":"x","logprob":-2},{"token":"z","logprob":-3}]}]}}]}` + "\n\n" +
		finish + doneEvent
	listOdds = `data: {"choices":[{"text":"Pa","logprobs":{"text_offset":[0],"tokens":["Pa"],"token_logprobs":[-0.5],"top_logprobs":null}}]}` + "\n\n" +
		`data: {"choices":[{"text":"ris","finish_reason":"stop","logprobs":{"tokens":["ris"],"token_logprobs":[-1],"top_logprobs":[{"z":-3,"x":-2,"ris":-1}]}}]}` + "\n\n" + doneEvent
	numbered   = `{"choices":[{"finish_reason":"stop","message":{"content":"Paris"},"logprobs":{"tokens":[17,4],"token_logprobs":[-0.5,-1],"top_logprobs":[]}}]}`
	atOnceOdds = `{"choices":[{"finish_reason":"stop","message":{"content":"Paris"},"logprobs":{"content":[{"token":"Pa","logprob":-0.5},` +
		`{"token":"ris","logprob":-1,"top_logprobs":[{"token":"ris","logprob":-1},{"token":"x","logprob":-2}]}]}}]}`
)

// Engines tell probabilities in three ways, and are asked in two; here they are the same.
func TestLogprobs(t *testing.T) {
	t.Parallel()
	chat := bus.InferenceRequest{Prompt: "capital?", Logprobs: true, TopLogprobs: 2}
	text := bus.InferenceRequest{Prompt: "p", Mode: bus.ModeComplete, Logprobs: true}
	others := []bus.TokenLogprob{{Token: "ris", Logprob: -1}, {Token: "x", Logprob: -2}}
	two := []bus.Logprob{likely("Pa", -0.5), likely("ris", -1, others...)}
	for name, c := range map[string]struct {
		kind, path, reply string
		req               bus.InferenceRequest
		asks              string
		want              []bus.Logprob
	}{
		"Ollama":                     {engine.KindOllama, "/api/chat", ollamaOdds, chat, `true 2`, two},
		"a chat":                     {engine.KindOpenAI, "/v1/chat/completions", chatOdds, chat, `true 2`, two},
		"a chat at once":             {engine.KindOpenAI, "/v1/chat/completions", atOnceOdds, chat, `true 2`, two},
		"a completion":               {engine.KindOpenAI, "/v1/completions", listOdds, text, `1 <nil>`, []bus.Logprob{two[0], likely("ris", -1)}},
		"a completion, with others":  {engine.KindOpenAI, "/v1/completions", listOdds, with(text, 2), `2 <nil>`, two},
		"a completion as of a chat":  {engine.KindOpenAI, "/v1/completions", chatOdds, with(text, 2), `2 <nil>`, two},
		"both ways at once":          {engine.KindOpenAI, "/v1/completions", strings.ReplaceAll(chatOdds, `"logprobs":{`, `"logprobs":{"tokens":["Pa"],"token_logprobs":[-0.5],"top_logprobs":[{"Pa":-0.5}],`), with(text, 2), `2 <nil>`, two},
		"numbers of tokens":          {engine.KindOpenAI, "/v1/completions", numbered, text, `1 <nil>`, nil},
		"numbers, not asked for":     {engine.KindOpenAI, "/v1/chat/completions", numbered, bus.InferenceRequest{Prompt: "x"}, `<nil> <nil>`, nil},
		"they are not asked for":     {engine.KindOpenAI, "/v1/chat/completions", chatOdds, bus.InferenceRequest{Prompt: "x"}, `<nil> <nil>`, nil},
		"an Ollama that knows none":  {engine.KindOllama, "/api/chat", line("Pa") + line("ris") + doneLine, chat, `true 2`, nil},
		"a server that knows none":   {engine.KindOpenAI, "/v1/chat/completions", event("Paris") + finish + doneEvent, chat, `true 2`, nil},
		"an Ollama, without a third": {engine.KindOllama, "/api/chat", strings.Replace(ollamaOdds, `{"token":"x","logprob":-2}`, `{"token":"x","logprob":-2},{"token":"z","logprob":-3}`, 1), chat, `true 2`, two},
	} {
		var asked []string
		s := server(t, answersBy{c.path: always(c.reply)}.serve(t, &asked))
		e := engine.Engine(engine.NewOllama(s))
		if c.kind == engine.KindOpenAI {
			e = engine.NewOpenAI(s)
		}
		var told []bus.Logprob
		said := ""
		res, err := e.Generate(t.Context(), "m", c.req, func(c bus.InferenceChunk) error {
			told, said = append(told, c.Logprobs...), said+c.Text
			return nil
		})
		if err != nil || res.Text != said || len(asked) != 1 {
			t.Errorf("%s: %+v, %v, asked %q", name, res, err, asked)
			continue
		}
		for i := range res.Logprobs {
			res.Logprobs[i].Bytes, told[i].Bytes = nil, nil
		}
		if d := cmp.Diff(c.want, res.Logprobs, cmpopts.EquateEmpty()); d != "" || cmp.Diff(c.want, told, cmpopts.EquateEmpty()) != "" {
			t.Errorf("%s: %s, the pieces %+v", name, d, told)
		}
		var body map[string]any
		_, text, _ := strings.Cut(asked[0], " ")
		if err := json.Unmarshal([]byte(text), &body); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(body["logprobs"], " ", body["top_logprobs"]); got != c.asks {
			t.Errorf("%s asks %s, want %s", name, got, c.asks)
		}
	}
}

func with(req bus.InferenceRequest, others int) bus.InferenceRequest {
	req.TopLogprobs = others
	return req
}

// What a server tells at once goes in pieces that fit into messages, and no token is longer than tokens are.
func TestLogprobsFitIntoMessages(t *testing.T) {
	t.Parallel()
	token := strings.Repeat("a", 100)
	tops := strings.TrimSuffix(strings.Repeat(`{"token":"`+token+`","logprob":-1},`, 20), ",")
	one := `{"token":"` + token + `","logprob":-1,"top_logprobs":[` + tops + `]}`
	reply := func(odds string) string {
		return `{"choices":[{"finish_reason":"stop","message":{"content":"Paris"},"logprobs":{"content":[` + odds + `]}}]}`
	}
	req := bus.InferenceRequest{Prompt: "x", Logprobs: true, TopLogprobs: 20}
	var asked []string
	s := server(t, answersBy{"/v1/chat/completions": always(reply(strings.TrimSuffix(strings.Repeat(one+",", 1000), ",")))}.serve(t, &asked))
	most, n := 0, 0
	res, err := engine.NewOpenAI(s).Generate(t.Context(), "m", req, func(c bus.InferenceChunk) error {
		data, err := json.Marshal(c)
		most, n = max(most, len(data)), n+len(c.Logprobs)
		return err
	})
	if err != nil || n != 1000 || len(res.Logprobs) != 1000 || most > 2*engine.MaxPiece || res.DoneReason != "stop" {
		t.Errorf("%d of 1000 in pieces of up to %d bytes, the end is %q, %v", n, most, res.DoneReason, err)
	}
	long := server(t, answersBy{"/v1/chat/completions": always(reply(`{"token":"` + strings.Repeat("a", 2000) + `"}`))}.serve(t, &asked))
	_, err = engine.NewOpenAI(long).Generate(t.Context(), "m", req, func(bus.InferenceChunk) error { return nil })
	wantError(t, err, bus.CodeUnavailable, true, "a token has more than")
}

// The rest of an answer comes with the probabilities of the rest, and the result has them all.
func TestLogprobsGoOn(t *testing.T) {
	t.Parallel()
	said, _ := bus.SaidIn([]json.RawMessage{raw(`{"text":"P","logprobs":[{"token":"P","logprob":-0.1}]}`), raw(`{"text":"a","logprobs":[{"token":"a","logprob":-0.2}]}`)})
	req := bus.InferenceRequest{Prompt: "capital?", Logprobs: true, TopLogprobs: 1, MaxTokens: 5}
	const odds = `"logprobs":[{"token":"ris","logprob":-1,"top_logprobs":[{"token":"ris","logprob":-1}]}]`
	var asked []string
	ollama := server(t, answersBy{
		"/api/show": always(`{"capabilities":["completion"]}`), "/api/chat": always(`{"_debug_info":{"rendered_template":"<u>capital?<a>"}}`),
		"/api/generate": always(`{"response":"ris",` + odds + `}` + "\n" + `{"done":true,"done_reason":"stop","eval_count":1}` + "\n"),
	}.serve(t, &asked))
	llama := server(t, answersBy{
		"/v1/models":      always(`{"data":[{"id":"m","owned_by":"llamacpp"}]}`),
		"/apply-template": always(`{"prompt":"[capital?]"}`), "/v1/completions": always(`data: {"choices":[{"text":"ris","finish_reason":"stop","logprobs":{"content":` +
			strings.TrimPrefix(odds, `"logprobs":`) + `}}]}` + "\n\n" + doneEvent),
	}.serve(t, &asked))
	want := []bus.Logprob{likely("P", -0.1), likely("a", -0.2), likely("ris", -1, bus.TokenLogprob{Token: "ris", Logprob: -1})}
	for _, e := range []engine.Engine{engine.NewOllama(ollama), engine.NewOpenAI(llama)} {
		r := goOn(t.Context(), e, "m", req, said)
		if d := cmp.Diff(want, r.res.Logprobs); d != "" || !r.ok || r.err != nil || r.res.Text != "Paris" || r.res.OutputTokens < 2 {
			t.Errorf("%s: %+v: %s", e.Kind(), r, d)
		}
		if last := asked[len(asked)-1]; !strings.Contains(last, `"logprobs":`) {
			t.Errorf("%s: asked %s", e.Kind(), last)
		}
	}
}

// An answer is continued only where the tokens that were told are just its text: a token told before its
// text would be told twice, one told after it never.
func TestOnlyToldTokensAreContinued(t *testing.T) {
	t.Parallel()
	req := bus.InferenceRequest{Prompt: "x", Logprobs: true}
	half := likely("\ufffd", -1)
	half.Bytes = []int{0xc3}
	rest := half
	rest.Bytes = []int{0xbc}
	for name, c := range map[string]struct {
		text string
		odds []bus.Logprob
		want bool
	}{
		"all":                     {"Paris", []bus.Logprob{likely("Pa", -1), likely("ris", -1)}, true},
		"a blank before":          {"Paris", []bus.Logprob{likely(" Pa", -1), likely("ris", -1)}, true},
		"parts of a character":    {"ü", []bus.Logprob{half, rest}, true},
		"one part of a character": {"Z", []bus.Logprob{likely("Z", -1), half}, false},
		"a token too many":        {"Paris", []bus.Logprob{likely("Paris", -1), likely("!", -1)}, false},
		"a blank too many":        {"Paris", []bus.Logprob{likely("Paris", -1), likely(" ", -1)}, false},
		"a token too few":         {"Paris!", []bus.Logprob{likely("Paris", -1)}, false},
		"none":                    {"Paris", nil, false},
	} {
		said := bus.Said{InferenceChunk: bus.InferenceChunk{Text: c.text, Logprobs: c.odds}}
		if got := engine.Continuable(req, said); got != c.want {
			t.Errorf("%s: continued: %v, want %v", name, got, c.want)
		}
	}
	if !engine.Continuable(bus.InferenceRequest{Prompt: "x"}, bus.Said{InferenceChunk: bus.InferenceChunk{Text: "Paris"}}) {
		t.Error("without probabilities a text is not continued")
	}
}

func TestDemoTellsNoLogprobs(t *testing.T) {
	t.Parallel()
	d, err := engine.NewDemo()
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Generate(t.Context(), "tinylm", bus.InferenceRequest{Prompt: "x", Logprobs: true}, func(bus.InferenceChunk) error { return nil })
	if e := bus.AsError(err); e == nil || e.Code != bus.CodeInvalid || e.Code.HTTPStatus() != http.StatusBadRequest || !strings.Contains(e.Message, "log probabilities") {
		t.Errorf("%v", err)
	}
}
