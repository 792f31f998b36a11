//go:build e2e && linux

package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// metricsPage is what docs/metrics.md shows: what Prometheus is set up with, and what it is asked.
type metricsPage struct {
	config  string
	queries []string
}

func readMetricsPage(t *testing.T) (p metricsPage) {
	t.Helper()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(root, "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	inConfig := false
	for line := range strings.Lines(string(data)) {
		code, shown := strings.CutPrefix(line, "    ")
		inConfig = shown && (inConfig || code == "scrape_configs:\n")
		if inConfig {
			p.config += code
		} else if shown && strings.Contains(code, "mycoswarm_") {
			p.queries = append(p.queries, strings.TrimSpace(code))
		}
	}
	if p.config == "" || len(p.queries) == 0 {
		t.Fatalf("docs/metrics.md shows no configuration, or no queries: %+v", p)
	}
	return p
}

// panels are the queries of the dashboard for Grafana in docs/grafana.json, by the titles of its panels.
func panels(t *testing.T) map[string][]string {
	t.Helper()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(root, "docs", "grafana.json"))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(data, &dashboard); err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			out[p.Title] = append(out[p.Title], strings.ReplaceAll(target.Expr, "$__rate_interval", "1m"))
		}
	}
	if len(out) == 0 || len(out) != len(dashboard.Panels) {
		t.Fatalf("docs/grafana.json has %d panels, and %d with a title and a query of their own", len(dashboard.Panels), len(out))
	}
	return out
}

var figure = regexp.MustCompile(`mycoswarm_\w+`)

// shows runs the queries of each panel. Each has to give something, but those of figures that no node here has.
func (p *prometheus) shows(panels map[string][]string) {
	p.t.Helper()
	for title, queries := range panels {
		for _, query := range queries {
			there := true
			for _, name := range figure.FindAllString(query, -1) {
				got, err := p.ask(name)
				there = there && err == nil && len(got) > 0
			}
			harness.Poll(p.t, harness.Patience, "the panel "+title+" shows something", func() string {
				if got, err := p.ask(query); err != nil || there && len(got) == 0 {
					return fmt.Sprintf("%s: %v, %v", query, got, err)
				}
				return ""
			})
		}
	}
}

// program finds a program of Debian's package prometheus.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("there is no %s: apt-get install prometheus", name)
	}
	return path
}

// prometheus is a running one.
type prometheus struct {
	t   *testing.T
	url string
}

var listensOn = regexp.MustCompile(`msg="Listening on" address=(\S+)`)

// startPrometheus starts one with a configuration.
func startPrometheus(t *testing.T, config string) *prometheus {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	p := harness.Launch(t, filepath.Join(dir, "log"), os.Environ(), []string{
		program(t, "prometheus"), "--config.file", file, "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", "127.0.0.1:0",
	}, "")
	var addr string
	harness.Poll(t, harness.Patience, "Prometheus listens", func() string {
		m := listensOn.FindStringSubmatch(p.Log(100))
		if m == nil {
			return "it says: " + p.Log(5)
		}
		addr = m[1]
		return ""
	})
	return &prometheus{t, "http://" + addr}
}

// sample is one value that a query gives.
type sample struct {
	Metric map[string]string `json:"metric"`
	Value  [2]any            `json:"value"` // when, and what, which is a string
}

// ask returns what a query gives, or why it gives nothing.
func (p *prometheus) ask(query string) (out []sample, err error) {
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.url+"/api/v1/query?query="+url.QueryEscape(query), nil)
	if err != nil {
		return nil, err
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var r struct {
		Status, Error string
		Data          struct{ Result []sample }
	}
	if err := json.NewDecoder(resp.Body).Decode(&r); err != nil {
		return nil, fmt.Errorf("%s: %w", resp.Status, err)
	}
	if r.Status != "success" {
		return nil, fmt.Errorf("%s: %s", r.Status, r.Error)
	}
	return r.Data.Result, nil
}

// awaits waits until a query gives one value.
func (p *prometheus) awaits(query, want string) {
	p.t.Helper()
	harness.Poll(p.t, harness.Patience, query+" is "+want, func() string {
		got, err := p.ask(query)
		if err != nil || len(got) != 1 || got[0].Value[1] != want {
			return fmt.Sprint(got, err)
		}
		return ""
	})
}

// A real Prometheus, set up as docs/metrics.md shows, scrapes two nodes, each with a key of its own, and answers all
// that is asked there.
func TestPrometheus(t *testing.T) {
	var ledger engine.Ledger
	s := harness.New(t, programs)
	a := s.Found(t, "a", "--http-key")
	eng := startEngine(t, s, engine.Config{Name: "e", Ledger: &ledger})
	b := s.Join(t, a, "b", "--http-key", "--engine", eng.URL())
	harness.Settle(t, a, b)
	awaitModel(t, a, "b", engine.Model, true)

	page := readMetricsPage(t)
	config := "global: {scrape_interval: 250ms}\n" + page.config
	for name, n := range map[string]*harness.Node{"tower": a, "laptop": b} {
		key := n.Myco(t, "key", "create", "--quiet", "--name", "prometheus")
		file := filepath.Join(n.Home, "prometheus.key")
		if err := os.WriteFile(file, []byte(key.Stdout), 0o600); err != nil {
			t.Fatal(err)
		}
		for old, to := range map[string]string{
			"/etc/prometheus/" + name + ".key": file, name + ":7890": strings.TrimPrefix(n.Info.HTTPURL, "http://"),
		} {
			if !strings.Contains(config, old) {
				t.Fatalf("the configuration in docs/metrics.md has no %s:\n%s", old, config)
			}
			config = strings.ReplaceAll(config, old, to)
		}
	}
	p := startPrometheus(t, config)
	p.awaits("sum(up)", "2")
	p.awaits("sum(mycoswarm_tasks_total)", "0")

	const asked = 7 // at either node
	for i := range asked {
		ask(t, []*harness.Node{a, b}[i%2], engine.Prompt(fmt.Sprint("scraped-", i)))
	}
	for query, want := range map[string]string{
		"sum(up)": "2", `sum(mycoswarm_tasks_total{type="inference",state="done"})`: fmt.Sprint(asked),
		"sum(mycoswarm_tasks_total)":                                    fmt.Sprint(asked),
		`sum(mycoswarm_attempts_total{type="inference",result="done"})`: fmt.Sprint(asked),
		"sum(mycoswarm_time_to_first_token_seconds_count)":              fmt.Sprint(asked),
		"sum(mycoswarm_queue_host)":                                     "1",
		"count(mycoswarm_node_info)":                                    "2",
	} {
		p.awaits(query, want)
	}
	for _, query := range page.queries {
		if _, err := p.ask(query); err != nil {
			t.Errorf("%s: %v", query, err)
		}
	}
	p.shows(panels(t))
	if got, err := p.ask(`mycoswarm_slots_busy * on (instance) group_left (name) mycoswarm_node_info`); err != nil || len(got) != 2 {
		t.Errorf("nodes by name: %v, %v", got, err)
	}

	check := exec.CommandContext(within(t, "check"), program(t, "promtool"), "check", "metrics")
	w := httpDo(t, a, http.MethodGet, "/metrics", "")
	if check.Stdin = strings.NewReader(w.body); w.status != http.StatusOK {
		t.Fatalf("GET /metrics: %d %s", w.status, w.body)
	}
	if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}

	b.Stop(t)
	p.awaits("sum(up)", "1")
	p.awaits(`sum(mycoswarm_peers{state="ready"})`, "0")
}
