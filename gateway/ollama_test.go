package gateway_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/bus"
)

const hello = `{"model":"m","messages":[{"role":"user","content":"hi"}]`

func TestOllamaStreams(t *testing.T) {
	t.Parallel()
	for path, c := range map[string]struct {
		body string
		text []any // where it is
	}{
		"/api/chat":     {hello + `}`, []any{"message", "content"}},
		"/api/generate": {`{"model":"m","prompt":"hi"}`, []any{"response"}},
	} {
		o, g := newOracle(t, paris())
		w := local(t, g, "POST", path, c.body)
		got := lines(t, w)
		if w.Code != 200 || w.Header().Get("Content-Type") != "application/x-ndjson" || w.Header().Get("X-Myco-Node") != string(other) || len(got) != 3 {
			t.Fatalf("%s: %d %v %v", path, w.Code, w.Header(), got)
		}
		for i, want := range []string{"Par", "is.", ""} {
			if at(got[i], c.text...) != want || got[i]["done"] != (i == 2) || got[i]["model"] != "m" || got[i]["created_at"] == nil {
				t.Errorf("%s: line %d is %v, want %q", path, i, got[i], want)
			}
		}
		end := got[2]
		delete(end, "created_at")
		delete(end, "message")
		delete(end, "response")
		if d := cmp.Diff(map[string]any{
			"model": "m", "done": true, "done_reason": "stop", "total_duration": 5.0, "load_duration": 1.0,
			"prompt_eval_count": 9.0, "prompt_eval_duration": 2.0, "eval_count": 2.0, "eval_duration": 3.0,
		}, end); d != "" {
			t.Error(path, d)
		}
		if task := o.tasks[0]; task.Type != bus.TypeInference || task.Model != "m" {
			t.Errorf("%s became %+v", path, task)
		}
	}
}

func TestOllamaAnswersAtOnce(t *testing.T) {
	t.Parallel()
	args := json.RawMessage(`{"city":"Paris"}`)
	_, g := newOracle(t, says(bus.InferenceResult{
		Text: "x", Thinking: "hm", DoneReason: "stop", Demo: true, Context: json.RawMessage(`[1,2]`),
		ToolCalls: []bus.ToolCall{{ID: "c1", Name: "weather", Arguments: args}},
	}))
	w := local(t, g, "POST", "/api/chat", hello+`,"stream":false}`)
	m := at(object(t, w), "message")
	if at(m, "content") != "x" || at(m, "thinking") != "hm" || at(m, "tool_calls", 0, "function", "name") != "weather" ||
		at(m, "tool_calls", 0, "function", "arguments", "city") != "Paris" || at(m, "tool_calls", 0, "id") != "c1" || w.Header().Get("X-Myco-Demo") != "true" {
		t.Errorf("%v %s", w.Header(), w.Body)
	}
	w = local(t, g, "POST", "/api/generate", `{"model":"m","prompt":"hi","stream":false}`)
	if v := object(t, w); v["response"] != "x" || v["thinking"] != "hm" || at(v, "context", 1) != 2.0 || v["done"] != true {
		t.Errorf("%s", w.Body)
	}
}

// A model that is loaded is told of as Ollama tells it: without figures.
func TestOllamaLoads(t *testing.T) {
	t.Parallel()
	for path, said := range map[string]string{"/api/chat": "message", "/api/generate": "response"} {
		_, g := newOracle(t, says(bus.InferenceResult{DoneReason: "load", Duration: 5}))
		got := lines(t, local(t, g, "POST", path, `{"model":"m"}`))
		if len(got) != 1 || got[0][said] == nil || got[0]["done"] != true || got[0]["done_reason"] != "load" || len(got[0]) != 5 {
			t.Errorf("%s: %v", path, got)
		}
	}
}

