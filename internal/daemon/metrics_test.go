package daemon_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/internal/config"
)

// told is what a node tells on its page.
type told map[string]float64

// scrape reads a node's page, as a program of its machine does.
func scrape(t *testing.T, n *node) told {
	t.Helper()
	status, page := call(t, n, "GET", "/metrics", "", noKey)
	if status != http.StatusOK {
		t.Fatalf("GET /metrics: %d %s", status, page)
	}
	problems, err := promlint.New(strings.NewReader(page)).Lint()
	check(t, err)
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	f := told{}
	for line := range strings.Lines(page) {
		line = strings.TrimSpace(line)
		at := strings.LastIndexByte(line, ' ')
		if strings.HasPrefix(line, "#") || at < 0 {
			continue
		}
		f[line[:at]], err = strconv.ParseFloat(line[at+1:], 64)
		check(t, err)
	}
	return f
}

// What happens on two nodes is told by the one where it happens: a question that came over HTTP at the first, and was
// answered by the second.
func TestMetrics(t *testing.T) {
	t.Parallel()
	e, err := engine.Start(t.Context(), "127.0.0.1:0", engine.Config{Name: "e", Ledger: &engine.Ledger{}})
	check(t, err)
	t.Cleanup(func() { check(t, e.Stop()) })
	a := start(t, "a", func(c *config.Config) { c.Engines = []string{e.URL()} })
	b := start(t, "b", joining(a))
	host := settle(t, a, b)
	eventually(t, "the model is known", func() string {
		_, body := call(t, b, "GET", "/v1/models", "", noKey)
		if !strings.Contains(body, engine.Model) {
			return body
		}
		return ""
	})
	model := `{model="` + engine.Model + `:latest"}`
	if _, there := scrape(t, a)["mycoswarm_model_loaded"+model]; !there {
		model = `{model="` + engine.Model + `"}`
	}
	const done = `mycoswarm_tasks_total{state="done",type="inference"}`
	const chats = `mycoswarm_http_requests_total{code="200",endpoint="POST /api/chat"}`
	if f := scrape(t, b); f[done] != 0 || f[chats] != 0 {
		t.Errorf("before a question: %v tasks, %v requests", f[done], f[chats])
	}
	if status, body := call(t, b, "POST", "/api/chat", `{"model":"scripted","messages":[{"role":"user","content":"<t1>"}]}`, noKey); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	at := map[string]*node{"a": a, "b": b}
	for _, want := range []struct {
		node, name string
		least, all float64
	}{
		{"b", done, 1, 1},
		{"b", chats, 1, 1},
		{"b", "mycoswarm_slots", 0, 0},
		{"b", `mycoswarm_peers{state="ready"}`, 1, 1},
		{"a", done, 0, 0},
		{"a", `mycoswarm_attempts_total{result="done",type="inference"}`, 1, 1},
		{"a", `mycoswarm_attempts_total{result="retried",type="inference"}`, 0, 0},
		{"a", "mycoswarm_generated_tokens_total" + model, 2, 100},
		{"a", "mycoswarm_time_to_first_token_seconds_count" + model, 1, 1},
		{"a", "mycoswarm_answer_duration_seconds_count" + model, 1, 1},
		{"a", `mycoswarm_queue_wait_seconds_count{lane="interactive"}`, 1, 9}, // nodes ask each other of models, too
		{"a", "mycoswarm_slots", 1, 99},
		{"a", "mycoswarm_queue_term", 1, 99},
		{"a", "mycoswarm_cpu_busy_ratio", 1e-6, 1}, // the test itself is work
		{"a", `mycoswarm_engine_up{url="` + e.URL() + `"}`, 1, 1},
		{"a", "mycoswarm_disk_free_bytes", 1, 1 << 60},
		{"a", `mycoswarm_disk_used_bytes{kind="streams"}`, 0, 1 << 30},
		{"a", `mycoswarm_open_tasks{delivery="attached"}`, 0, 0},
	} {
		eventually(t, want.name+" of "+want.node, func() string {
			v, there := scrape(t, at[want.node])[want.name]
			if !there || v < want.least || v > want.all {
				return strconv.FormatFloat(v, 'g', -1, 64)
			}
			return ""
		})
	}
	fa, fb := scrape(t, a), scrape(t, b)
	if is := fa["mycoswarm_queue_host"]; fa["mycoswarm_queue_host"]+fb["mycoswarm_queue_host"] != 1 || (is == 1) != (host == a.id()) {
		t.Errorf("queue host: %v and %v, want it at %s alone", fa["mycoswarm_queue_host"], fb["mycoswarm_queue_host"], host)
	}
	if first, all := fa["mycoswarm_time_to_first_token_seconds_sum"+model], fa["mycoswarm_answer_duration_seconds_sum"+model]; first <= 0 || all < first {
		t.Errorf("the first token after %v s, the end after %v s", first, all)
	}
	for _, f := range []told{fa, fb} {
		_, tells := f[`mycoswarm_queue_tasks{lane="batch",state="waiting"}`]
		if tells != (f["mycoswarm_queue_host"] == 1) {
			t.Errorf("a node tells of the queues: %v", tells)
		}
	}
	check(t, e.Stop())
	eventually(t, "the engine is told as down", func() string {
		if v, there := scrape(t, a)[`mycoswarm_engine_up{url="`+e.URL()+`"}`]; !there || v != 0 {
			return "it is not"
		}
		return ""
	})
}

