package gateway_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// pinnable are requests that a named node must do, each with the shape of its errors.
var pinnable = map[string]struct {
	body string
	text []any // where in an error its text is
}{
	"/api/chat":            {hello + `}`, []any{"error"}},
	"/api/generate":        {`{"model":"m","prompt":"hi"}`, []any{"error"}},
	"/api/embed":           {`{"model":"m","input":"x"}`, []any{"error"}},
	"/api/embeddings":      {`{"model":"m","prompt":"x"}`, []any{"error"}},
	"/api/web_search":      {`{"query":"x"}`, []any{"error"}},
	"/api/web_fetch":       {`{"url":"https://a.example"}`, []any{"error"}},
	"/v1/chat/completions": {hello + `,"n":2}`, []any{"error", "message"}},
	"/v1/completions":      {`{"model":"m","prompt":"hi","stream":true}`, []any{"error", "message"}},
	"/v1/embeddings":       {`{"model":"m","input":"x"}`, []any{"error", "message"}},
	"/v1/responses":        {`{"model":"m","input":"hi"}`, []any{"error", "message"}},
	"/v1/messages":         {`{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}`, []any{"error", "message"}},
}

// The header X-Myco-Node has a node do what is asked for, by its name, its id or the beginning of that.
func TestNodeIsChosen(t *testing.T) {
	t.Parallel()
	for target, ask := range pinnable {
		for want, id := range map[string]bus.NodeID{"": "", "b": other, string(other): other, "ba98": other, "a": self, "c": "myco-000000000000"} {
			o, g := newOracle(t, answers)
			w := local(t, g, http.MethodPost, target, ask.body, "X-Myco-Node", want)
			if w.Code != http.StatusOK || len(o.tasks) == 0 {
				t.Errorf("%s, %q: %d %s", target, want, w.Code, w.Body)
			}
			for _, task := range o.tasks {
				if task.Node != id {
					t.Errorf("%s, %q: a task for %q", target, want, task.Node)
				}
			}
		}
		o, g := newOracle(t, answers)
		w := local(t, g, http.MethodPost, target, ask.body, "X-Myco-Node", "nobody")
		if says, _ := at(object(t, w), ask.text...).(string); w.Code != http.StatusNotFound || len(o.tasks) > 0 ||
			!strings.Contains(says, `no node "nobody", but a, b, c. Next: name one of these, or none`) {
			t.Errorf("%s of nobody: %d %s, %d tasks", target, w.Code, w.Body, len(o.tasks))
		}
	}
	o, _ := newOracle(t, answers)
	g, _ := batching(t, o, t.TempDir())
	body := `{"input_file_id":"file-x","endpoint":"/v1/completions","completion_window":"24h"}`
	if w := local(t, g, http.MethodPost, "/v1/batches", body, "X-Myco-Node", "b"); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "leave the header out") {
		t.Errorf("a batch for a node: %d %s", w.Code, w.Body)
	}
}

// Where a node that was named cannot, the error tells what a client may do, and its status whether that is to ask again.
func TestNodeThatCannot(t *testing.T) {
	t.Parallel()
	open := bus.Errorf(bus.CodeNoWorker, "node c is not there: it is lost").WithHint("leave the node open, without --node, or wait until it is back: myco swarm")
	lacks := bus.Errorf(bus.CodeNoWorker, "node a does not have model").WithHint("myco pull x, or name one of those above with -m")
	for name, tt := range map[string]struct {
		node, model string
		err         error
		status      int
		says        string
	}{
		"lost":             {"c", "m", open, http.StatusServiceUnavailable, "Next: leave the node open, without the header X-Myco-Node, or wait until it is back"},
		"lost, had it":     {"c", "gone", open, http.StatusServiceUnavailable, "without the header X-Myco-Node"},
		"another has it":   {"a", "vec", lacks, http.StatusNotFound, "Next: leave the node open, without the header X-Myco-Node, for another has it; or myco pull x, or name one of those above"},
		"nobody has it":    {"a", "none", lacks, http.StatusNotFound, "Next: myco pull x"},
		"it has the model": {"a", "m", lacks, http.StatusServiceUnavailable, "node a does not have model"},
		"no node is named": {"", "none", lacks, http.StatusNotFound, "Next: myco pull x"},
	} {
		_, g := newOracle(t, fails(tt.err))
		target, body := "/v1/chat/completions", strings.Replace(hello, `"m"`, `"`+tt.model+`"`, 1)+`}`
		if tt.model == "vec" {
			target, body = "/v1/embeddings", `{"model":"vec","input":"x"}`
		}
		w := local(t, g, http.MethodPost, target, body, "X-Myco-Node", tt.node)
		if says, _ := at(object(t, w), "error", "message").(string); w.Code != tt.status || !strings.Contains(says, tt.says) {
			t.Errorf("%s: %d %s, want %d, %s", name, w.Code, w.Body, tt.status, tt.says)
		}
		if missing := at(object(t, w), "error", "code") == "model_not_found"; missing != (tt.status == http.StatusNotFound) {
			t.Errorf("%s: %s", name, w.Body)
		}
	}
}

