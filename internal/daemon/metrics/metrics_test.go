package metrics_test

import (
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.uber.org/goleak"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/daemon/metrics"
	"github.com/mycoswarm/mycoswarm/internal/engine"
	"github.com/mycoswarm/mycoswarm/sched"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// get asks h for a path, and returns what it answers.
func get(t *testing.T, h http.Handler, path string) string {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	if w.Code != http.StatusOK {
		t.Fatalf("GET %s: %d %s", path, w.Code, w.Body)
	}
	return w.Body.String()
}

// own are the lines of a page that are not of the Go runtime or the process.
func own(page string) string {
	var out strings.Builder
	for line := range strings.Lines(page) {
		name := strings.TrimPrefix(strings.TrimPrefix(line, "# HELP "), "# TYPE ")
		if !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") {
			out.WriteString(line)
		}
	}
	return out.String()
}

func state() metrics.State {
	const self, peer = "myco-0123456789ab", "myco-cccccccccccc"
	here := bus.NodeInfo{
		ID: self, Name: "tower", State: bus.NodeReady, Slots: 4, Busy: 3, DiskFull: true, Owner: &bus.OwnerUse{Closed: true},
		Use: &bus.NodeUse{CPUPercent: 12.5, GPUPercent: 88},
		Models: []bus.ModelInfo{
			{Name: "gemma3:27b", Loaded: true, LoadedBytes: 17 << 30, Speed: &bus.ModelSpeed{Writing: 61.5}}, {Name: "qwen3:8b"},
		},
		Embedders: []bus.ModelInfo{{Name: "qwen3:8b"}, {Name: "nomic-embed-text:latest", Loaded: true}},
	}
	return metrics.State{
		Version: "1.2.3", Swarm: bus.SwarmInfo{ID: "s", Name: "home", QueueHost: self, Term: 7}, Node: here,
		Nodes: []bus.NodeInfo{here, {ID: peer, State: bus.NodeLost}, {ID: "myco-dddddddddddd", State: bus.NodeReady}},
		Queue: []bus.QueueCount{{Lane: bus.Interactive, Waiting: 1, Running: 3}, {Lane: bus.Batch, Waiting: 40}}, Attached: 2, Durable: 41,
		Streams: 1 << 20, Content: 3 << 30, Free: 5 << 30,
		Engines: []engine.Address{{URL: "http://127.0.0.1:11434", Kind: "ollama", Up: true}, {URL: "http://gpu:8000"}},
	}
}

// busy has each counter of m count something.
func busy(m *metrics.Metrics) {
	for route, status := range map[string]int{"POST /api/chat": http.StatusOK, "GET /task/{id}": http.StatusNotFound, "": http.StatusForbidden} {
		m.Answered(route, status)
	}
	m.TaskEnded(bus.TypeInference, bus.StateDone, true)
	m.TaskEnded("shout", bus.StateFailed, true)
	m.TaskEnded("any-name-of-a-client", bus.StateCancelled, false)
	m.TaskEnded(bus.TypeEmbed, bus.StateExpired, false)
	ran := sched.Ran{
		Type: bus.TypeInference, Model: "gemma3:27b", Lane: bus.Interactive, Attempt: 1, Result: bus.EventDone,
		Waited: 200 * time.Millisecond, First: 250 * time.Millisecond, Took: 4 * time.Second,
	}
	m.AttemptEnded(ran)
	again := ran // of a task that another node had begun: what it waited is not all waiting
	again.Attempt, again.First = 2, 0
	m.AttemptEnded(again)
	batch := ran
	batch.Lane = bus.Batch
	m.AttemptEnded(batch)
	failed := ran
	failed.Result = bus.EventFailed
	m.AttemptEnded(failed)
	m.AttemptEnded(sched.Ran{Type: "shout", Lane: bus.Interactive, Attempt: 1, Result: bus.EventRetried})
	m.AttemptLost()
	m.PeerLost()
	tokens := m.Tokens("gemma3:27b")
	tokens.Wrote(30)
	tokens.Wrote(12)
	tokens.Read(9)
	tokens.Read(-1) // of an engine that is out of its mind
}