// Every field either has a word in the task, or goes to an engine that may know it.
func TestOllamaFields(t *testing.T) {
	t.Parallel()
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	for name, c := range map[string]struct {
		path, body string
		want       bus.InferenceRequest
	}{
		"chat": {
			"/api/chat", `{"model":"m","messages":[
				{"role":"System","content":"s"},{"role":"user","content":"u","images":["aGk="]},
				{"role":"assistant","content":"","thinking":"t","tool_calls":[{"id":"c","function":{"index":1,"name":"f","arguments":{"a":1}}}]},
				{"role":"tool","content":"r","tool_name":"f","tool_call_id":"c"}],
				"tools":[{"type":"function"}],"format":"json","think":"high","keep_alive":"5m","truncate":false,"shift":null,"later":[1],
				"options":{"temperature":0,"seed":7,"num_predict":5,"stop":["x"],"num_thread":2,"top_p":0.5,"num_ctx":64,"top_k":null}}`,
			bus.InferenceRequest{
				Messages: []bus.Message{
					{Role: "system", Content: "s"},
					{Role: "user", Content: "u", Images: [][]byte{[]byte("hi")}},
					{Role: "assistant", Thinking: "t", ToolCalls: []bus.ToolCall{{ID: "c", Index: 1, Name: "f", Arguments: raw(`{"a":1}`)}}},
					{Role: "tool", Content: "r", ToolName: "f", ToolCallID: "c"},
				},
				Tools: raw(`[{"type":"function"}]`), Format: raw(`"json"`), Think: raw(`"high"`), KeepAlive: raw(`"5m"`), Shift: true,
				Temperature: new(0.0), Seed: new(int64(7)), MaxTokens: 5, Stop: []string{"x"}, Threads: 2,
				Options: map[string]json.RawMessage{"top_p": raw("0.5"), "num_ctx": raw("64")},
				Dialect: "ollama", Extra: map[string]json.RawMessage{"later": raw("[1]")},
			},
		},
		"generate": {
			"/api/generate", `{"model":"m","prompt":"p","suffix":"s","system":"y","template":"t","raw":true,"context":[1],"images":["aGk="],
				"think":false,"format":{"type":"object"},"keep_alive":-1,"options":{"num_predict":-1,"seed":1.5,"stop":"x"}}`,
			bus.InferenceRequest{
				Mode: bus.ModeGenerate, Prompt: "p", Suffix: "s", System: "y", Template: "t", Raw: true, Context: raw("[1]"),
				Images: [][]byte{[]byte("hi")}, Think: raw("false"), Format: raw(`{"type":"object"}`), KeepAlive: raw("-1"), Truncate: true, Shift: true,
				Options: map[string]json.RawMessage{"num_predict": raw("-1"), "seed": raw("1.5"), "stop": raw(`"x"`)}, Dialect: "ollama",
			},
		},
		"as programs send it": {
			"/api/chat", `{"model":"m","think":"","messages":[{"role":"developer","content":"s"},{"role":"control","content":"thinking"},
				{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":null}}]}]}`,
			bus.InferenceRequest{
				Messages: []bus.Message{
					{Role: "system", Content: "s"},
					{Role: "control", Content: "thinking"},
					{Role: "assistant", ToolCalls: []bus.ToolCall{{Name: "f"}}},
				},
				Truncate: true, Shift: true, Dialect: "ollama",
			},
		},
		"names in any case": {
			"/api/generate", `{"Model":"m","PROMPT":"no","prompt":"p","Keep_Alive":"5m","Later":1,"Options":{"Num_Predict":5}}`,
			bus.InferenceRequest{
				Mode: bus.ModeGenerate, Prompt: "p", KeepAlive: raw(`"5m"`), Truncate: true, Shift: true, Dialect: "ollama",
				Options: map[string]json.RawMessage{"Num_Predict": raw("5")}, Extra: map[string]json.RawMessage{"later": raw("1")},
			},
		},
		"load":   {"/api/generate", `{"model":"m"}`, bus.InferenceRequest{Mode: bus.ModeGenerate, Load: true, Truncate: true, Shift: true, Dialect: "ollama"}},
		"unload": {"/api/chat", `{"model":"m","messages":[],"keep_alive":0}`, bus.InferenceRequest{Load: true, KeepAlive: raw("0"), Truncate: true, Shift: true, Dialect: "ollama"}},
	} {
		asksFor(t, name, c.path, c.body, c.want)
	}
}

func TestOllamaRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		path, body string
		status     int
		says       string
	}{
		"no body":           {"/api/chat", "", 400, "missing request body"},
		"no JSON":           {"/api/chat", "hello", 400, "want a JSON object"},
		"no object":         {"/api/chat", "null", 400, "want a JSON object"},
		"no model":          {"/api/generate", `{"prompt":"x"}`, 400, "model is required"},
		"a wrong type":      {"/api/chat", `{"model":7}`, 400, "model"},
		"a wrong role":      {"/api/chat", `{"model":"m","messages":[{"role":"cook","content":"x"}]}`, 400, "cook"},
		"no base64":         {"/api/chat", `{"model":"m","messages":[{"role":"user","images":["?"]}]}`, 400, "messages"},
		"a format":          {"/api/chat", hello + `,"format":7}`, 400, "format"},
		"a thought":         {"/api/chat", hello + `,"think":[]}`, 400, "think"},
		"tools":             {"/api/chat", hello + `,"tools":{}}`, 400, "tools"},
		"arguments":         {"/api/chat", `{"model":"m","messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"x"}}]}]}`, 400, "arguments"},
		"probabilities":     {"/api/chat", hello + `,"logprobs":"yes"}`, 400, "logprobs"},
		"too many of them":  {"/api/chat", hello + `,"logprobs":true,"top_logprobs":21}`, 400, "top_logprobs 21: want 0 to 20"},
		"another method":    {"/api/create", `{"model":"m"}`, 404, "POST /api/create. Next: ask the Ollama itself"},
		"a blob":            {"/api/blobs/sha256:00", "x", 404, "Next: ask the Ollama itself"},
		"no call of Ollama": {"/api/fly", `{"model":"m"}`, 404, "this node does not serve POST /api/fly"},
	} {
		o, g := newOracle(t, paris())
		w := local(t, g, "POST", c.path, c.body)
		if e, _ := object(t, w)["error"].(string); w.Code != c.status || !strings.Contains(e, c.says) || len(o.tasks) > 0 {
			t.Errorf("%s: %d %s, %d tasks, want %d and %q", name, w.Code, w.Body, len(o.tasks), c.status, c.says)
		}
	}
}

func TestOllamaErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		model  string
		err    error
		status int
		says   string
	}{
		"unknown":       {"nothing", bus.Errorf(bus.CodeNoWorker, "no node has it (b: m)").WithHint("myco pull it, or name one of those above with -m"), 404, "model 'nothing' not found: no node has it (b: m). Next: myco pull it, or name one of those above"},
		"gone":          {"gone", bus.Errorf(bus.CodeNotFound, "no engine has it"), 404, "model 'gone' not found"},
		"no worker now": {"m", bus.Errorf(bus.CodeNoWorker, "too old"), 503, "too old"},
		"none, spelled": {"M:Latest", bus.Errorf(bus.CodeNoWorker, "too old"), 503, "too old"},
		"full":          {"m", bus.Errorf(bus.CodeBusy, "full"), 429, "full"},
		"too long":      {"m", bus.Errorf(bus.CodeTooLarge, "the prompt is too long"), 400, "too long"},
		"a fault":       {"m", bus.Errorf(bus.CodeInternal, "fault"), 500, "fault"},
		"no daemon":     {"m", bus.Errorf(bus.CodeUnavailable, "starting"), 503, "starting"},
	} {
		for _, stream := range []string{"true", "false"} {
			_, g := newOracle(t, fails(c.err))
			w := local(t, g, "POST", "/api/chat", `{"model":"`+c.model+`","messages":[{"role":"user","content":"hi"}],"stream":`+stream+`}`)
			if e, _ := object(t, w)["error"].(string); w.Code != c.status || !strings.Contains(e, c.says) {
				t.Errorf("%s: %d %s, want %d and %q", name, w.Code, w.Body, c.status, c.says)
			}
			if after := w.Header().Get("Retry-After"); (after != "") != (c.status == 429) {
				t.Errorf("%s: Retry-After %q", name, after)
			}
		}
	}
	_, g := newOracle(t, func(_ bus.Task, out func(bus.Chunk) error) (any, error) {
		return nil, errorsAfter(out, chunks(1, texts("Par")...), bus.Errorf(bus.CodeUnavailable, "broke off"))
	})
	w := local(t, g, "POST", "/api/chat", hello+`}`)
	got := lines(t, w)
	if w.Code != 200 || len(got) != 2 || got[1]["error"] != "broke off" || got[1]["done"] != nil {
		t.Errorf("an error in the middle: %d %v", w.Code, got)
	}
}