// Behind an @ the name of a model has that of the node that must run it; a model that has an @ itself comes first.
func TestNodeIsNamedBehindTheModel(t *testing.T) {
	t.Parallel()
	for model, want := range map[string]struct {
		model string
		node  bus.NodeID
	}{
		"m@b": {"m:latest", other}, "M@b": {"m:latest", other}, "m:latest@a": {"m:latest", self}, "m@" + string(other): {"m:latest", other}, "m@c": {"m:latest", "myco-000000000000"}, "m@b:latest": {"m:latest", other}, "m:latest@b:latest": {"m:latest", other},
		"q@4bit": {"q@4bit", ""}, "Q@4BIT": {"q@4bit", ""}, "q@4bit@b": {"q@4bit", other}, "q@4bit:latest": {"q@4bit", ""}, "m@b:1b": {"m@b:1b", ""}, "gone@b": {"gone@b", ""},
		"m@ba98": {"m@ba98", ""}, "m@B": {"m@B", ""}, "m@nobody": {"m@nobody", ""}, "@b": {"@b", ""}, "m@": {"m@", ""},
	} {
		for target, ask := range pinnable {
			if strings.Contains(target, "web") {
				continue
			}
			o, g := newOracle(t, answers)
			o.nodes[1].Models = append(o.nodes[1].Models, bus.ModelInfo{Name: "q@4bit"})
			o.nodes[2].Models[0].Name = "gone@b"
			o.nodes = append(o.nodes, bus.NodeInfo{ID: "myco-111111111111", Name: "4bit", State: bus.NodeReady})
			w := local(t, g, http.MethodPost, target, strings.Replace(ask.body, `"m"`, `"`+model+`"`, 1))
			if w.Code != http.StatusOK || len(o.tasks) == 0 {
				t.Errorf("%s of %s: %d %s", target, model, w.Code, w.Body)
			}
			for _, task := range o.tasks {
				if task.Node != want.node || !strings.EqualFold(bus.CanonicalModel(task.Model), bus.CanonicalModel(want.model)) {
					t.Errorf("%s of %s: a task of %s for %q", target, model, task.Model, task.Node)
				}
			}
			if w := local(t, g, http.MethodPost, target, strings.Replace(ask.body, `"m"`, `"m@b"`, 1), "X-Myco-Node", "a"); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "another node") {
				t.Errorf("%s with two nodes: %d %s", target, w.Code, w.Body)
			}
		}
	}
	_, g := newOracle(t, answers)
	for path, status := range map[string]int{"/v1/models/m@b": http.StatusOK, "/v1/models/vec@b": http.StatusOK, "/v1/models/vec@a": http.StatusNotFound, "/v1/models/m@nobody": http.StatusNotFound} {
		if w := local(t, g, http.MethodGet, path, ""); w.Code != status {
			t.Errorf("%s: %d %s, want %d", path, w.Code, w.Body, status)
		}
	}
	for asked, want := range map[string]string{"m@b": "m@b", "M@b": "M@b", "m": "m:latest", "M": "m:latest"} { // a client may compare it
		for _, version := range []string{"", "2023-06-01"} {
			if v := object(t, local(t, g, http.MethodGet, "/v1/models/"+asked, "", "Anthropic-Version", version)); v["id"] != want {
				t.Errorf("%s is told as %v", asked, v)
			}
		}
	}
	for _, path := range []string{"/v1/models", "/api/tags"} {
		if w := local(t, g, http.MethodGet, path, ""); strings.Contains(w.Body.String(), "@") {
			t.Errorf("%s lists the nodes: %s", path, w.Body)
		}
	}
}

