package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/bus"
)

// What an Ollama tells of a model comes from the node that has it, as a task; without such a node, or where
// it does not tell, it is what nodes know of each other's models.
func TestShow(t *testing.T) {
	t.Parallel()
	const tells = `{"template":"{{ .Prompt }}","license":"MIT","modelfile":"FROM m:latest\n","model_info":{"llama.context_length":64}}`
	known := func(v any) bool {
		return at(v, "model_info", "llama.context_length") == 128.0 && at(v, "template") == "" && at(v, "license") == nil
	}
	for name, c := range map[string]struct {
		types  []string // of the node elsewhere
		says   func(bus.Task, func(bus.Chunk) error) (any, error)
		tasks  int
		whole  bool
		closed bool
	}{
		"an Ollama tells":              {telling, replies(bus.ShowReply{Show: []byte(tells)}), 1, true, false},
		"an older node has it":         {managing, replies(nil), 0, false, false},
		"its Ollama is gone":           {telling, fails(bus.Errorf(bus.CodeUnavailable, "down")), 1, false, false},
		"it says nothing":              {telling, replies(bus.ShowReply{}), 1, false, false},
		"it says what is none":         {telling, replies(bus.ShowReply{Show: []byte(`[1]`)}), 1, false, false},
		"its owner keeps it to itself": {telling, replies(nil), 0, false, true},
	} {
		o, g := newOracle(t, c.says)
		o.nodes[1].Types = c.types
		if c.closed {
			o.nodes[1].Owner = &bus.OwnerUse{Closed: true}
		}
		w := local(t, g, "POST", "/api/show", `{"model":"M","verbose":true}`)
		v := object(t, w)
		if w.Code != http.StatusOK || len(o.tasks) != c.tasks || (w.Header().Get("X-Myco-Node") == string(other)) != c.whole {
			t.Errorf("%s: %d %v %s, %d tasks", name, w.Code, w.Header(), w.Body, len(o.tasks))
			continue
		}
		if c.tasks > 0 {
			if k := o.tasks[0]; k.Type != bus.TypeShow || k.Node != other || string(k.Payload) != `{"model":"m:latest","verbose":true}` || k.Timeout <= 0 {
				t.Errorf("%s: the task is %+v", name, k)
			}
		}
		if d := cmp.Diff(tell(t, tells), any(v)); (d == "") != c.whole || !c.whole && !known(v) {
			t.Errorf("%s: %s", name, w.Body)
		}
	}
}

func replies(v any) func(bus.Task, func(bus.Chunk) error) (any, error) {
	return func(bus.Task, func(bus.Chunk) error) (any, error) { return v, nil }
}

// The node that is asked asks itself first.
func TestShowAsksItself(t *testing.T) {
	t.Parallel()
	o, g := newOracle(t, replies(bus.ShowReply{Show: []byte(`{"template":"x"}`)}))
	o.nodes[0].Types, o.nodes[1].Types = telling, telling
	local(t, g, "POST", "/api/show", `{"model":"m"}`)
	if len(o.tasks) != 1 || o.tasks[0].Node != self {
		t.Errorf("tasks %+v", o.tasks)
	}
	for body, says := range map[string]string{`{}`: "model is required", `{"model":7}`: "model", `{"model":"m","verbose":"very"}`: "verbose"} {
		if w := local(t, g, "POST", "/api/show", body); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), says) {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
}