// errorsAfter hands out chunks, and then fails with err.
func errorsAfter(out func(bus.Chunk) error, cs []bus.Chunk, err error) error {
	for _, c := range cs {
		if e := out(c); e != nil {
			return e
		}
	}
	return err
}

func TestOllamaModels(t *testing.T) {
	t.Parallel()
	_, g := newOracle(t, paris())
	get := func(path string) map[string]any { return object(t, local(t, g, "GET", path, "")) }
	if v := get("/api/version"); v["version"] != "0.17.4" {
		t.Errorf("version %v", v)
	}
	tags := get("/api/tags")
	for i, name := range []string{"m:latest", "vec:latest"} {
		m := at(tags, "models", i)
		if at(m, "name") != name || at(m, "model") != name || len(at(m, "digest").(string)) != 64 || at(m, "modified_at") == nil || at(m, "details", "format") != "gguf" {
			t.Errorf("tags: %v", m)
		}
	}
	if len(tags["models"].([]any)) != 2 {
		t.Errorf("tags: %v, want none of a lost node", tags)
	}
	if ps := get("/api/ps"); len(ps["models"].([]any)) != 1 || at(ps, "models", 0, "name") != "m:latest" || at(ps, "models", 0, "context_length") != 128.0 {
		t.Errorf("ps: %v", ps)
	}
	for _, body := range []string{`{"model":"m"}`, `{"name":"m:latest","verbose":true}`} {
		show := object(t, local(t, g, "POST", "/api/show", body))
		if at(show, "model_info", "llama.context_length") != 128.0 || at(show, "details", "family") != "llama" || at(show, "capabilities", 1) != "tools" {
			t.Errorf("show: %v", show)
		}
	}
	w := local(t, g, "POST", "/api/show", `{"model":"nothing"}`)
	if w.Code != 404 || !strings.Contains(w.Body.String(), "the swarm has m:latest, vec") {
		t.Errorf("show of nothing: %d %s", w.Code, w.Body)
	}
	for _, method := range []string{"GET", "HEAD"} {
		if w := local(t, g, method, "/", ""); w.Code != 200 || w.Body.String() != "Ollama is running" {
			t.Errorf("%s /: %d %q", method, w.Code, w.Body)
		}
	}
}

