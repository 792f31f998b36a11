package gateway_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/bus"
)

// odds are probabilities of tokens, each with one other.
func odds(value float64, tokens ...string) (out []bus.Logprob) {
	for _, token := range tokens {
		t := bus.TokenLogprob{Token: token, Logprob: value, Bytes: []int{int(token[0])}}
		out = append(out, bus.Logprob{TokenLogprob: t, Top: []bus.TokenLogprob{t, {Token: "x", Logprob: -9}}})
	}
	return out
}

// likely is an answer with probabilities, of which one comes before its text.
func likely() func(bus.Task, func(bus.Chunk) error) (any, error) {
	return says(bus.InferenceResult{Text: "Paris.", DoneReason: "stop", Logprobs: odds(-0.5, "P", "ari", "s.")}, chunks(1,
		bus.InferenceChunk{Logprobs: odds(-0.5, "P")}, bus.InferenceChunk{Text: "Pari", Logprobs: odds(-0.5, "ari")},
		bus.InferenceChunk{Text: "s.", Logprobs: odds(-0.5, "s.")},
	)...)
}

// tell is JSON as Go reads it.
func tell(t *testing.T, s string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// Each interface has its own shape for probabilities, and a stream tells each token's once.
func TestLogprobs(t *testing.T) {
	t.Parallel()
	token := func(s, b string) string { return `"token":"` + s + `","logprob":-0.5,"bytes":[` + b + `]` }
	list := func(more string) string {
		var all []string
		for _, c := range [][2]string{{"P", "80"}, {"ari", "97"}, {"s.", "115"}} {
			all = append(all, `{`+token(c[0], c[1])+`,"top_logprobs":[{`+token(c[0], c[1])+`},{"token":"x","logprob":-9`+more+`}]}`)
		}
		return `[` + strings.Join(all, ",") + `]`
	}
	lists := `{"tokens":["P","ari","s."],"token_logprobs":[-0.5,-0.5,-0.5],"text_offset":[0,1,4],
		"top_logprobs":[{"P":-0.5,"x":-9},{"ari":-0.5,"x":-9},{"s.":-0.5,"x":-9}]}`
	for _, c := range []struct {
		path, body string
		where      []any // of the probabilities
		want       string
	}{
		{"/api/chat", hello + `,"logprobs":true,"top_logprobs":2`, []any{"logprobs"}, list("")},
		{"/api/generate", `{"model":"m","prompt":"hi","logprobs":true,"top_logprobs":2`, []any{"logprobs"}, list("")},
		{"/v1/chat/completions", hello + `,"logprobs":true,"top_logprobs":2`, []any{"choices", 0, "logprobs"}, `{"content":` + list(`,"bytes":null`) + `,"refusal":null}`},
		{"/v1/completions", `{"model":"m","prompt":"hi","logprobs":2`, []any{"choices", 0, "logprobs"}, lists},
	} {
		o, g := newOracle(t, likely())
		whole := at(object(t, local(t, g, "POST", c.path, c.body+`,"stream":false}`)), c.where...)
		if d := cmp.Diff(tell(t, c.want), whole); d != "" {
			t.Errorf("%s: %s", c.path, d)
		}
		if req := o.asked(t); !req.Logprobs || req.TopLogprobs != 2 || req.Extra != nil {
			t.Errorf("%s asks %+v", c.path, req)
		}
		w := local(t, g, "POST", c.path, c.body+`,"stream":true}`)
		var streamed any
		pieces := 0
		for _, line := range said(t, w.Body.String()) {
			if v := at(line, c.where...); v != nil {
				streamed = joined(streamed, v)
				pieces++
			}
		}
		if d := cmp.Diff(whole, streamed); d != "" || pieces != 3 {
			t.Errorf("%s, streamed in %d pieces: %s", c.path, pieces, d)
		}
	}
}

// said are the objects of a stream, whatever its kind.
func said(t *testing.T, body string) (out []any) {
	t.Helper()
	for line := range strings.Lines(body) {
		if line = strings.TrimPrefix(strings.TrimSpace(line), "data: "); strings.HasPrefix(line, "{") {
			out = append(out, tell(t, line))
		}
	}
	return out
}

// joined joins the lists within two values of the same shape.
func joined(a, b any) any {
	switch x := b.(type) {
	case []any:
		before, _ := a.([]any)
		return append(slices.Clone(before), x...)
	case map[string]any:
		before, _ := a.(map[string]any)
		out := map[string]any{}
		for k, v := range x {
			out[k] = joined(before[k], v)
		}
		return out
	}
	return b
}

// Who does not ask for probabilities is told none, and where an engine tells none there are none.
func TestNoLogprobs(t *testing.T) {
	t.Parallel()
	for path, body := range map[string]string{
		"/api/chat": hello + `,"top_logprobs":2`, "/v1/chat/completions": hello + `,"logprobs":false,"top_logprobs":0`, "/v1/completions": `{"model":"m","prompt":"hi","logprobs":false`,
	} {
		o, g := newOracle(t, paris())
		w := local(t, g, "POST", path, body+`,"stream":false}`)
		v := object(t, w)
		if _, there := v["logprobs"]; w.Code != 200 || there || at(v, "choices", 0, "logprobs") != nil || o.asked(t).Logprobs {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	_, g := newOracle(t, paris())
	if w := local(t, g, "POST", "/v1/chat/completions", hello+`,"logprobs":true}`); w.Code != 200 || at(object(t, w), "choices", 0, "logprobs") != nil {
		t.Errorf("an engine that tells none: %d %s", w.Code, w.Body)
	}
}

// A node that takes over and says the same computes a little otherwise: the client keeps what it has, and
// gets the probabilities of the rest. Where it splits the text otherwise, it is another answer.
func TestLogprobsOfAnotherNode(t *testing.T) {
	t.Parallel()
	first := chunks(1, bus.InferenceChunk{Text: "Pa", Logprobs: odds(-0.5, "P", "a")})
	piece := func(text string, tokens ...string) bus.InferenceChunk {
		return bus.InferenceChunk{Text: text, Logprobs: odds(-0.25, tokens...)}
	}
	for name, c := range map[string]struct {
		then []bus.InferenceChunk
		all  []bus.Logprob // of its result
		want []float64     // nil: an error
	}{
		"the same tokens":   {[]bus.InferenceChunk{piece("Paris", "P", "a", "r"), piece("", "is")}, odds(-0.25, "P", "a", "r", "is"), []float64{-0.5, -0.5, -0.25, -0.25}},
		"told at the end":   {nil, odds(-0.25, "P", "a", "r", "is"), []float64{-0.5, -0.5, -0.25, -0.25}},
		"other tokens":      {[]bus.InferenceChunk{piece("Paris", "Pa", "ris")}, odds(-0.25, "Pa", "ris"), nil},
		"no probabilities":  {[]bus.InferenceChunk{piece("Paris")}, nil, nil},
		"more than the end": {[]bus.InferenceChunk{piece("Paris", "P", "a", "r", "is", "!")}, odds(-0.25, "P", "a", "r", "is"), nil},
	} {
		_, g := newOracle(t, says(bus.InferenceResult{Text: "Paris", DoneReason: "stop", Logprobs: c.all}, append(first[:1:1], chunks(2, c.then...)...)...))
		got := lines(t, local(t, g, "POST", "/api/chat", hello+`,"logprobs":true}`))
		var text string
		var values []float64
		for _, l := range got {
			s, _ := at(l, "message", "content").(string)
			text += s
			told, _ := l["logprobs"].([]any)
			for _, p := range told {
				values = append(values, at(p, "logprob").(float64))
			}
		}
		last := got[len(got)-1]
		if c.want == nil {
			if last["error"] == nil {
				t.Errorf("%s: %v", name, got)
			}
			continue
		}
		if d := cmp.Diff(c.want, values); d != "" || text != "Paris" || last["done"] != true {
			t.Errorf("%s: %q, %v: %s", name, text, last, d)
		}
	}
}

// The newer interface of OpenAI tells probabilities with the text of a message, in its events and at its end,
// to who includes them.
func TestResponsesLogprobs(t *testing.T) {
	t.Parallel()
	o, g := newOracle(t, likely())
	body := ask + `,"include":["reasoning.encrypted_content","message.output_text.logprobs"],"top_logprobs":1`
	once := object(t, local(t, g, "POST", "/v1/responses", body+`}`))
	whole, _ := at(once, "output", 0, "content", 0, "logprobs").([]any)
	if len(whole) != 3 || at(whole[0], "token") != "P" || at(whole[2], "top_logprobs", 1, "token") != "x" || once["top_logprobs"] != 1.0 {
		t.Errorf("%v", once)
	}
	if req := o.asked(t); !req.Logprobs || req.TopLogprobs != 1 {
		t.Errorf("asks %+v", req)
	}
	names, got := named(t, local(t, g, "POST", "/v1/responses", body+`,"stream":true}`))
	var told []any
	for i, e := range got {
		odds, _ := e["logprobs"].([]any)
		switch names[i] {
		case "response.output_text.delta":
			told = append(told, odds...)
		case "response.output_text.done":
			if d := cmp.Diff(any(whole), any(odds)); d != "" {
				t.Error(d)
			}
		}
	}
	if d := cmp.Diff(whole, told); d != "" {
		t.Error(d)
	}
	last := got[len(got)-1]
	if d := cmp.Diff(any(whole), at(last, "response", "output", 0, "content", 0, "logprobs")); d != "" {
		t.Error(d)
	}
	o, g = newOracle(t, paris())
	v := object(t, local(t, g, "POST", "/v1/responses", ask+`,"top_logprobs":1}`))
	if odds, ok := at(v, "output", 0, "content", 0, "logprobs").([]any); !ok || len(odds) != 0 || o.asked(t).Logprobs {
		t.Errorf("not included: %v", v)
	}
}

// The probabilities of a thought are not told as those of the message behind it.
func TestResponsesLogprobsBehindAThought(t *testing.T) {
	t.Parallel()
	body := ask + `,"include":["message.output_text.logprobs"]`
	const text = "Yes!"
	pieces := chunks(1,
		bus.InferenceChunk{Thinking: "hm", Logprobs: []bus.Logprob{{TokenLogprob: bus.TokenLogprob{Token: "hm"}}}},
		bus.InferenceChunk{Text: "Yes", Logprobs: []bus.Logprob{{TokenLogprob: bus.TokenLogprob{Token: "Yes"}}}},
		bus.InferenceChunk{Text: "!", Logprobs: []bus.Logprob{{TokenLogprob: bus.TokenLogprob{Token: "\ufffd", Bytes: []int{'!'}}}}},
	)
	_, g := newOracle(t, says(bus.InferenceResult{Text: text, Thinking: "hm", DoneReason: "stop", Logprobs: []bus.Logprob{
		{TokenLogprob: bus.TokenLogprob{Token: "hm"}},
		{TokenLogprob: bus.TokenLogprob{Token: "Yes"}},
		{TokenLogprob: bus.TokenLogprob{Token: "\ufffd", Bytes: []int{'!'}}},
	}}, pieces...))
	once := object(t, local(t, g, "POST", "/v1/responses", body+`}`))
	_, got := named(t, local(t, g, "POST", "/v1/responses", body+`,"stream":true}`))
	for what, v := range map[string]any{"at once": once, "streamed": at(got[len(got)-1], "response")} {
		odds, _ := at(v, "output", 1, "content", 0, "logprobs").([]any)
		if len(odds) != 2 || at(odds[0], "token") != "Yes" || at(v, "output", 1, "content", 0, "text") != text {
			t.Errorf("%s: %v", what, odds)
		}
	}
}
