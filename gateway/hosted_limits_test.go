package gateway_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/gateway"
)

// roomy is searcher with room for so many MiB of large requests.
func roomy(t *testing.T, mib int64, answers ...bus.InferenceResult) (*oracle, *gateway.Gateway) {
	t.Helper()
	o, _ := searcher(t, answers...)
	o.nodes[1].Models[0].ContextLength = 0 // not known: it is no limit
	g, err := gateway.New(gateway.Config{Swarm: o, Key: key, BodyRoom: mib << 20})
	if err != nil {
		t.Fatal(err)
	}
	return o, g
}

const (
	readsPages = `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"see https://a.example"}],
		"tools":[{"type":"web_fetch_20250910","name":"web_fetch","max_content_tokens":524288}]}`
	largeChat = "chat of 3 MiB"
)

// largeQuestion asks a question of 3 MiB.
func largeQuestion(t *testing.T, g *gateway.Gateway) int {
	t.Helper()
	return local(t, g, "POST", "/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":"`+largeChat+strings.Repeat("x", 3<<20)+`"}]}`).Code
}

// The pages that a model reads take room as the request does, until its answer is there.
func TestHostedPagesTakeRoom(t *testing.T) {
	t.Parallel()
	read := bus.InferenceResult{ToolCalls: []bus.ToolCall{calls("web_fetch", `{"url":"https://a.example"}`)}}
	o, g := roomy(t, 2, read, read, bus.InferenceResult{Text: "So."})
	model := o.say
	rounds, beside := 0, 0
	o.say = func(task bus.Task, out func(bus.Chunk) error) (any, error) {
		switch {
		case strings.Contains(string(task.Payload), largeChat):
			return bus.InferenceResult{Text: "Hi."}, nil
		case task.Type == bus.TypeFetch:
			return bus.FetchResult{URL: "https://a.example", Text: strings.Repeat("x", 3<<19)}, nil
		}
		if rounds++; rounds == 3 {
			beside = largeQuestion(t, g)
		}
		return model(task, out)
	}
	if w := local(t, g, "POST", "/v1/messages", readsPages); w.Code != http.StatusOK {
		t.Fatal(w.Body)
	}
	if beside != http.StatusTooManyRequests {
		t.Errorf("a question of 3 MiB beside one that has read 3 MiB: %d, want 429", beside)
	}
	if after := largeQuestion(t, g); after != http.StatusOK {
		t.Errorf("a question of 3 MiB after it: %d", after)
	}
}

// sending is a swarm whose pages are large results, that are sent while something is done.
type sending struct {
	*oracle
	meanwhile func()
}

func (s sending) Stream(ctx context.Context, t bus.Task, out func(bus.Chunk) error) (bus.TaskInfo, error) {
	if t.Type == bus.TypeFetch {
		return bus.TaskInfo{ID: "x", State: bus.StateDone, NodeID: other, ResultBlob: &bus.Blob{SHA256: strings.Repeat("0", 64), Size: 3 << 19}}, nil
	}
	return s.oracle.Stream(ctx, t, out)
}

func (s sending) Whole(_ context.Context, t *bus.TaskInfo, _ bool) error {
	s.meanwhile()
	t.Result, t.ResultBlob = json.RawMessage(`{"url":"https://a.example","text":"So it is."}`), nil
	return nil
}

// A page that is sent stands beside the request, which is needed until its answer is there.
func TestHostedPagesComeBesideTheRequest(t *testing.T) {
	t.Parallel()
	o, _ := searcher(t, bus.InferenceResult{ToolCalls: []bus.ToolCall{calls("web_fetch", `{"url":"https://a.example"}`)}}, bus.InferenceResult{Text: "So."})
	o.nodes[1].Models[0].ContextLength = 0
	model := o.say
	o.say = func(task bus.Task, out func(bus.Chunk) error) (any, error) {
		if strings.Contains(string(task.Payload), largeChat) {
			return bus.InferenceResult{Text: "Hi."}, nil
		}
		return model(task, out)
	}
	var g *gateway.Gateway
	beside := 0
	g, err := gateway.New(gateway.Config{Swarm: sending{o, func() { beside = largeQuestion(t, g) }}, Key: key, BodyRoom: 5 << 20})
	if err != nil {
		t.Fatal(err)
	}
	body := strings.Replace(readsPages, "see", strings.Repeat("x", 5<<19)+" see", 1)
	if w := local(t, g, "POST", "/v1/messages", body); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "So it is.") {
		t.Fatal(w.Body)
	}
	if beside != http.StatusTooManyRequests {
		t.Errorf("a question of 3 MiB while a page comes to one of 2.5 MiB, in room for 5: %d, want 429", beside)
	}
}

// Where there is no room for a page the model hears so, and answers without.
func TestHostedPagesWithoutRoom(t *testing.T) {
	t.Parallel()
	o, g := roomy(t, 2, bus.InferenceResult{ToolCalls: []bus.ToolCall{calls("web_fetch", `{"url":"https://a.example"}`)}}, bus.InferenceResult{Text: "So."})
	model := o.say
	var got map[string]any
	o.say = func(task bus.Task, out func(bus.Chunk) error) (any, error) {
		switch {
		case strings.Contains(string(task.Payload), largeChat):
			got = object(t, local(t, g, "POST", "/v1/messages", readsPages))
			return bus.InferenceResult{Text: "Hi."}, nil
		case task.Type == bus.TypeFetch:
			return bus.FetchResult{URL: "https://a.example", Text: strings.Repeat("x", 3<<19)}, nil
		}
		return model(task, out)
	}
	if code := largeQuestion(t, g); code != http.StatusOK {
		t.Fatal(code)
	}
	if at(got, "content", 1, "content", "error_code") != "too_many_requests" || at(got, "content", 2, "text") != "So." {
		t.Errorf("the answer is %.500v", got)
	}
}

// A limit of tokens is for all of an answer: each round has what those before it left, and one that has nothing left is not
// asked for.
func TestHostedAnswerKeepsItsLimit(t *testing.T) {
	t.Parallel()
	for target, c := range map[string]struct {
		body string
		cut  string
		how  []any
	}{
		"/v1/messages":  {`{"model":"m","max_tokens":%,"messages":[{"role":"user","content":"When?"}],"tools":[{"type":"web_search_20250305","name":"web_search"},{"type":"web_fetch_20250910","name":"web_fetch"}]}`, "max_tokens", []any{"stop_reason"}},
		"/v1/responses": {`{"model":"m","max_output_tokens":%,"input":"When?","tools":[{"type":"web_search"}]}`, "max_output_tokens", []any{"incomplete_details", "reason"}},
	} {
		for limit, want := range map[string][]int{"100": {100, 98, 95}, "5": {5, 3}, "6": {6, 4, 1}} {
			o, g := searcher(t, searching()...)
			v := object(t, local(t, g, "POST", target, strings.Replace(c.body, "%", limit, 1)))
			reqs, _ := o.requests(t)
			var got []int
			for _, r := range reqs {
				got = append(got, r.MaxTokens)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s, %s tokens: %s", target, limit, d)
			}
			if cut := at(v, c.how...) == c.cut; cut != (limit == "5") {
				t.Errorf("%s, %s tokens: it ends with %v", target, limit, v)
			}
		}
	}
}

// What a model gets to read fits into its context beside the conversation and an answer; where nothing more does, it hears so
// and is offered no more of it. Of a model that is not known to be loaded an Ollama tells what it could read, and gives it less.
func TestHostedFindsFitTheContext(t *testing.T) {
	t.Parallel()
	t.Run("loaded", func(t *testing.T) { findsFit(t, 2048, 2048, true) })
	t.Run("not loaded", func(t *testing.T) { findsFit(t, 4096, 131072, false) })
}

// findsFit wants what a model gets to read to fit a context of so many tokens, where its node tells of others.
func findsFit(t *testing.T, holds, told int, loaded bool) {
	t.Helper()
	o, g := searcher(t)
	for _, n := range o.nodes[:2] {
		n.Models[0].ContextLength, n.Models[0].Loaded = told, loaded
	}
	rounds := 0
	o.say = func(task bus.Task, out func(bus.Chunk) error) (any, error) {
		if task.Type == bus.TypeSearch {
			var hits []bus.SearchHit
			for range 10 {
				hits = append(hits, bus.SearchHit{URL: moon, Title: "The landing", Content: strings.Repeat("é", 1000)})
			}
			return bus.SearchResult{Results: hits}, nil
		}
		if rounds++; rounds == 9 {
			return says(bus.InferenceResult{Text: "So."})(task, out)
		}
		return says(bus.InferenceResult{ToolCalls: []bus.ToolCall{calls("web_search", `{"query":"x"}`)}})(task, out)
	}
	v := object(t, local(t, g, "POST", "/v1/responses", `{"model":"m","input":"When?","tools":[{"type":"web_search"}]}`))
	reqs, others := o.requests(t)
	size := 0
	for i, r := range reqs {
		size = 0
		for _, m := range r.Messages {
			size += len(m.Content)
		}
		if size > 3*holds {
			t.Errorf("round %d has %d bytes for a context of %d tokens", i, size, holds)
		}
	}
	if size < 2*holds || len(others) > 3 {
		t.Errorf("the last round has %d bytes of %d searches, want the most that fits, of few", size, len(others))
	}
	last := reqs[len(reqs)-1]
	if s := string(last.Tools); s != "" {
		t.Errorf("with a full context it is offered %s", s)
	}
	if m := last.Messages[len(last.Messages)-1]; !strings.Contains(m.Content, "context") {
		t.Errorf("at last it heard %q", m.Content)
	}
	if got := at(v, "output", len(others), "status"); got != "failed" {
		t.Errorf("the answer is %v", at(v, "output"))
	}
}