// What is wrong with the name behind a model is told so that a client that sets no headers can mend it.
func TestNodeBehindTheModelThatCannot(t *testing.T) {
	t.Parallel()
	open := bus.Errorf(bus.CodeNoWorker, "node c is not there: it is lost").WithHint("leave the node open, without --node, or wait until it is back: myco swarm")
	lacks := bus.Errorf(bus.CodeNoWorker, "node a does not have model").WithHint("myco pull x")
	for model, tt := range map[string]struct {
		err    error
		status int
		says   string
	}{
		"m@c":   {open, http.StatusServiceUnavailable, "Next: leave the node open, without @ and its name behind the model, or wait until it is back"},
		"vec@a": {lacks, http.StatusNotFound, "Next: leave the node open, without @ and its name behind the model, for another has it; or myco pull x"},
		"vec@x": {lacks, http.StatusNotFound, "model 'vec@x' not found: node a does not have model. Next: name a node behind the @, one of a, b"},
		"no@x":  {lacks, http.StatusNotFound, "Next: myco pull x"},
	} {
		_, g := newOracle(t, fails(tt.err))
		w := local(t, g, http.MethodPost, "/api/embed", `{"model":"`+model+`","input":"x"}`)
		if says, _ := at(object(t, w), "error").(string); w.Code != tt.status || !strings.Contains(says, tt.says) {
			t.Errorf("%s: %d %s, want %d, %s", model, w.Code, w.Body, tt.status, tt.says)
		}
	}
}

// Of a model at a node that is lost, or drains, what is asked of it is told as a chat with it is: it may be back.
func TestModelOfANodeThatIsAway(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		model  string
		change func(b *bus.NodeInfo)
		status int
		says   string
	}{
		"lost":                 {"m@b", func(b *bus.NodeInfo) { b.State = bus.NodeLost }, 503, "node b is not there: it is lost. Next: leave the node open, without @ and its name behind the model, or wait until it is back"},
		"lost, without it":     {"x@b", func(b *bus.NodeInfo) { b.State = bus.NodeLost }, 503, "node b is not there: it is lost"},
		"an older version":     {"m@b", func(b *bus.NodeInfo) { b.State = bus.NodeIncompatible }, 503, "it is incompatible"},
		"drains":               {"vec@b", func(b *bus.NodeInfo) { b.State = bus.NodeDraining }, 503, "node b is draining: it takes no more work. Next: myco drain b --off; or ask another"},
		"stops":                {"m@b", func(b *bus.NodeInfo) { b.State, b.Stops = bus.NodeDraining, true }, 503, "node b is stopping: it takes no more work. Next: ask again once it is back"},
		"drains, without it":   {"x@b", func(b *bus.NodeInfo) { b.State = bus.NodeDraining }, 404, "model 'x' not found: node b has m:latest, vec"},
		"drains, any, alone":   {"vec", func(b *bus.NodeInfo) { b.State = bus.NodeDraining }, 503, "node b is draining"},
		"drains, any, another": {"m", func(b *bus.NodeInfo) { b.State = bus.NodeDraining }, 200, ""},
		"lost, any, alone":     {"vec", func(b *bus.NodeInfo) { b.State = bus.NodeLost }, 404, "model 'vec' not found: the swarm has m:latest"},
		"two of that name":     {"m@a", func(b *bus.NodeInfo) { b.Name = "a" }, 400, "2 nodes are called"},
	} {
		o, g := newOracle(t, fails(bus.Errorf(bus.CodeUnavailable, "down")))
		tt.change(&o.nodes[1])
		for how, w := range map[string]*httptest.ResponseRecorder{
			"show":      local(t, g, http.MethodPost, "/api/show", `{"model":"`+tt.model+`"}`),
			"OpenAI":    local(t, g, http.MethodGet, "/v1/models/"+tt.model, ""),
			"Anthropic": local(t, g, http.MethodGet, "/v1/models/"+tt.model, "", "Anthropic-Version", "2023-06-01"),
		} {
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.says) {
				t.Errorf("%s, %s: %d %s, want %d, %s", name, how, w.Code, w.Body, tt.status, tt.says)
			}
		}
	}
}

