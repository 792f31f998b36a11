package gateway_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// pulls tells of progress, as an Ollama does.
func pulls(_ bus.Task, out func(bus.Chunk) error) (any, error) {
	for i, p := range []bus.PullProgress{{Status: "pulling manifest"}, {Status: "pulling abc", Digest: "sha256:abc", Total: 9, Completed: 4}} {
		data, err := json.Marshal(p)
		if err == nil {
			err = out(bus.Chunk{Attempt: 1, Seq: i, Node: other, Data: data})
		}
		if err != nil {
			return nil, err
		}
	}
	return bus.ModelsReply{Model: "m"}, nil
}

// A pull goes to one node, as a task, and its progress comes in Ollama's words.
func TestPull(t *testing.T) {
	t.Parallel()
	o, g := newOracle(t, pulls)
	w := local(t, g, "POST", "/api/pull", `{"model":"new","insecure":true}`)
	want := `{"status":"pulling manifest"}
{"status":"pulling abc","digest":"sha256:abc","total":9,"completed":4}
{"status":"success"}
`
	if w.Code != http.StatusOK || w.Body.String() != want || w.Header().Get("Content-Type") != "application/x-ndjson" || w.Header().Get("X-Myco-Node") != string(other) {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	if len(o.tasks) != 1 || o.tasks[0].Type != bus.TypePull || o.tasks[0].Node != other || string(o.tasks[0].Payload) != `{"model":"new","insecure":true}` {
		t.Errorf("tasks %+v, want one to the node with the better GPU", o.tasks)
	}
	for header, node := range map[string]bus.NodeID{"a": self, string(self): self, "b": other} {
		o, g := newOracle(t, pulls)
		w := local(t, g, "POST", "/api/pull", `{"name":"new","stream":false}`, "X-Myco-Node", header)
		if w.Code != http.StatusOK || strings.TrimSpace(w.Body.String()) != `{"status":"success"}` || len(o.tasks) != 1 || o.tasks[0].Node != node {
			t.Errorf("pinned to %s: %d %s, tasks %+v", header, w.Code, w.Body, o.tasks)
		}
	}
	for body, status := range map[string]int{`{}`: 400, `{"model":""}`: 400, `{"model":"` + strings.Repeat("x", 257) + `"}`: 400, `{"model":7}`: 400} {
		if w := local(t, g, "POST", "/api/pull", body); w.Code != status {
			t.Errorf("%s: %d %s, want %d", body, w.Code, w.Body, status)
		}
	}
	if w := local(t, g, "POST", "/api/pull", `{"model":"new"}`, "X-Myco-Node", "c"); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "node c is not there: it is lost") {
		t.Errorf("pinned to a node that is lost: %d %s", w.Code, w.Body)
	}
}

// What fails before there is progress is a status, and later a line.
func TestPullFails(t *testing.T) {
	t.Parallel()
	missing := bus.Errorf(bus.CodeNotFound, "file does not exist")
	_, g := newOracle(t, fails(missing))
	if w := local(t, g, "POST", "/api/pull", `{"model":"new"}`); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), `{"error":"file does not exist`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	_, g = newOracle(t, func(task bus.Task, out func(bus.Chunk) error) (any, error) {
		if _, err := pulls(task, out); err != nil {
			return nil, err
		}
		return nil, missing
	})
	w := local(t, g, "POST", "/api/pull", `{"model":"new"}`)
	if got := lines(t, w); w.Code != http.StatusOK || len(got) != 3 || got[2]["error"] != "file does not exist" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// A model is deleted on every node that has it, or where it is said; without a key here alone.
func TestDelete(t *testing.T) {
	t.Parallel()
	deletes := func(task bus.Task, _ func(bus.Chunk) error) (any, error) { return bus.ModelsReply{Model: "m"}, nil }
	for name, c := range map[string]struct {
		keyless bool
		body    string
		node    string
		status  int
		on      []bus.NodeID
		says    string
	}{
		"everywhere":          {false, `{"model":"m"}`, "", 200, []bus.NodeID{self, other}, `{"status":"success","nodes":["a","b"]}`},
		"by its older name":   {false, `{"name":"m:latest"}`, "", 200, []bus.NodeID{self, other}, `"nodes":["a","b"]`},
		"on one":              {false, `{"model":"m"}`, "b", 200, []bus.NodeID{other}, `"nodes":["b"]`},
		"a model for vectors": {false, `{"model":"vec"}`, "", 200, []bus.NodeID{other}, `"nodes":["b"]`},
		"nobody's":            {false, `{"model":"none"}`, "", 404, nil, "model 'none' not found"},
		"of a lost node":      {false, `{"model":"gone"}`, "", 404, nil, "not found"},
		"a node without it":   {false, `{"model":"vec"}`, "a", 404, nil, "no node called a"},
		"on a lost one":       {false, `{"model":"gone"}`, "c", 503, nil, "node c is not there: it is lost"},
		"no node":             {false, `{"model":"m"}`, "z", 404, nil, `called \"z\"`},
		"no model":            {false, `{}`, "", 400, nil, "model is required"},
		"here, without a key": {true, `{"model":"m"}`, "", 200, []bus.NodeID{self}, `"nodes":["a"],"kept":["b"]`},
		"there, without one":  {true, `{"model":"m"}`, "b", 403, nil, "myco key create --admin"},
		"theirs, without one": {true, `{"model":"vec"}`, "", 403, nil, "is on b"},
	} {
		o, g := newOracle(t, deletes)
		auth := "Bearer " + key
		if c.keyless {
			auth = ""
		}
		w := local(t, g, "DELETE", "/api/delete", c.body, "X-Myco-Node", c.node, "Authorization", auth)
		var on []bus.NodeID
		for _, task := range o.tasks {
			on = append(on, task.Node)
		}
		slices.Sort(on)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) || !slices.Equal(on, c.on) {
			t.Errorf("%s: %d %s on %v, want %d, %s, on %v", name, w.Code, w.Body, on, c.status, c.says, c.on)
		}
	}
}

// What fails on a node is told, and where the model is gone all the same.
func TestDeleteFailsOnANode(t *testing.T) {
	t.Parallel()
	_, g := newOracle(t, func(task bus.Task, _ func(bus.Chunk) error) (any, error) {
		if task.Node == other {
			return nil, bus.Errorf(bus.CodeUnavailable, "the engine is down")
		}
		return bus.ModelsReply{}, nil
	})
	w := local(t, g, "DELETE", "/api/delete", `{"model":"m"}`, "Authorization", "Bearer "+key)
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "b: the engine is down; it is deleted on a") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	_, g = newOracle(t, fails(bus.Errorf(bus.CodeNotFound, "gone")))
	if w := local(t, g, "DELETE", "/api/delete", `{"model":"m"}`, "Authorization", "Bearer "+key); w.Code != http.StatusNotFound {
		t.Errorf("gone meanwhile: %d %s", w.Code, w.Body)
	}
}