// Where a node is lost, the next one's words are left out as far as they are known already.
func TestAnswerGoesOnElsewhere(t *testing.T) {
	t.Parallel()
	ask := func(cs ...bus.Chunk) (string, any) {
		_, g := newOracle(t, says(bus.InferenceResult{Text: "Paris.", DoneReason: "stop"}, cs...))
		text := ""
		got := lines(t, local(t, g, "POST", "/api/chat", hello+`}`))
		for _, l := range got {
			s, _ := at(l, "message", "content").(string)
			text += s
		}
		return text, got[len(got)-1]["error"]
	}
	first := chunks(1, texts("Pa", "ri")...)
	for name, c := range map[string]struct {
		second []bus.Chunk
		text   string
		fails  bool
	}{
		"in the same pieces":      {chunks(2, texts("Pa", "ri", "s.")...), "Paris.", false},
		"in others":               {chunks(2, texts("P", "aris", ".")...), "Paris.", false},
		"in one":                  {chunks(2, texts("Paris.")...), "Paris.", false},
		"with other words":        {chunks(2, texts("Pa", "lermo")...), "Pari", true},
		"with fewer":              {chunks(2, texts("Pa")...), "Paris.", false},
		"in no pieces":            {nil, "Paris.", false},
		"late words of the first": {append(chunks(2, texts("Paris.")...), bus.Chunk{Attempt: 1, Seq: 2, Data: first[0].Data}), "Paris.", false},
		"from where it was":       {[]bus.Chunk{goesOn(2), {Attempt: 1, Seq: 3, Node: other, Data: []byte(`{"text":"s."}`)}}, "Paris.", false},
		"with its result alone":   {nil, "Paris.", false},
		"with a gap":              {chunks(2, texts("Paris", "x", ".")...)[1:], "Paris.", false},
	} {
		text, failed := ask(append(append([]bus.Chunk{}, first...), c.second...)...)
		if text != c.text || (failed != nil) != c.fails {
			t.Errorf("%s: %q, error %v, want %q", name, text, failed, c.text)
		}
	}
}

// What of an answer has not come in pieces comes at its end: a good end means that all was told.
func TestAnswerIsToldToItsEnd(t *testing.T) {
	t.Parallel()
	call := bus.ToolCall{Name: "f", Arguments: json.RawMessage(`{}`)}
	whole := bus.InferenceResult{Text: "Paris.", Thinking: "hm", ToolCalls: []bus.ToolCall{call}, DoneReason: "stop"}
	for name, c := range map[string]struct {
		pieces []bus.InferenceChunk
		fails  bool
	}{
		"all":              {[]bus.InferenceChunk{{Thinking: "hm"}, {Text: "Paris."}, {ToolCalls: whole.ToolCalls}}, false},
		"nothing":          {nil, false},
		"the first pieces": {[]bus.InferenceChunk{{Thinking: "h"}, {Text: "Par"}}, false},
		"no call":          {[]bus.InferenceChunk{{Thinking: "hm"}, {Text: "Paris."}}, false},
		"another text":     {texts("Rom"), true},
		"another call":     {[]bus.InferenceChunk{{ToolCalls: []bus.ToolCall{{Name: "g"}}}}, true},
		"more than all":    {texts("Paris. Yes."), true},
	} {
		_, g := newOracle(t, says(whole, chunks(1, c.pieces...)...))
		var text, thinking string
		calls := 0
		got := lines(t, local(t, g, "POST", "/api/chat", hello+`}`))
		for _, l := range got {
			s, _ := at(l, "message", "content").(string)
			h, _ := at(l, "message", "thinking").(string)
			n, _ := at(l, "message", "tool_calls").([]any)
			text, thinking, calls = text+s, thinking+h, calls+len(n)
		}
		last := got[len(got)-1]
		if good := last["done"] == true; good == c.fails || (last["error"] != nil) != c.fails || good && (text != "Paris." || thinking != "hm" || calls != 1) {
			t.Errorf("%s: %q, thinking %q, %d calls, the last line is %v", name, text, thinking, calls, last)
		}
	}
}

// goesOn is the chunk with which another node takes over.
func goesOn(seq int) bus.Chunk {
	return bus.Chunk{Attempt: 1, Seq: seq, Node: other, Data: []byte(`{}`), Continues: &bus.Continues{Attempt: 2, Lost: self}}
}