// The requests of a batch have no header: each may name its node, and a model that this does not have fails the batch at once.
func TestBatchesNameTheirNodes(t *testing.T) {
	t.Parallel()
	o, _ := newOracle(t, answers)
	g, _ := batching(t, o, t.TempDir())
	const endpoint = "/v1/embeddings"
	b := begins(t, g, key, endpoint, asks("a", endpoint, `{"model":"vec@b","input":"x"}`))
	b = becomes(t, g, key, b["id"].(string), "completed")
	if out := came(t, g, key, b["output_file_id"]); len(out) != 1 || o.tasks[0].Node != other || o.tasks[0].Model != "vec" {
		t.Errorf("%v by %+v", out, o.tasks)
	}
	b = begins(t, g, key, endpoint, asks("a", endpoint, `{"model":"vec@a","input":"x"}`))
	if b = becomes(t, g, key, b["id"].(string), "failed"); !strings.Contains(at(b, "errors", "data", 0, "message").(string), "vec@a") {
		t.Errorf("%v", b)
	}
}

// A task of the swarm's own interface names its node by its field, or by the header as others do.
func TestNodeOfATask(t *testing.T) {
	t.Parallel()
	const away = "myco-222222222222" // which no list has, and a task may wait for
	for name, tt := range map[string]struct {
		field, header string
		status        int
		want          bus.NodeID
		says          string
	}{
		"neither": {"", "", 200, "", ""}, "name": {"b", "", 200, other, ""}, "id": {string(other), "", 200, other, ""}, "beginning": {"ba98", "", 200, other, ""},
		"an id of nobody here": {away, "", 200, away, ""}, "header": {"", "b", 200, other, ""}, "both": {string(other), "b", 200, other, ""},
		"nobody":          {"nobody", "", 400, "", `node: this swarm has no node \"nobody\", but a, b, c","hint":"name one of these, or none"`},
		"header, nobody":  {"", "nobody", 404, "", `X-Myco-Node: this swarm has no node`},
		"each another":    {"a", "b", 400, "", "leave one of them out"},
		"of another kind": {"7", "", 400, "", `no node \"7\"`},
	} {
		for _, how := range []string{"", "?durable=1", "?events=1"} {
			o, g := newOracle(t, paris())
			w := call(t, g, http.MethodPost, "/task"+how, `{"type":"ping","node":"`+tt.field+`"}`, "X-Myco-Node", tt.header)
			tasks := slices.Concat(o.ran, o.enqueued, o.tasks)
			if ok := w.Code == tt.status || w.Code == 202 && tt.status == 200; !ok || !strings.Contains(w.Body.String(), tt.says) || (len(tasks) == 1) != (tt.status == 200) {
				t.Errorf("%s, %s: %d %s, %d tasks", name, how, w.Code, w.Body, len(tasks))
			}
			for _, task := range tasks {
				if task.Node != tt.want {
					t.Errorf("%s, %s: a task for %q", name, how, task.Node)
				}
			}
		}
	}
	s := &swarm{err: bus.Errorf(bus.CodeNoWorker, "it is lost").WithHint("leave the node open, without --node, or wait until it is back: myco swarm")}
	if w := call(t, newGateway(t, s), http.MethodPost, "/task", `{"type":"ping"}`); !strings.Contains(w.Body.String(), `"leave the node open, or wait until it is back: myco swarm"`) {
		t.Errorf("a flag of a command: %s", w.Body)
	}
}

