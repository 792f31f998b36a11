package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/gateway"
)

// seeded is a swarm that answers each task with its prompt and seed, in two pieces, and none before all n tasks are there.
func seeded(t *testing.T, n int) (*oracle, *gateway.Gateway) {
	t.Helper()
	var there sync.WaitGroup
	there.Add(n)
	return newOracle(t, func(task bus.Task, out func(bus.Chunk) error) (any, error) {
		var req bus.InferenceRequest
		if err := json.Unmarshal(task.Payload, &req); err != nil {
			return nil, err
		}
		seed := int64(-1)
		if req.Seed != nil {
			seed = *req.Seed
		}
		there.Done()
		there.Wait()
		words := []string{req.Prompt + "/", fmt.Sprint(seed)}
		return says(bus.InferenceResult{Text: strings.Join(words, ""), PromptTokens: 9, OutputTokens: 2, DoneReason: "stop"},
			chunks(1, texts(words...)...)...)(task, out)
	})
}

func TestSeveralAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		path, body string
		want       []string
		asked      float64 // tokens
	}{
		"of a chat":              {"chat/completions", hello + `,"n":3,"seed":5}`, []string{"/5", "/6", "/7"}, 9},
		"without a seed":         {"chat/completions", hello + `,"n":2}`, []string{"/-1", "/-1"}, 9},
		"to a prompt":            {"completions", `{"model":"m","prompt":"a","n":2,"best_of":2,"seed":0}`, []string{"a/0", "a/1"}, 9},
		"to several prompts":     {"completions", `{"model":"m","prompt":["a","b"]}`, []string{"a/-1", "b/-1"}, 18},
		"several to each prompt": {"completions", `{"model":"m","prompt":["a","b"],"n":2,"seed":1}`, []string{"a/1", "a/2", "b/1", "b/2"}, 18},
	} {
		written := 2 * float64(len(c.want))
		text := func(choice any) any {
			if strings.HasPrefix(c.path, "chat") {
				return at(choice, "message", "content")
			}
			return at(choice, "text")
		}
		_, g := seeded(t, len(c.want))
		w := local(t, g, "POST", "/v1/"+c.path, c.body)
		v := object(t, w)
		choices, _ := v["choices"].([]any)
		var got []string
		for i, choice := range choices {
			if at(choice, "index") != float64(i) || at(choice, "finish_reason") != "stop" {
				t.Errorf("%s: choice %d is %v", name, i, choice)
			}
			got = append(got, fmt.Sprint(text(choice)))
		}
		if !slices.Equal(got, c.want) || at(v, "usage", "prompt_tokens") != c.asked || at(v, "usage", "completion_tokens") != written || w.Header().Get("X-Myco-Node") != string(other) {
			t.Errorf("%s: %s, want %q", name, w.Body, c.want)
		}

		_, g = seeded(t, len(c.want))
		w = local(t, g, "POST", "/v1/"+c.path, strings.TrimSuffix(c.body, "}")+`,"stream":true,"stream_options":{"include_usage":true}}`)
		said, ends, usage := map[int]string{}, map[int]int{}, 0
		data := w.Body.String()
		for line := range strings.Lines(data) {
			var v any
			if json.Unmarshal([]byte(strings.TrimPrefix(line, "data: ")), &v) != nil {
				continue
			}
			if at(v, "usage") != nil {
				usage++
				if at(v, "usage", "prompt_tokens") != c.asked || at(v, "usage", "completion_tokens") != written {
					t.Errorf("%s, streamed: %s", name, line)
				}
				continue
			}
			i := int(at(v, "choices", 0, "index").(float64))
			if s, ok := at(v, "choices", 0, "delta", "content").(string); ok {
				said[i] += s
			}
			if s, ok := at(v, "choices", 0, "text").(string); ok {
				said[i] += s
			}
			if at(v, "choices", 0, "finish_reason") == "stop" {
				ends[i]++
			}
		}
		for i := range c.want {
			if said[i] != c.want[i] || ends[i] != 1 {
				t.Errorf("%s, streamed: answer %d is %q, and ends %d times", name, i, said[i], ends[i])
			}
		}
		if len(said) != len(c.want) || usage != 1 || strings.Count(data, "[DONE]") != 1 || !strings.HasSuffix(data, "data: [DONE]\n\n") {
			t.Errorf("%s, streamed: %v, usage %d times: %s", name, slices.Sorted(maps.Keys(said)), usage, data)
		}
	}
}

// burning is a swarm in which one of several tasks fails; the others wait until they are cancelled.
type burning struct {
	*oracle
	begun     sync.WaitGroup
	cancelled sync.WaitGroup
}

func (f *burning) Stream(ctx context.Context, t bus.Task, _ func(bus.Chunk) error) (bus.TaskInfo, error) {
	var req bus.InferenceRequest
	if err := json.Unmarshal(t.Payload, &req); err != nil {
		return bus.TaskInfo{}, err
	}
	f.begun.Done()
	if *req.Seed == 2 {
		f.begun.Wait()
		return bus.TaskInfo{}, bus.Errorf(bus.CodeUnavailable, "the engine burns")
	}
	<-ctx.Done()
	f.cancelled.Done()
	return bus.TaskInfo{}, context.Cause(ctx)
}