// The names, types and labels are what dashboards of others are made of: a change of this page breaks them.
func TestPageStaysAsItIs(t *testing.T) {
	t.Parallel()
	m := metrics.New(state)
	busy(m)
	page := get(t, m, "/metrics")
	file := filepath.Join("testdata", "page.golden")
	if *update {
		if err := os.WriteFile(file, []byte(own(page)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), own(page)); diff != "" {
		t.Errorf("the page (-want +got; go test -update writes it anew):\n%s", diff)
	}
	problems, err := promlint.New(strings.NewReader(page)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	for _, name := range []string{"go_goroutines", "process_resident_memory_bytes"} {
		if !strings.Contains(page, "\n"+name+" ") {
			t.Errorf("the page has no %s", name)
		}
	}
}

// The page of docs names what there is, and nothing else.
func TestDocsNameTheFigures(t *testing.T) {
	t.Parallel()
	docs, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	m := metrics.New(state)
	busy(m)
	there, named := map[string]bool{}, map[string]bool{}
	for line := range strings.Lines(own(get(t, m, "/metrics"))) {
		if head, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, kind, _ := strings.Cut(strings.TrimSpace(head), " ")
			if there[name] = true; kind == "histogram" {
				there[name+"_bucket"], there[name+"_sum"], there[name+"_count"] = true, true, true
			}
		}
	}
	for _, name := range regexp.MustCompile(`mycoswarm_\w+`).FindAllString(string(docs), -1) {
		if named[name] = true; !there[name] {
			t.Errorf("docs/metrics.md names %s, which there is not", name)
		}
	}
	for name := range there {
		if base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_sum"), "_count"); !named[name] && !named[base] {
			t.Errorf("docs/metrics.md does not name %s", name)
		}
	}
}

// The dashboard for Grafana asks for no figure that there is not: such a panel would just stay empty.
func TestGrafanaAsksForWhatThereIs(t *testing.T) {
	t.Parallel()
	dashboard, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "grafana.json"))
	if err != nil {
		t.Fatal(err)
	}
	m := metrics.New(state)
	busy(m)
	page := get(t, m, "/metrics")
	asked := regexp.MustCompile(`mycoswarm_\w+`).FindAllString(string(dashboard), -1)
	for _, name := range asked {
		if !regexp.MustCompile(`(?m)^` + name + `[{ ]`).MatchString(page) {
			t.Errorf("docs/grafana.json asks for %s, which there is not", name)
		}
	}
	if len(asked) < 10 {
		t.Errorf("docs/grafana.json asks for %v alone", asked)
	}
}

// A machine without a GPU does not tell of an idle one, and a node that does not know itself yet tells nothing.
func TestWhatIsNotMeasuredIsNotTold(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		use      *bus.NodeUse
		cpu, gpu bool
	}{
		{nil, false, false},
		{&bus.NodeUse{GPUPercent: -1}, true, false},
		{&bus.NodeUse{}, true, true},
	} {
		page := get(t, metrics.New(func() metrics.State { return metrics.State{Node: bus.NodeInfo{Use: c.use}} }), "/metrics")
		if cpu, gpu := strings.Contains(page, "\nmycoswarm_cpu_busy_ratio 0\n"), strings.Contains(page, "\nmycoswarm_gpu_busy_ratio 0\n"); cpu != c.cpu || gpu != c.gpu {
			t.Errorf("%+v: tells of the CPU: %t, of the GPU: %t", c.use, cpu, gpu)
		}
	}
}

// What clients choose is in no label, whatever they call things.
func TestClientsNameNothing(t *testing.T) {
	t.Parallel()
	m := metrics.New(func() metrics.State { return metrics.State{} })
	before := strings.Count(get(t, m, "/metrics"), "\n")
	for i := range 100 {
		m.TaskEnded(fmt.Sprint("type", i), bus.StateExpired, false)
	}
	if more := strings.Count(get(t, m, "/metrics"), "\n") - before; more > 1 {
		t.Errorf("the page is longer by %d lines", more)
	}
}

// Scrapes, and all that is counted, may come at once.
func TestAllAtOnce(t *testing.T) {
	t.Parallel()
	m := metrics.New(state)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { busy(m) })
		wg.Go(func() { get(t, m, "/metrics") })
	}
	wg.Wait()
	if page := get(t, m, "/metrics"); !strings.Contains(page, `mycoswarm_generated_tokens_total{model="gemma3:27b"} 168`) {
		t.Errorf("not 4 times 42 tokens:\n%s", own(page))
	}
}
