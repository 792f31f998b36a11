package gateway_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tmaxmax/go-sse"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/gateway"
)

const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

// content is what no page may show.
const content = "the secret prompt"

// busy is a swarm with a task of each kind, whose names are markup.
type busy struct {
	*swarm
	nodes func() []bus.NodeInfo
}

const markup = `<img src=x onerror=alert(1)>`

func newBusy() *busy {
	return &busy{swarm: &swarm{}, nodes: func() []bus.NodeInfo {
		return []bus.NodeInfo{
			{
				ID: self, Name: "laptop", State: bus.NodeReady, Slots: 2, Busy: 1, QueueHost: true, Use: &bus.NodeUse{CPUPercent: 10, GPUPercent: -1, TokensPerSecond: 3},
				Models: []bus.ModelInfo{{Name: markup, Loaded: true}, {Name: "cold"}}, Embedders: []bus.ModelInfo{{Name: "vec"}},
				Memory: 8 << 30, FreeMemory: 6 << 30, Queues: []bus.QueueCount{{Lane: bus.Batch, Class: "inference", Waiting: 2}},
			},
			{ID: other, Name: markup, State: bus.NodeLost, Slots: 1, Busy: 1},
		}
	}}
}

func (b *busy) Nodes() []bus.NodeInfo { return b.nodes() }

func (b *busy) Status() bus.Status {
	return bus.Status{Nodes: b.nodes(), Swarm: bus.SwarmInfo{Name: "home", QueueHost: self}}
}

func (b *busy) Beats() []bus.Heartbeat {
	return []bus.Heartbeat{{Node: self, Sees: []bus.NodeID{self}, Running: []bus.Running{{Task: "runs", Attempt: 1}}}, {Node: other, Sees: []bus.NodeID{self, other}}}
}

func (b *busy) Probe(context.Context) []bus.ProbeReply {
	return []bus.ProbeReply{{NodeID: self, RTTMS: 0.5}, {NodeID: other, Error: "no route to it"}}
}

func (b *busy) Tasks(context.Context) ([]bus.TaskInfo, error) {
	failure := bus.Errorf(bus.CodeFailed, "the engine says: %s", content)
	return []bus.TaskInfo{
		{ID: "runs", Type: "inference", Model: "m", State: bus.StateQueued},
		{ID: "young", Type: "inference", State: bus.StateQueued, Warning: "no node has it"},
		{ID: "old", Type: "inference", State: bus.StateQueued, Attempts: 1, Warning: content},
		{ID: "shows", Type: bus.TypeShow, State: bus.StateDone},
		{ID: "done", Type: "inference", State: bus.StateDone, Result: json.RawMessage(`"` + content + `"`)},
		{ID: "dead", Type: "inference", State: bus.StateDead, Durable: true, Error: failure},
		{ID: "failed", Type: "inference", State: bus.StateFailed, Error: failure},
	}, nil
}

func (b *busy) Task(_ context.Context, id bus.TaskID) (bus.TaskInfo, error) {
	all, err := b.Tasks(context.Background())
	for _, t := range all {
		if t.ID == id {
			return t, err
		}
	}
	return bus.TaskInfo{}, bus.Errorf(bus.CodeNotFound, "no node of the swarm knows task %s", id)
}

func (b *busy) Why(_ context.Context, id bus.TaskID) (bus.Why, error) {
	if id == "done" {
		return bus.Why{}, bus.Errorf(bus.CodeNotFound, "nobody remembers")
	}
	return bus.Why{Task: id, By: self, Bids: []bus.NodeBid{{NodeID: other, Name: markup, Bid: time.Second}}}, nil
}

func newDashboard(t *testing.T, s gateway.Swarm, keys ...gateway.Key) *gateway.Gateway {
	t.Helper()
	return keyring(t, s, keys...)
}

// looks is what these tests read of what a page is told.
type looks struct {
	Self  bus.NodeID `json:"self"`
	Nodes []struct {
		ID     bus.NodeID    `json:"id"`
		Name   string        `json:"name"`
		State  bus.NodeState `json:"state"`
		Busy   int           `json:"busy"`
		Models []struct {
			Name   string `json:"name"`
			Loaded bool   `json:"loaded"`
			Embeds bool   `json:"embeds"`
		} `json:"models"`
		Memory int64        `json:"memory"`
		RTTMS  *float64     `json:"rtt_ms"`
		Sees   []bus.NodeID `json:"sees"`
	} `json:"nodes"`
	Listed bool `json:"listed"`
	Tasks  []struct {
		ID bus.TaskID `json:"id"`
	} `json:"tasks"`
	Queued, Recent, Dead []struct {
		ID      bus.TaskID `json:"id"`
		Code    bus.Code   `json:"code"`
		Warning string     `json:"warning"`
	}
	QueuedCount int `json:"queued_count"`
}

