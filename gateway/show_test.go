package gateway_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/gateway"
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
		"it has no Ollama that tells":  {managing, replies(nil), 0, false, false},
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

// A node that stands behind the model tells, and no other does where it cannot.
func TestShowAsksTheNodeBehindTheModel(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		behind string
		types  []string // of the other node
		asked  []bus.NodeID
	}{
		"by name": {"b", telling, []bus.NodeID{other}}, "by id": {string(other), telling, []bus.NodeID{other}}, "this one": {"a", telling, []bus.NodeID{self}},
		"a node without Ollama": {"b", managing, nil},
	} {
		o, g := newOracle(t, replies(bus.ShowReply{Show: []byte(`{"template":"x"}`)}))
		o.nodes[0].Types, o.nodes[1].Types = telling, c.types
		w := local(t, g, "POST", "/api/show", `{"model":"m@`+c.behind+`"}`)
		var asked []bus.NodeID
		for _, task := range o.tasks {
			asked = append(asked, task.Node)
		}
		if w.Code != http.StatusOK || !slices.Equal(asked, c.asked) {
			t.Errorf("%s: %d %s, asked %v, want %v", name, w.Code, w.Body, asked, c.asked)
		}
	}
}

// hanging is an oracle some of whose nodes say nothing, until who asks leaves, or a second after the time of the task.
type hanging struct {
	*oracle
	nodes []bus.NodeID
	left  chan bus.NodeID // those that were left
}

func (h *hanging) Stream(ctx context.Context, t bus.Task, out func(bus.Chunk) error) (bus.TaskInfo, error) {
	if !slices.Contains(h.nodes, t.Node) {
		return h.oracle.Stream(ctx, t, out)
	}
	select {
	case <-ctx.Done():
		h.left <- t.Node
		return bus.TaskInfo{}, ctx.Err()
	case <-time.After(t.Timeout + time.Second):
		return bus.TaskInfo{}, bus.Errorf(bus.CodeExpired, "its time is over")
	}
}

// A node whose engine hangs does not keep another from telling.
func TestShowAsksTheNext(t *testing.T) {
	t.Parallel()
	const third = bus.NodeID("myco-cccccccccccc")
	for name, c := range map[string]struct {
		hang, fail []bus.NodeID
		tells      bus.NodeID
		after      time.Duration
	}{
		"all are well":              {nil, nil, self, 0},
		"one hangs":                 {[]bus.NodeID{self}, nil, other, time.Second},
		"two hang":                  {[]bus.NodeID{self, other}, nil, third, 2 * time.Second},
		"one hangs, the next fails": {[]bus.NodeID{self}, []bus.NodeID{other}, third, time.Second},
		"two fail":                  {nil, []bus.NodeID{self, other}, third, 0},
		"all fail":                  {nil, []bus.NodeID{self, other, third}, "", 0},
		"all hang":                  {[]bus.NodeID{self, other, third}, nil, "", 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o, _ := newOracle(t, func(t bus.Task, _ func(bus.Chunk) error) (any, error) {
					if slices.Contains(c.fail, t.Node) {
						return nil, bus.Errorf(bus.CodeUnavailable, "down")
					}
					return bus.ShowReply{Show: []byte(`{"template":"` + t.Node + `"}`)}, nil
				})
				o.nodes[2] = o.nodes[1]
				o.nodes[2].ID = third
				for i := range o.nodes {
					o.nodes[i].Types = telling
				}
				h := &hanging{o, c.hang, make(chan bus.NodeID, len(o.nodes))}
				g, err := gateway.New(gateway.Config{Swarm: h, Key: key})
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				w := local(t, g, "POST", "/api/show", `{"model":"m"}`)
				if took := time.Since(start); took > c.after {
					t.Errorf("the answer took %v, want %v at most", took, c.after)
				}
				if v := object(t, w); w.Code != http.StatusOK || w.Header().Get("X-Myco-Node") != string(c.tells) || at(v, "template") != string(c.tells) {
					t.Errorf("%d %v %s, want it of %q", w.Code, w.Header(), w.Body, c.tells)
				}
				for range c.hang {
					select {
					case <-h.left:
					case <-time.After(time.Minute):
						t.Error("a node that hangs is asked for ever")
					}
				}
			})
		})
	}
}

// stuck is an oracle whose results are large, and do not come.
type stuck struct{ *oracle }

func (s stuck) Stream(ctx context.Context, t bus.Task, out func(bus.Chunk) error) (bus.TaskInfo, error) {
	info, err := s.oracle.Stream(ctx, t, out)
	info.Result, info.ResultBlob = nil, &bus.Blob{SHA256: strings.Repeat("0", 64), Size: 3 << 20}
	return info, err
}

func (stuck) Whole(ctx context.Context, _ *bus.TaskInfo, _ bool) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// A node that tells, and whose answer does not come, is not waited for longer than one that says nothing.
func TestShowDoesNotWaitForALargeAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o, _ := newOracle(t, func(bus.Task, func(bus.Chunk) error) (any, error) { return bus.ShowReply{}, nil })
		for i := range o.nodes {
			o.nodes[i].Types = telling
		}
		g, err := gateway.New(gateway.Config{Swarm: stuck{o}, Key: key})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if w := local(t, g, "POST", "/api/show", `{"model":"m"}`); w.Code != http.StatusOK || time.Since(start) > 10*time.Second {
			t.Errorf("%d %s after %v", w.Code, w.Body, time.Since(start))
		}
	})
}
