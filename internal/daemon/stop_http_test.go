package daemon_test

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/internal/config"
)

// A node that stops while another one answers those who asked here has time for their answers, and takes no more questions.
func TestStoppingNodeEndsItsAnswers(t *testing.T) {
	t.Parallel()
	rest := make(chan struct{})
	var ledger engine.Ledger
	b, a := dialectSwarm(t, &ledger, func(engine.Request) engine.Script { return engine.Script{Rest: rest} })
	lines := ask(t, b, `{"model":"scripted","prompt":"<q>","stream":true}`)
	for lines.Scan() && !strings.Contains(lines.Text(), "done") { // its first word
	}
	conn, err := bus.Dial(b.ctx(), bus.WithDataDir(b.cfg.DataDir))
	check(t, err)
	defer conn.Close()
	overBus, err := conn.Start(b.ctx(), bus.Task{Type: bus.TypeInference, Model: "scripted", Payload: []byte(`{"prompt":"<q2>"}`)})
	check(t, err)
	eventually(t, "both run", func() string {
		s, err := a.conn.Status(a.ctx())
		check(t, err)
		for _, n := range s.Nodes {
			if n.ID == a.id() && n.Busy == 2 {
				return ""
			}
		}
		return "they do not"
	})

	stopped := stopping(t, b, a)
	if status, body := call(t, b, "POST", "/v1/completions", `{"model":"scripted","prompt":"<q3>"}`, noKey); status != http.StatusServiceUnavailable || !strings.Contains(body, "stopping") {
		t.Errorf("who asks a node that stops is told %d %s", status, body)
	}
	if status, body := call(t, b, "GET", "/health", "", noKey); status != http.StatusServiceUnavailable || !strings.Contains(body, "stopping") {
		t.Errorf("who looks whether it answers is told %d %s", status, body)
	}
	close(rest)
	var last string
	for lines.Scan() {
		if line := lines.Text(); line != "" {
			last = line
		}
	}
	if err := lines.Err(); err != nil || last != "data: [DONE]" {
		t.Errorf("the answer ends with %q, %v", last, err)
	}
	for chunk, err := range overBus.Chunks() {
		if err != nil || chunk.End != nil && chunk.End.State != bus.StateDone {
			t.Errorf("over the bus: %+v, %v", chunk.End, err)
		}
	}
	check(t, <-stopped)
}

// stopping has b stop, and returns once a has heard that it does; what comes is how it ended.
func stopping(t *testing.T, b, a *node) <-chan error {
	t.Helper()
	stopped := make(chan error, 1)
	go func() { stopped <- b.stop() }()
	eventually(t, "the other hears that it stops", func() string {
		s, err := a.conn.Status(a.ctx())
		check(t, err)
		for _, n := range s.Nodes {
			if n.ID == b.id() && n.Stops {
				return ""
			}
		}
		return "it does not"
	})
	return stopped
}

// An answer that takes several tasks goes on where a node stops between them, within its time: a model that has had the web searched is
// asked for what it makes of that.
func TestStoppingNodeGoesOnWithItsAnswers(t *testing.T) {
	t.Parallel()
	asked, gate := make(chan struct{}, 8), make(chan struct{})
	pages := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("q") == "bees" {
			asked <- struct{}{}
			select {
			case <-gate:
			case <-r.Context().Done(): // the test has failed
			}
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"query":"q","results":[{"url":"https://a.example","title":"Bees","content":"They fly."}]}`) // who has left needs none
	}))
	t.Cleanup(pages.Close)
	var ledger engine.Ledger
	var rounds atomic.Int32
	a := start(t, "a", withEngine(t, &ledger, func(engine.Request) engine.Script {
		if rounds.Add(1) == 1 {
			return engine.Script{Words: []string{"I look."}, Calls: []engine.Call{{Name: "web_search", Arguments: map[string]any{"query": "bees"}}}}
		}
		return engine.Script{Words: []string{"They", " fly."}}
	}), func(c *config.Config) { c.Search = pages.URL })
	b := start(t, "b", joining(a))
	settle(t, a, b)
	eventually(t, "the model and the search are known", func() string {
		_, body := call(t, b, "GET", "/peers", "")
		if !strings.Contains(body, engine.Model) || !strings.Contains(body, bus.TypeSearch) {
			return body
		}
		return ""
	})
	type answer struct {
		status int
		body   string
	}
	answered := make(chan answer, 1)
	go func() {
		status, body := call(t, b, "POST", "/v1/chat/completions", `{"model":"scripted","messages":[{"role":"user","content":"<q>"}],"web_search_options":{}}`, noKey)
		answered <- answer{status, body}
	}()
	select {
	case <-asked:
	case got := <-answered:
		t.Fatalf("nothing is searched: %d %s", got.status, got.body)
	}
	stopped := stopping(t, b, a)
	close(gate)
	if got := <-answered; got.status != http.StatusOK || !strings.Contains(got.body, "They fly.") {
		t.Errorf("the answer is %d %s", got.status, got.body)
	}
	check(t, <-stopped)
}

// Who waits longer than a node that stops has time is told so.
func TestStoppingNodeTellsWhoWaits(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	defer close(gate)
	var ledger engine.Ledger
	a := start(t, "a", withEngine(t, &ledger, func(engine.Request) engine.Script { return engine.Script{Gate: gate} }))
	b := start(t, "b", joining(a), func(c *config.Config) { c.DrainLimit = 100 * time.Millisecond })
	settle(t, a, b)
	eventually(t, "the model is known", func() string {
		_, body := call(t, b, "GET", "/v1/models", "", noKey)
		if !strings.Contains(body, engine.Model) {
			return body
		}
		return ""
	})
	type answer struct {
		status int
		body   string
	}
	answered := make(chan answer, 2)
	named := func(r *http.Request) { r.Header.Set("X-Myco-Answer", "a-name-of-the-answer") }
	for _, change := range []func(*http.Request){noKey, named} {
		go func() {
			status, body := call(t, b, "POST", "/v1/completions", `{"model":"scripted","prompt":"<q>"}`, noKey, change)
			answered <- answer{status, body}
		}()
	}
	if _, err := ledger.Wait(t.Context(), func(runs []engine.Run) bool { return len(runs) == 2 }); err != nil {
		t.Fatal(err)
	}
	check(t, b.stop())
	for range 2 {
		if a := <-answered; a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, "this node stops") {
			t.Errorf("who waited is told %d %s", a.status, a.body)
		}
	}
}

// ask asks for a completion, and returns the lines of the answer.
func ask(t *testing.T, n *node, body string) *bufio.Scanner {
	t.Helper()
	req, err := http.NewRequestWithContext(n.ctx(), http.MethodPost, n.Info().HTTPURL+"/v1/completions", strings.NewReader(body))
	check(t, err)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	check(t, err)
	t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		b, err := io.ReadAll(resp.Body)
		t.Fatalf("%d %s %v", resp.StatusCode, b, err)
	}
	return bufio.NewScanner(resp.Body)
}