// The disk has what is durable, and the outbox what is open.
func TestMetricsOfTheOutbox(t *testing.T) {
	t.Parallel()
	n := start(t, "a")
	for range 3 {
		task := inference(t) // nobody can run it
		task.Model = "none"
		_, err := n.conn.Enqueue(n.ctx(), task)
		check(t, err)
	}
	f := scrape(t, n)
	if f[`mycoswarm_open_tasks{delivery="durable"}`] != 3 || f[`mycoswarm_disk_used_bytes{kind="streams"}`] < 100 {
		t.Errorf("%v tasks are open, on %v bytes of disk", f[`mycoswarm_open_tasks{delivery="durable"}`], f[`mycoswarm_disk_used_bytes{kind="streams"}`])
	}
	eventually(t, "they wait", func() string {
		if v := scrape(t, n)[`mycoswarm_queue_tasks{lane="batch",state="waiting"}`]; v != 3 {
			return strconv.FormatFloat(v, 'g', -1, 64)
		}
		return ""
	})
	tasks, err := n.conn.Tasks(n.ctx())
	check(t, err)
	for _, task := range tasks {
		_, err := n.conn.Cancel(n.ctx(), task.ID)
		check(t, err)
	}
	eventually(t, "they are counted", func() string { // a moment after whoever has cancelled them is told
		f := scrape(t, n)
		if open, ended := f[`mycoswarm_open_tasks{delivery="durable"}`], f[`mycoswarm_tasks_total{state="cancelled",type="inference"}`]; open != 0 || ended != 3 {
			return fmt.Sprintf("%v are open, %v cancelled", open, ended)
		}
		return ""
	})
}

// Who may read the page is who may ask for models: programs of this machine, and whoever has any key.
func TestMetricsAreGuarded(t *testing.T) {
	t.Parallel()
	n := start(t, "a", func(c *config.Config) { c.HTTPKey = true })
	created, err := n.conn.CreateKey(n.ctx(), bus.KeyRequest{Name: "prometheus"})
	check(t, err)
	with := func(key string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+key) }
	}
	elsewhere := func(r *http.Request) { r.Host = "evil.example" }
	for what, c := range map[string]struct {
		change func(*http.Request)
		want   int
	}{
		"no key": {noKey, 401}, "a wrong key": {with("x"), 401}, "the owner": {func(*http.Request) {}, 200},
		"a created key": {with(created.Key), 200}, "a foreign name": {elsewhere, 403},
	} {
		if status, body := call(t, n, "GET", "/metrics", "", c.change); status != c.want || (status == 200) != strings.Contains(body, "mycoswarm_build_info") {
			t.Errorf("%s: %d, want %d", what, status, c.want)
		}
	}
}