// A client that wants it gets an answer in other words, from its beginning, and is told where that is.
func TestAnswerBeginsAnew(t *testing.T) {
	t.Parallel()
	first, anew := chunks(1, texts("Pa", "ri")...), chunks(2, texts("Pa", "lermo", ".")...)
	for name, c := range map[string]struct {
		cs  []bus.Chunk
		res string
	}{
		"in the middle":  {append(first[:2:2], anew...), "Palermo."},
		"with fewer":     {append(first[:2:2], anew[0]), "Pa"},
		"with no pieces": {first, "Palermo."},
		"with nothing":   {first, ""},
	} {
		_, g := newOracle(t, says(bus.InferenceResult{Text: c.res, DoneReason: "stop"}, c.cs...))
		text := ""
		for _, l := range lines(t, local(t, g, "POST", "/api/chat", hello+`}`, "X-Myco-On-Loss", "restart")) {
			s, _ := at(l, "message", "content").(string)
			if l["myco_restarted"] == true {
				text = ""
			}
			text += s
		}
		if text != c.res {
			t.Errorf("%s: %q, want %q", name, text, c.res)
		}
		w := local(t, g, "POST", "/v1/chat/completions", hello+`,"stream":true}`, "X-Myco-On-Loss", "restart")
		if body := w.Body.String(); !strings.Contains(body, `"myco_restarted":true`) || !strings.Contains(body, ": the answer begins anew on node") || !strings.Contains(body, "[DONE]") {
			t.Errorf("%s: %s", name, body)
		}
	}
	_, g := newOracle(t, paris())
	if w := local(t, g, "POST", "/api/chat", hello+`}`, "X-Myco-On-Loss", "perhaps"); w.Code != http.StatusBadRequest {
		t.Errorf("a wish that is none: %d %s", w.Code, w.Body)
	}
}

// Server-sent events name who was lost and who goes on, where clients do not look; others hear nothing
// but the answer.
func TestGoingOnIsNoted(t *testing.T) {
	t.Parallel()
	_, g := newOracle(t, says(bus.InferenceResult{Text: "Paris.", DoneReason: "stop"},
		append(chunks(1, texts("Pa", "ri")...), goesOn(2), bus.Chunk{Attempt: 1, Seq: 3, Node: other, Data: []byte(`{"text":"s."}`)})...))
	w := local(t, g, "POST", "/v1/chat/completions", hello+`,"stream":true}`)
	if want := ": node " + string(self) + " was lost, " + string(other) + " goes on\n\n"; strings.Count(w.Body.String(), want) != 1 {
		t.Errorf("%s\nwant %s", w.Body, want)
	}
	if w := local(t, g, "POST", "/api/chat", hello+`}`); strings.Contains(w.Body.String(), "lost") {
		t.Errorf("%s", w.Body)
	}
}

// having is a swarm of nodes that the test names.
type having struct {
	*swarm
	nodes []bus.NodeInfo
}

func (h having) Nodes() []bus.NodeInfo { return h.nodes }

// A name that the demo has on one node, and an engine on another, is the engine's, whichever is heard first.
func TestListsTheEnginesModelBeforeTheDemos(t *testing.T) {
	t.Parallel()
	node := func(m bus.ModelInfo) bus.NodeInfo {
		return bus.NodeInfo{ID: self, State: bus.NodeReady, Models: []bus.ModelInfo{m}}
	}
	demo := node(bus.ModelInfo{Name: "tinylm:latest", Engine: "demo", Demo: true, Loaded: true, SizeBytes: 1, ParameterSize: "296K"})
	cold := node(bus.ModelInfo{Name: "tinylm", Engine: "ollama", SizeBytes: 7, ParameterSize: "7B"})
	loaded := node(bus.ModelInfo{Name: "tinylm:latest", Engine: "ollama", Loaded: true, SizeBytes: 8, ParameterSize: "8B"})
	for want, nodes := range map[string][][]bus.NodeInfo{
		"7B": {{demo, cold}, {cold, demo}},
		"8B": {{demo, cold, loaded}, {loaded, cold, demo}, {cold, demo, loaded}},
	} {
		for _, n := range nodes {
			got := object(t, local(t, newGateway(t, having{&swarm{}, n}), "GET", "/api/tags", ""))
			if size := at(got, "models", 0, "details", "parameter_size"); size != want || len(got["models"].([]any)) != 1 {
				t.Errorf("%v, want one model of %s", got, want)
			}
		}
	}
}
