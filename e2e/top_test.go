//go:build e2e && linux

package e2e_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// topView is what this test reads of `myco top --json`.
type topView struct {
	TokensPerSecond float64 `json:"tokens_per_second"`
	Waiting         int     `json:"waiting"`
	Nodes           []struct {
		Name            string        `json:"name"`
		State           bus.NodeState `json:"state"`
		Busy            int           `json:"busy"`
		CPUPercent      *float64      `json:"cpu_percent"`
		TokensPerSecond float64       `json:"tokens_per_second"`
	} `json:"nodes"`
	Queues []bus.QueueCount `json:"queues"`
	Tasks  []struct {
		ID    bus.TaskID `json:"id"`
		Name  string     `json:"node_name"`
		Type  string     `json:"type"`
		AgeMS int64      `json:"age_ms"`

		WaitedMS  *int64 `json:"waited_ms"`
		RunningMS int64  `json:"running_ms"`
	} `json:"tasks"`
}

// Two slots write for ever, and a third task waits: top shows all of it, live, from another node, and
// that the worker goes.
func TestTopShowsTheSwarm(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)
	words := make([]string, 20_000)
	for i := range words {
		words[i] = "word "
	}
	e := startEngine(t, s, engine.Config{Name: "e", Ledger: &engine.Ledger{}, Script: func(engine.Request) engine.Script {
		return engine.Script{Words: words, Between: 20 * time.Millisecond, Ending: engine.Hang}
	}})
	a := s.Found(t, "laptop")
	b := s.Join(t, a, "tower", "--engine", e.URL(), "--slots", "2")
	awaitModel(t, a, "tower", engine.Model, true)
	harness.Settle(t, a, b)
	for range 3 {
		a.LaunchMyco(t, "ask", "for ever")
	}
	var v topView
	harness.Poll(t, harness.Patience, "top tells of two running and one waiting", func() string {
		v = topView{}
		r := a.JSON(t, &v, "top")
		if len(v.Tasks) != 2 || v.Waiting != 1 || v.TokensPerSecond < 10 || v.Tasks[0].Type != bus.TypeInference {
			return r.Stdout
		}
		return ""
	})
	for _, n := range v.Nodes {
		if n.CPUPercent == nil || (n.Name == "tower") != (n.Busy == 2) || (n.Name == "tower") != (n.TokensPerSecond > 0) {
			t.Errorf("node %+v", n)
		}
	}
	if len(v.Queues) != 1 || v.Queues[0].Waiting != 1 || v.Queues[0].Running != 2 || v.Queues[0].Class != bus.TypeInference {
		t.Errorf("queues %+v", v.Queues)
	}
	for _, task := range v.Tasks {
		if task.Name != "tower" || task.RunningMS <= 0 || task.WaitedMS == nil || task.AgeMS != task.RunningMS+*task.WaitedMS {
			t.Errorf("task %+v", task)
		}
	}
	x := openTerminal(t, a, nil, "top")
	x.sees("2 of 2 nodes ready, 1 waiting, 2 running", "2/2", string(v.Tasks[0].ID), "q leaves")
	if j, err := json.Marshal(v); err != nil || strings.Contains(x.screen(), "for ever") {
		t.Errorf("top shows a prompt, %s, %v", j, err)
	}
	dumb := openTerminal(t, a, []string{"TERM=dumb"}, "top") // as within editors: one look, and nothing to obey
	dumb.sees("2 of 2 nodes ready", "2/2")
	dumb.left()
	if said := dumb.said.String(); strings.Contains(said, "\x1b") {
		t.Errorf("a dumb terminal is told to obey: %q", said)
	}
	b.Kill()
	x.sees("1 of 2 nodes ready", "lost")
	x.typed("q")
	x.left()
	if s := x.screen(); strings.Contains(s, "q leaves") {
		t.Errorf("what top showed stays on the screen:\n%s", s)
	}
}