// follow reads what a page is told until enough returns true, over a real connection.
func follow(t *testing.T, g http.Handler, enough func(name, data string) bool) {
	t.Helper()
	srv := httptest.NewServer(g)
	defer srv.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL+"/ui/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := resp.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Fatalf("%d, content type %q", resp.StatusCode, got)
	}
	for e, err := range sse.Read(resp.Body, nil) {
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(e.Data, content) {
			t.Fatalf("a page is told content: %s", e.Data)
		}
		if enough(e.Type, e.Data) {
			return
		}
	}
}

// A page is told the past, and then, each second, what there is: names as they are, and no content.
func TestPagesAreTold(t *testing.T) {
	t.Parallel()
	var names []string
	var v looks
	follow(t, newDashboard(t, newBusy()), func(name, data string) bool {
		names = append(names, name)
		if name != "swarm" {
			return false
		}
		v = looks{}
		if err := json.Unmarshal([]byte(data), &v); err != nil {
			t.Fatal(err)
		}
		return v.Listed && v.Nodes[0].RTTMS != nil
	})
	if names[0] != "past" || names[1] != "swarm" {
		t.Errorf("events %q, want the past first", names)
	}
	a, b := v.Nodes[0], v.Nodes[1]
	if v.Self != self || a.ID != self || len(a.Models) != 3 || a.Models[0].Name != markup || !a.Models[0].Loaded || a.Models[1].Loaded || !a.Models[2].Embeds ||
		a.Memory != 8<<30 || *a.RTTMS != 0.5 || len(a.Sees) != 1 {
		t.Errorf("this node %+v", a)
	}
	if b.Name != markup || b.State != bus.NodeLost || b.Busy != 0 || b.Sees != nil || b.RTTMS != nil {
		t.Errorf("a lost node %+v", b)
	}
	if len(v.Tasks) != 1 || v.Tasks[0].ID != "runs" {
		t.Errorf("running %+v", v.Tasks)
	}
	if len(v.Queued) != 2 || v.Queued[0].ID != "old" || v.Queued[1].Warning != "no node has it" || v.QueuedCount != 2 {
		t.Errorf("waiting %+v, want the oldest first, without what runs", v.Queued)
	}
	if len(v.Recent) != 3 || v.Recent[0].ID != "done" || v.Recent[2].Code != bus.CodeFailed {
		t.Errorf("recent %+v, want three, without what nodes ask each other", v.Recent)
	}
	if len(v.Dead) != 1 || v.Dead[0].ID != "dead" {
		t.Errorf("dead %+v", v.Dead)
	}
}

// What pages begin with has a value for each moment, of nodes that came later too.
func TestPast(t *testing.T) {
	t.Parallel()
	w := local(t, newDashboard(t, newBusy()), "GET", "/ui/events?once=1", "")
	_, data, ok := strings.Cut(w.Body.String(), "event: past\ndata: ")
	var past struct {
		At    []int64                   `json:"at"`
		Nodes map[bus.NodeID][]*float64 `json:"nodes"`
	}
	if err := json.NewDecoder(strings.NewReader(data)).Decode(&past); !ok || err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	for id, values := range past.Nodes {
		if len(values) != len(past.At) || id != self {
			t.Errorf("node %s has %d values at %d moments", id, len(values), len(past.At))
		}
	}
}

// One task is told with what nodes bid, and without its content.
func TestTaskOfADashboard(t *testing.T) {
	t.Parallel()
	g := newDashboard(t, newBusy())
	for id, want := range map[string]string{"dead": `"code":"failed"`, "young": markupJSON, "old": `"attempts":1`, "done": "nobody remembers"} {
		w := local(t, g, "GET", "/ui/tasks/"+id, "")
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), want) || strings.Contains(w.Body.String(), content) {
			t.Errorf("%s: %d %s, want %s", id, w.Code, w.Body, want)
		}
	}
	if w := local(t, g, "GET", "/ui/tasks/none", ""); w.Code != http.StatusNotFound {
		t.Errorf("a task that is not there: %d %s", w.Code, w.Body)
	}
	if w := local(t, g, "GET", "/ui/tasks/a%20b", ""); w.Code != http.StatusBadRequest {
		t.Errorf("an id that is none: %d %s", w.Code, w.Body)
	}
}

var markupJSON = strings.NewReplacer("<", `\u003c`, ">", `\u003e`).Replace(markup)