func TestOneOfSeveralAnswersFails(t *testing.T) {
	t.Parallel()
	for _, stream := range []string{"false", "true"} {
		o, _ := newOracle(t, nil)
		f := &burning{oracle: o}
		f.begun.Add(3)
		f.cancelled.Add(2)
		g, err := gateway.New(gateway.Config{Swarm: f, Key: key})
		if err != nil {
			t.Fatal(err)
		}
		w := local(t, g, "POST", "/v1/chat/completions", hello+`,"n":3,"seed":1,"stream":`+stream+`}`)
		f.cancelled.Wait()
		if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "the engine burns") {
			t.Errorf("stream %s: %d %s", stream, w.Code, w.Body)
		}
	}
}

// Each of several answers is one of those that a key may have under way, as long as their request is.
func TestSeveralAnswersOfAKey(t *testing.T) {
	t.Parallel()
	asked, let := make(chan struct{}, 8), make(chan struct{})
	_, g := newOracle(t, func(bus.Task, func(bus.Chunk) error) (any, error) {
		asked <- struct{}{}
		<-let
		return bus.InferenceResult{Text: "Paris", DoneReason: "stop"}, nil
	})
	k, secret := made("three", bus.KeyRequest{Concurrent: 3})
	g.SetKeys([]gateway.Key{k})
	ask := func(n int) *httptest.ResponseRecorder {
		return call(t, g, "POST", "/v1/chat/completions", fmt.Sprintf(hello+`,"n":%d}`, n), "Authorization", "Bearer "+secret)
	}
	w := ask(4)
	if e := object(t, w)["error"]; w.Code != 400 || at(e, "param") != "n" || !strings.Contains(fmt.Sprint(at(e, "message")), "may have 3 requests under way") {
		t.Errorf("four: %d %s", w.Code, w.Body)
	}
	first := make(chan *httptest.ResponseRecorder, 1)
	go func() { first <- ask(2) }()
	<-asked
	<-asked
	second := make(chan *httptest.ResponseRecorder, 1)
	go func() { second <- ask(2) }()
	select {
	case w := <-second:
		if w.Code != http.StatusTooManyRequests || !strings.Contains(w.Body.String(), "3 requests under way") {
			t.Errorf("two beside two: %d %s", w.Code, w.Body)
		}
	case <-asked:
		t.Error("two beside two were let in")
	}
	close(let)
	wantStatus(t, "two", awaitEnd(t, "two", first), http.StatusOK)
	wantStatus(t, "three, once they have ended", ask(3), http.StatusOK)
}

// A long request counts once for each of its answers: each task has it. Of several prompts each has its own.
func TestSeveralAnswersWithinTheRoom(t *testing.T) {
	t.Parallel()
	o, _ := newOracle(t, paris())
	g, err := gateway.New(gateway.Config{Swarm: o, Key: key, BodyRoom: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(prompt any, n int) *httptest.ResponseRecorder {
		body, err := json.Marshal(map[string]any{"model": "m", "prompt": prompt, "n": n})
		if err != nil {
			t.Fatal(err)
		}
		return local(t, g, "POST", "/v1/completions", string(body))
	}
	long := strings.Repeat("x", 1<<20)
	if w := ask(long, 9); w.Code != http.StatusRequestEntityTooLarge || at(object(t, w)["error"], "param") != "n" {
		t.Errorf("more than there is ever room for: %d %s", w.Code, w.Body)
	}
	if w := ask([]string{long, long, long, long}, 1); w.Code != 200 {
		t.Errorf("four prompts: %d %s", w.Code, w.Body)
	}
	var begun atomic.Bool
	five, four := 0, 0
	o.say = func(task bus.Task, out func(bus.Chunk) error) (any, error) {
		if begun.CompareAndSwap(false, true) {
			five, four = ask(long, 5).Code, ask(long, 4).Code
		}
		return paris()(task, out)
	}
	if w := ask(long, 4); w.Code != 200 {
		t.Errorf("four answers: %d %s", w.Code, w.Body)
	}
	// What was counted for answers that there are not is given back.
	if all := ask(long, 8).Code; five != http.StatusTooManyRequests || four != 200 || all != 200 {
		t.Errorf("beside four answers five: %d, four: %d, and then eight: %d", five, four, all)
	}
}

// A fault of one answer ends its request, and not the process, as where there is one answer.
func TestOneOfSeveralAnswersPanics(t *testing.T) {
	t.Parallel()
	_, g := newOracle(t, func(task bus.Task, _ func(bus.Chunk) error) (any, error) {
		var req bus.InferenceRequest
		if err := json.Unmarshal(task.Payload, &req); err != nil {
			return nil, err
		}
		if *req.Seed == 2 {
			panic("a fault")
		}
		return bus.InferenceResult{Text: "Paris", DoneReason: "stop"}, nil
	})
	for _, stream := range []string{"false", "true"} {
		said := ""
		func() {
			defer func() { said = fmt.Sprint(recover()) }()
			local(t, g, "POST", "/v1/chat/completions", hello+`,"n":3,"seed":1,"stream":`+stream+`}`)
		}()
		if !strings.Contains(said, "a fault") || !strings.Contains(said, "openai_several_test.go") {
			t.Errorf("stream %s: the server hears %q, want the fault, and where it was", stream, said)
		}
	}
}