// A name beyond ASCII is understood as clients send it, and two headers are no choice.
func TestNodeHeader(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		lines  []string
		status int
		says   string
	}{
		"UTF-8": {[]string{"büro"}, 200, ""}, "Latin-1": {[]string{"b\xfcro"}, 200, ""}, "nobody, in Latin-1": {[]string{"k\xfcche"}, 404, `no node \"küche\", but a, büro, c`},
		"two": {[]string{"a", "büro"}, 400, "the request has 2 headers X-Myco-Node, and one node can do it"}, "one, twice": {[]string{"a", "a"}, 400, "send one"},
		"an empty one before": {[]string{"", "a"}, 400, "send one"},
	} {
		for _, ask := range [][2]string{
			{"/v1/chat/completions", hello + `}`},
			{"/api/web_search", `{"query":"x"}`},
			{"/task", `{"type":"ping"}`},
			{"/task?events=1", `{"type":"ping"}`},
			{"/api/pull", `{"model":"m"}`},
			{"/api/delete", `{"model":"m"}`},
		} {
			o, g := newOracle(t, answers)
			o.nodes[1].Name = "büro"
			method := http.MethodPost
			if ask[0] == "/api/delete" {
				method = http.MethodDelete
			}
			w := call(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.Header["X-Myco-Node"] = tt.lines
				g.ServeHTTP(w, r)
			}), method, ask[0], ask[1])
			says := tt.says
			if strings.Contains(ask[0], "api/pull") || strings.Contains(ask[0], "api/delete") {
				says = strings.Replace(says, `no node \"küche\", but a, büro, c`, `called \"küche\"`, 1)
			}
			tasks := slices.Concat(o.ran, o.tasks)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), says) || (len(tasks) > 0) != (tt.status == 200) || len(tasks) > 0 && tasks[0].Node != other {
				t.Errorf("%s, %s: %d %s, tasks %+v, want %d, %s", name, ask[0], w.Code, w.Body, tasks, tt.status, says)
			}
		}
	}
}

// Who takes a task's model for one with its node behind it is told where the node goes, whether the task would wait or not.
func TestNodeBehindTheModelOfATask(t *testing.T) {
	t.Parallel()
	for model, status := range map[string]int{"m@b": 400, "m:latest@b": 400, "m@nobody": 200, "q@4bit": 200, "m": 200} {
		for _, how := range []string{"", "?durable=1", "?events=1"} {
			o, g := newOracle(t, paris())
			o.nodes[1].Models = append(o.nodes[1].Models, bus.ModelInfo{Name: "q@4bit"})
			o.nodes = append(o.nodes, bus.NodeInfo{ID: "myco-111111111111", Name: "4bit", State: bus.NodeReady})
			w := call(t, g, http.MethodPost, "/task"+how, `{"type":"inference","model":"`+model+`","payload":{"prompt":"x"}}`)
			tasks, name := slices.Concat(o.ran, o.enqueued, o.tasks), strings.TrimSuffix(model, "@b")
			hint := `name the node by itself: \"model\":\"` + name + `\",\"node\":\"b\"`
			if (w.Code == 400) != (status == 400) || (len(tasks) == 1) != (status == 200) || (status == 400) != strings.Contains(w.Body.String(), hint) {
				t.Errorf("%s, %s: %d %s, %d tasks", model, how, w.Code, w.Body, len(tasks))
			}
		}
	}
}

// A path with a slash too many is told without it.
func TestPathWithASlash(t *testing.T) {
	t.Parallel()
	_, g := newOracle(t, paris())
	for path, want := range map[string]string{"/tasks/": "GET /tasks, without the slash at the end", "/nothing/": `"hint":"GET /status"`, "/nothing": `"hint":"GET /status"`} {
		if w := call(t, g, http.MethodGet, path, ""); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s, want %s", path, w.Code, w.Body, want)
		}
	}
}