// A browser at / lands on the dashboard; Ollama's clients, health checks and curl get what they look for.
func TestBrowsersAreLed(t *testing.T) {
	t.Parallel()
	_, g := newOracle(t, paris())
	for _, addr := range []string{"127.0.0.1:5", afar} {
		w := from(t, g, addr, "GET", "/", "", "Authorization", "", "Accept", browser)
		if w.Code != http.StatusFound || w.Header().Get("Location") != "/ui/" {
			t.Errorf("a browser at %s: %d to %q", addr, w.Code, w.Header().Get("Location"))
		}
	}
	for _, accept := range []string{"", "*/*", "application/json", "application/json, text/event-stream"} {
		w := local(t, g, "GET", "/", "", "Accept", accept)
		if w.Code != http.StatusOK || w.Body.String() != "Ollama is running" {
			t.Errorf("%q: %d %q", accept, w.Code, w.Body)
		}
	}
	if w := local(t, g, "HEAD", "/", "", "Accept", "*/*"); w.Code != http.StatusOK {
		t.Errorf("HEAD: %d", w.Code)
	}
	if w := local(t, g, "GET", "/ui", ""); w.Code != http.StatusFound {
		t.Errorf("/ui: %d", w.Code)
	}
	if w := from(t, g, "127.0.0.1:5", "GET", "/", "", "Host", "evil.example", "Accept", browser); w.Code != http.StatusForbidden {
		t.Errorf("a foreign name: %d", w.Code)
	}
}

// Pages run nothing of their own, load only what this node serves, and are in nobody's frame.
func TestPagesAreGuarded(t *testing.T) {
	t.Parallel()
	_, g := newOracle(t, paris())
	files := regexp.MustCompile(`(?:src|href)="([^"]*)"`)
	for what, w := range map[string]*httptest.ResponseRecorder{
		"the dashboard": local(t, g, "GET", "/ui/", "", "Accept", browser),
		"the login":     from(t, g, afar, "GET", "/ui/", "", "Authorization", "", "Accept", browser),
	} {
		policy := w.Header().Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
			if !strings.Contains(policy, part) {
				t.Errorf("%s: the policy %q lacks %q", what, policy, part)
			}
		}
		if strings.Contains(policy, "unsafe") || w.Header().Get("Access-Control-Allow-Origin") != "" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", what, w.Header())
		}
		if found := regexp.MustCompile(`(?i)<script>|<style|\son[a-z]+=|javascript:|https?://`).FindString(w.Body.String()); found != "" {
			t.Errorf("%s has %q in it", what, found)
		}
		found := files.FindAllStringSubmatch(w.Body.String(), -1)
		for _, f := range found {
			// The login page has to have them without a key.
			if got := from(t, g, afar, "GET", f[1], "", "Authorization", ""); got.Code != http.StatusOK || got.Header().Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s loads %s: %d %v", what, f[1], got.Code, got.Header())
			}
		}
		if len(found) == 0 {
			t.Errorf("%s loads nothing", what)
		}
	}
	w := local(t, g, "GET", "/ui/static/app.js", "")
	if again := local(t, g, "GET", "/ui/static/app.js", "", "If-None-Match", w.Header().Get("ETag")); again.Code != http.StatusNotModified {
		t.Errorf("the same file again: %d", again.Code)
	}
	for _, name := range []string{"none.js", "dashboard.html", "login.html", "../web/login.html", ""} {
		if got := local(t, g, "GET", "/ui/static/"+name, ""); got.Code == http.StatusOK {
			t.Errorf("%q is served: %s", name, got.Body)
		}
	}
}

// Pages of other sites have no part in it, though they could not read it.
func TestOtherSitesAreNotTold(t *testing.T) {
	t.Parallel()
	g := newDashboard(t, newBusy())
	for _, target := range []string{"/ui/events?once=1", "/ui/tasks/young"} {
		for from, want := range map[string]int{"cross-site": 403, "same-site": 403, "same-origin": 200, "none": 200, "": 200} {
			if w := local(t, g, "GET", target, "", "Sec-Fetch-Site", from); w.Code != want {
				t.Errorf("%s of a page that is %q: %d, want %d", target, from, w.Code, want)
			}
		}
	}
	for _, target := range []string{"/ui/login", "/ui/logout"} {
		if w := local(t, g, "POST", target, "key="+key, "Sec-Fetch-Site", "cross-site"); w.Code != http.StatusForbidden || len(w.Result().Cookies()) > 0 {
			t.Errorf("%s from another site: %d", target, w.Code)
		}
	}
}
