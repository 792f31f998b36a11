package overview

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// View is what a swarm does at one moment.
type View struct {
	Swarm bus.SwarmInfo `json:"swarm"`
	// TokensPerSecond is how fast all live nodes write together.
	TokensPerSecond float64 `json:"tokens_per_second"`
	// Waiting and Running are numbers of tasks. One that began a moment ago may be counted, and not be in Tasks yet.
	Waiting int              `json:"waiting"`
	Running int              `json:"running"`
	Nodes   []Node           `json:"nodes"`  // live ones first, then by name
	Queues  []bus.QueueCount `json:"queues"` // those of all queue hosts
	Tasks   []Task           `json:"tasks"`  // that run, the oldest first
}

// Node is one node in a View.
type Node struct {
	ID   bus.NodeID `json:"id"`
	Name string     `json:"name"`
	// State is never suspect: a node that is late for a moment is shown as ready.
	State bus.NodeState `json:"state"`
	Slots int           `json:"slots"`
	Busy  int           `json:"busy"`
	// Loaded are the names of models that are in memory, Models is the number of all.
	Loaded []string `json:"loaded"`
	Models int      `json:"models"`
	Host   bool     `json:"queue_host"`
	*bus.NodeUse
	// Info is all that the node tells of itself.
	Info bus.NodeInfo `json:"-"`
}

// Task is a task that runs.
type Task struct {
	ID      bus.TaskID `json:"id"`
	Node    bus.NodeID `json:"node_id"`
	Name    string     `json:"node_name"`
	Type    string     `json:"type,omitempty"`
	Model   string     `json:"model,omitempty"`
	Attempt int        `json:"attempt"`
	// AgeMS counts from the submission: it has waited, earlier attempts included, and then run. Where the
	// node does not tell, RunningMS counts from when it was first heard of, and WaitedMS is left out.
	AgeMS     int64  `json:"age_ms"`
	WaitedMS  *int64 `json:"waited_ms,omitempty"`
	RunningMS int64  `json:"running_ms"`
}

// view sorts out what was heard: live nodes first, and the oldest tasks first. The caller holds mu.
func (g *Gather) view(s bus.Status) View {
	v := View{Swarm: s.Swarm, Nodes: []Node{}, Queues: []bus.QueueCount{}, Tasks: []Task{}}
	for _, n := range s.Nodes {
		t := Node{ID: n.ID, Name: n.Name, State: n.State, Slots: n.Slots, Busy: n.Busy, Loaded: []string{}, Models: len(n.Models), Host: n.QueueHost, Info: n}
		if t.State == bus.NodeSuspect {
			t.State = bus.NodeReady // late for a moment
		}
		if t.State.Live() {
			for _, m := range n.Models {
				if m.Loaded {
					t.Loaded = append(t.Loaded, m.Name)
				}
			}
			if t.NodeUse = n.Use; n.Use != nil {
				v.TokensPerSecond += n.Use.TokensPerSecond
			}
			v.Queues = append(v.Queues, n.Queues...)
			for _, r := range g.beats[n.ID].Running {
				v.Tasks = append(v.Tasks, taskOf(n, r, g.begun[r.Task], g.known[r.Task], g.now()))
			}
		} else {
			t.Busy = 0
		}
		v.Nodes = append(v.Nodes, t)
	}
	v.nameModels(s.Nodes)
	busy, claimed := 0, 0
	for _, n := range v.Nodes {
		busy += n.Busy
	}
	for _, q := range v.Queues {
		v.Waiting += q.Waiting
		claimed += q.Running
	}
	v.Running = max(len(v.Tasks), busy, claimed) // what began after the last heartbeat is not listed yet
	slices.SortStableFunc(v.Nodes, func(a, b Node) int {
		return cmp.Or(rank(a.State)-rank(b.State), strings.Compare(a.Name, b.Name), strings.Compare(string(a.ID), string(b.ID)))
	})
	slices.SortFunc(v.Tasks, func(a, b Task) int {
		return cmp.Or(cmp.Compare(b.AgeMS, a.AgeMS), strings.Compare(string(a.ID), string(b.ID)))
	})
	return v
}

// nameModels calls each model as the nodes do that have it: a queue has its name with the tag, and a task as it was asked for.
func (v *View) nameModels(nodes []bus.NodeInfo) {
	names := map[string]string{}
	for _, n := range nodes {
		for _, m := range slices.Concat(n.Models, n.Embedders) {
			if c := bus.CanonicalModel(m.Name); n.State.Live() && (names[c] == "" || m.Name < names[c]) {
				names[c] = m.Name
			}
		}
	}
	called := func(model string) string { return cmp.Or(names[bus.CanonicalModel(model)], model) }
	for i := range v.Queues {
		v.Queues[i].Model = called(v.Queues[i].Model)
	}
	for i := range v.Tasks {
		v.Tasks[i].Model = called(v.Tasks[i].Model)
	}
}

func taskOf(n bus.NodeInfo, r bus.Running, at run, known bus.TaskInfo, now time.Time) Task {
	t := Task{ID: r.Task, Node: n.ID, Name: n.Name, Type: known.Type, Model: known.Model, Attempt: r.Attempt}
	if !at.at.IsZero() {
		t.RunningMS = max(0, now.Sub(at.at).Milliseconds())
	}
	t.AgeMS = t.RunningMS
	switch {
	case at.told:
		t.WaitedMS = new(at.waited.Milliseconds())
		t.AgeMS += *t.WaitedMS
	case !known.Submitted.IsZero():
		t.AgeMS = max(t.AgeMS, now.Sub(known.Submitted).Milliseconds())
	}
	return t
}

func rank(s bus.NodeState) int {
	return slices.Index([]bus.NodeState{bus.NodeReady, bus.NodeDraining, bus.NodeIncompatible, bus.NodeLost}, s)
}
