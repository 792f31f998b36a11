package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/gateway"
)

const other = bus.NodeID("myco-ba9876543210")

// oracle is a swarm whose other node answers as a test says.
type oracle struct {
	*swarm
	nodes []bus.NodeInfo
	// say gives the answer, or the error, to one task.
	say func(t bus.Task, out func(bus.Chunk) error) (any, error)

	mu      sync.Mutex
	tasks   []bus.Task
	forgets bool // the payloads of files
}

func (o *oracle) Nodes() []bus.NodeInfo { return o.nodes }

func (o *oracle) Status() bus.Status {
	return bus.Status{Node: bus.NodeInfo{ID: self}, Nodes: o.nodes}
}

func (o *oracle) Stream(ctx context.Context, t bus.Task, out func(bus.Chunk) error) (bus.TaskInfo, error) {
	o.mu.Lock()
	if o.tasks = append(o.tasks, t); o.forgets && t.Type == bus.TypeFile {
		o.tasks[len(o.tasks)-1].Payload = nil
	}
	o.mu.Unlock()
	res, err := o.say(t, out)
	if err != nil {
		return bus.TaskInfo{}, err
	}
	data, err := json.Marshal(res)
	return bus.TaskInfo{ID: "x", State: bus.StateDone, NodeID: other, Result: data}, err
}

// asked is the only request that came.
func (o *oracle) asked(t *testing.T) (req bus.InferenceRequest) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.tasks) != 1 {
		t.Fatalf("%d tasks, want 1", len(o.tasks))
	}
	if err := json.Unmarshal(o.tasks[0].Payload, &req); err != nil {
		t.Fatal(err)
	}
	return req
}

// chunks makes chunks of one attempt.
func chunks(attempt int, pieces ...bus.InferenceChunk) (out []bus.Chunk) {
	for i, p := range pieces {
		data, _ := json.Marshal(p)
		out = append(out, bus.Chunk{Attempt: attempt, Seq: i, Node: other, Data: data})
	}
	return out
}

func texts(words ...string) (out []bus.InferenceChunk) {
	for _, w := range words {
		out = append(out, bus.InferenceChunk{Text: w})
	}
	return out
}

// says hands out chunks, and returns the result.
func says(res bus.InferenceResult, cs ...bus.Chunk) func(bus.Task, func(bus.Chunk) error) (any, error) {
	return func(_ bus.Task, out func(bus.Chunk) error) (any, error) {
		for _, c := range cs {
			if err := out(c); err != nil {
				return nil, err
			}
		}
		return res, nil
	}
}

func fails(err error) func(bus.Task, func(bus.Chunk) error) (any, error) {
	return func(bus.Task, func(bus.Chunk) error) (any, error) { return nil, err }
}

// paris is an answer in two pieces.
func paris() func(bus.Task, func(bus.Chunk) error) (any, error) {
	return says(bus.InferenceResult{
		Text: "Paris.", Model: "m:latest", PromptTokens: 9, OutputTokens: 2, DoneReason: "stop", Duration: 5, Loading: 1, Reading: 2, Writing: 3,
	}, chunks(1, texts("Par", "is.")...)...)
}

// asksFor checks what a model is asked for by a request of a dialect. It returns the answer, nil where there is none.
func asksFor(t *testing.T, name, path, body string, want bus.InferenceRequest) *httptest.ResponseRecorder {
	t.Helper()
	o, g := newOracle(t, paris())
	w := local(t, g, "POST", path, body)
	if w.Code != 200 {
		t.Errorf("%s: %d %s", name, w.Code, w.Body)
		return nil
	}
	if d := cmp.Diff(want, o.asked(t)); d != "" {
		t.Error(name, d)
	}
	return w
}

// managing are the types of a node with an Ollama.
var managing = []string{bus.TypeInference, bus.TypeEmbed, bus.TypePull, bus.TypeDelete}

// telling are those of one that also tells of models.
var telling = append(slices.Clone(managing), bus.TypeShow)

func newOracle(t testing.TB, say func(bus.Task, func(bus.Chunk) error) (any, error)) (*oracle, *gateway.Gateway) {
	t.Helper()
	model := bus.ModelInfo{
		Name: "m:latest", Loaded: true, SizeBytes: 7, ContextLength: 128, Family: "llama", ParameterSize: "1M", Quantization: "F32",
		Digest: strings.Repeat("a", 64), Can: bus.Answers | bus.Tools, Engine: "ollama",
	}
	vectors := bus.ModelInfo{Name: "vec", SizeBytes: 3, Can: bus.Embeds, Engine: "ollama"}
	o := &oracle{swarm: &swarm{}, say: say, nodes: []bus.NodeInfo{
		{ID: self, Name: "a", State: bus.NodeReady, Types: managing, Models: []bus.ModelInfo{model}},
		{ID: other, Name: "b", State: bus.NodeReady, Types: managing, GPUTier: "high", Models: []bus.ModelInfo{model}, Embedders: []bus.ModelInfo{vectors, model}},
		{ID: "myco-000000000000", Name: "c", State: bus.NodeLost, Models: []bus.ModelInfo{{Name: "gone"}}},
	}}
	g, err := gateway.New(gateway.Config{Swarm: o, Key: key, Metrics: figures, MCP: tools})
	if err != nil {
		t.Fatal(err)
	}
	return o, g
}

// told keeps the news of g's dashboard until the test ends.
func told(t *testing.T, g *gateway.Gateway) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := g.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
}

// local is call from this machine, without a key.
func local(t *testing.T, h http.Handler, method, target, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	return from(t, h, "127.0.0.1:5", method, target, body, append([]string{"Authorization", ""}, header...)...)
}

// from is call from an address.
func from(t *testing.T, h http.Handler, addr, method, target, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	moved := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.RemoteAddr = addr
		h.ServeHTTP(w, r)
	})
	return call(t, moved, method, target, body, header...)
}

// lines decodes a stream of objects.
func lines(t *testing.T, w *httptest.ResponseRecorder) (out []map[string]any) {
	t.Helper()
	for s := bufio.NewScanner(w.Body); s.Scan(); {
		var v map[string]any
		if err := json.Unmarshal(s.Bytes(), &v); err != nil {
			t.Fatalf("line %q: %v", s.Text(), err)
		}
		out = append(out, v)
	}
	return out
}

// at looks into decoded JSON, by names and indexes.
func at(v any, path ...any) any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[p]
		case int:
			l, _ := v.([]any)
			if p >= len(l) {
				return nil
			}
			v = l[p]
		}
	}
	return v
}

func object(t *testing.T, w *httptest.ResponseRecorder) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatalf("%d %q: %v", w.Code, w.Body, err)
	}
	return v
}
