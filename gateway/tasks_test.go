package gateway_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/gateway"
)

// working is a swarm with tasks.
type working struct {
	*oracle
	tasks     []bus.TaskInfo
	cancelled []bus.TaskID
}

func (b *working) Tasks(context.Context) ([]bus.TaskInfo, error) { return slices.Clone(b.tasks), nil }

func (b *working) Cancel(_ context.Context, id bus.TaskID) (bus.TaskInfo, error) {
	i := slices.IndexFunc(b.tasks, func(t bus.TaskInfo) bool { return t.ID == id })
	if i < 0 {
		return bus.TaskInfo{}, bus.Errorf(bus.CodeNotFound, "no node of the swarm knows task %s", id).WithHint("myco task ls")
	}
	b.cancelled = append(b.cancelled, id)
	t := b.tasks[i]
	t.Result = json.RawMessage(`{"text":"secret"}`)
	if !t.State.Terminal() {
		t.State, t.Result = bus.StateCancelled, nil
	}
	return t, nil
}

func newWorking(t *testing.T) (b *working, g *gateway.Gateway, admin string) {
	t.Helper()
	at := func(s int) time.Time { return time.Unix(int64(s), 5).UTC() }
	o, _ := newOracle(t, paris())
	b = &working{oracle: o, tasks: []bus.TaskInfo{
		{ID: "t2", Type: "echo", State: bus.StateRunning, NodeID: other, Submitter: self, Submitted: at(2)},
		{ID: "t1", Type: bus.TypeInference, Model: "m:latest", State: bus.StateQueued, Submitter: self, Submitted: at(1), Durable: true, Copies: 2},
		{ID: "t3b", Type: "echo", State: bus.StateDone, NodeID: self, Submitted: at(3)},
		{ID: "t3a", Type: bus.TypeInference, Model: "n:1b", State: bus.StateFailed, NodeID: other, Submitted: at(3), Error: bus.Errorf(bus.CodeFailed, "no")},
		{ID: "t4", Type: bus.TypeInference, Model: "m:latest", State: bus.StateDone, NodeID: other, Submitted: at(4), Part: true},
		{ID: "t5", Type: bus.TypeShow, State: bus.StateDone, NodeID: other, Submitted: at(5)},
		{ID: "t6", Type: "echo", State: bus.StateRunning, NodeID: other, Submitted: at(6), Part: true},
	}}
	mine, admin := made("admin", bus.KeyRequest{Name: "admin", Admin: true})
	g, err := gateway.New(gateway.Config{Swarm: b, Key: key, Keys: []gateway.Key{mine}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return b, g, admin
}

// page is what GET /tasks answers.
type page struct {
	Tasks []bus.TaskInfo `json:"tasks"`
	Next  string         `json:"next"`
	Cut   bool           `json:"cut"`
}

func (p page) ids() (out string) {
	for _, t := range p.Tasks {
		out += " " + string(t.ID)
	}
	return strings.TrimSpace(out)
}

func list(t *testing.T, g http.Handler, query string) (p page, w *httptest.ResponseRecorder) {
	t.Helper()
	w = call(t, g, http.MethodGet, "/tasks"+query, "")
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != http.StatusOK || p.Tasks == nil {
		t.Fatalf("%s: %d %s: %v", query, w.Code, w.Body, err)
	}
	return p, w
}

func TestListTasks(t *testing.T) {
	t.Parallel()
	_, g, _ := newWorking(t)
	for query, want := range map[string]string{
		"":                               "t6 t3a t3b t2 t1",
		"?all=1":                         "t6 t5 t4 t3a t3b t2 t1",
		"?state=running":                 "t6 t2",
		"?state=queued&state=failed":     "t3a t1",
		"?state=queued,failed&type=echo": "",
		"?type=echo":                     "t6 t3b t2",
		"?type=show&all=true":            "t5",
		"?model=m":                       "t1",
		"?node=a":                        "t3b",
		"?node=b&type=inference":         "t3a",
		"?node=" + string(other):         "t6 t3a t2",
		"?node=b,a":                      "t6 t3a t3b t2",
		"?node=":                         "t6 t3a t3b t2 t1",
	} {
		if p, w := list(t, g, query); p.ids() != want || p.Next != "" || p.Cut {
			t.Errorf("%s: %s, next %q, cut %v, want %s: %s", query, p.ids(), p.Next, p.Cut, want, w.Body)
		}
	}
	w := call(t, g, http.MethodGet, "/tasks?state=queued", "")
	if want := `{"tasks":[{"id":"t1","type":"inference","model":"m:latest","state":"queued","attempts":0,"submitter":"` + string(self) +
		`","durable":true,"copies":2,"submitted":"1970-01-01T00:00:01.000000005Z"}]}` + "\n"; w.Body.String() != want {
		t.Errorf("an item is not as in GET /task/ID: %s", w.Body)
	}
	for query, word := range map[string]string{
		"?state=waiting": "queued, running", "?limit=0": "1 to 1000", "?limit=1001": "1 to 1000", "?limit=x": "1 to 1000", "?after=t1": "next",
		"?after=1.a.b": "next", "?all=yes": "0 or 1", "?sate=done": `unknown parameter \"sate\"`, "?state=%zz": "read the address",
	} {
		w := call(t, g, http.MethodGet, "/tasks"+query, "")
		if wants(t, query, w, http.StatusBadRequest, bus.CodeInvalid); !strings.Contains(w.Body.String(), word) {
			t.Errorf("%s: no word of %q: %s", query, word, w.Body)
		}
	}
	w = call(t, g, http.MethodGet, "/tasks?node=nobody", "")
	if wants(t, "a node that nobody is", w, http.StatusNotFound, bus.CodeNotFound); !strings.Contains(w.Body.String(), `"GET /peers"`) {
		t.Errorf("no word of what to do: %s", w.Body)
	}
}

// Pages follow each other without a gap, also where a task is gone between two of them, or new ones have come.
func TestTasksInPages(t *testing.T) {
	t.Parallel()
	b, g, _ := newWorking(t)
	p, _ := list(t, g, "?limit=2")
	if p.ids() != "t6 t3a" || p.Next == "" {
		t.Fatalf("the first page has %s, next %q", p.ids(), p.Next)
	}
	b.tasks = slices.DeleteFunc(b.tasks, func(t bus.TaskInfo) bool { return t.ID == "t3a" })
	b.tasks = append(b.tasks, bus.TaskInfo{ID: "t7", Type: "echo", Submitted: time.Unix(7, 0)})
	if p, _ = list(t, g, "?limit=2&after="+p.Next); p.ids() != "t3b t2" || p.Next == "" {
		t.Fatalf("the second page has %s, next %q", p.ids(), p.Next)
	}
	if p, _ = list(t, g, "?limit=2&after="+p.Next); p.ids() != "t1" || p.Next != "" {
		t.Errorf("the last page has %s, next %q", p.ids(), p.Next)
	}
	for i := len(b.tasks); i < bus.MaxListed; i++ { // of which one is left out
		b.tasks = append(b.tasks, bus.TaskInfo{ID: bus.NewTaskID(), Type: "echo", State: bus.StateDone})
	}
	if p, _ := list(t, g, "?state=queued"); p.Cut {
		t.Errorf("tasks are missing of %d", len(b.tasks))
	}
	b.tasks = append(b.tasks, b.tasks[len(b.tasks)-1])
	if p, _ := list(t, g, "?state=queued"); !p.Cut {
		t.Errorf("no word that tasks may be missing of %d", len(b.tasks))
	}
}

func TestCancelTask(t *testing.T) {
	t.Parallel()
	b, g, admin := newWorking(t)
	for id, want := range map[string]bus.TaskState{"t1": bus.StateCancelled, "t2": bus.StateCancelled, "t3b": bus.StateDone} {
		w := call(t, g, http.MethodDelete, "/task/"+id, "")
		var info bus.TaskInfo
		if err := json.Unmarshal(w.Body.Bytes(), &info); err != nil || w.Code != http.StatusOK || info.State != want || string(info.ID) != id {
			t.Errorf("%s: %d %s: %v", id, w.Code, w.Body, err)
		}
		if strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s: the result is told: %s", id, w.Body)
		}
	}
	w := call(t, g, http.MethodDelete, "/task/t9", "")
	if wants(t, "an unknown one", w, http.StatusNotFound, bus.CodeNotFound); !strings.Contains(w.Body.String(), `"GET /tasks"`) {
		t.Errorf("no word of what to do: %s", w.Body)
	}
	wants(t, "a bad id", call(t, g, http.MethodDelete, "/task/a.b", ""), http.StatusBadRequest, bus.CodeInvalid)
	b.cancelled = nil
	for name, header := range map[string][]string{
		"no key": {"Authorization", ""}, "a wrong key": {"Authorization", "Bearer wrong"}, "a page": {"Origin", "http://evil.example"},
		"an admin's key": {"Authorization", "Bearer " + admin},
	} {
		for _, ask := range []struct{ method, path string }{{http.MethodDelete, "/task/t2"}, {http.MethodGet, "/tasks"}, {http.MethodGet, "/task/t2/why"}} {
			w := from(t, g, "127.0.0.1:5", ask.method, ask.path, "", header...)
			if got := w.Code; got != http.StatusUnauthorized && got != http.StatusForbidden && (header[0] != "Origin" || ask.method != http.MethodGet) {
				t.Errorf("%s: %s %s: %d %s", name, ask.method, ask.path, got, w.Body)
			}
			if w.Header().Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s: %s %s: pages of others may read the answer", name, ask.method, ask.path)
			}
		}
	}
	if len(b.cancelled) > 0 {
		t.Errorf("others have cancelled %v", b.cancelled)
	}
}

func TestWhyOverHTTP(t *testing.T) {
	t.Parallel()
	_, g, _ := newWorking(t)
	if w := call(t, g, http.MethodGet, "/task/t1/why", ""); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"task_id":"t1"`) {
		t.Errorf("why: %d %s", w.Code, w.Body)
	}
	wants(t, "a bad id", call(t, g, http.MethodGet, "/task/a.b/why", ""), http.StatusBadRequest, bus.CodeInvalid)
	for _, path := range []string{"/tasks", "/task/t1", "/task/t1/why"} {
		if w := call(t, g, http.MethodHead, path, ""); w.Code != http.StatusOK {
			t.Errorf("HEAD %s: %d", path, w.Code)
		}
	}
}
