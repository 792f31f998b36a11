package main

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// topGather keeps what heartbeats tell, and makes views of it.
type topGather struct {
	conn *bus.Conn
	now  func() time.Time
	news chan struct{} // something was heard

	mu     sync.Mutex
	beats  map[bus.NodeID]bus.Heartbeat
	begun  map[bus.TaskID]topRun
	known  map[bus.TaskID]bus.TaskInfo
	listed time.Time
}

// topRun is one attempt of a running task.
type topRun struct {
	attempt int
	at      time.Time // when it began by this machine's clock; when it was first heard of, if told is not set
	waited  time.Duration
	told    bool
}

// runOf is what a heartbeat that was heard at now tells of a run.
func runOf(b bus.Heartbeat, r bus.Running, now time.Time) topRun {
	if r.BeganMS == 0 || b.WallMS == 0 {
		return topRun{attempt: r.Attempt, at: now}
	}
	ran := max(b.WallMS-r.BeganMS, 0)
	return topRun{
		attempt: r.Attempt, at: now.Add(-time.Duration(ran) * time.Millisecond),
		waited: time.Duration(max(r.WaitedMS, 0)) * time.Millisecond, told: true,
	}
}

func newTopGather(conn *bus.Conn, now func() time.Time) *topGather {
	return &topGather{
		conn: conn, now: now, news: make(chan struct{}, 1), beats: map[bus.NodeID]bus.Heartbeat{},
		begun: map[bus.TaskID]topRun{}, known: map[bus.TaskID]bus.TaskInfo{},
	}
}

// listen takes heartbeats in until ctx ends, over every connection to the daemon.
func (g *topGather) listen(ctx context.Context) {
	for ctx.Err() == nil {
		for b, err := range g.conn.WatchHeartbeats(ctx) {
			if err != nil {
				break
			}
			g.hear(b)
		}
		select { // the daemon is away
		case <-ctx.Done():
		case <-time.After(topEvery):
		}
	}
}

func (g *topGather) hear(b bus.Heartbeat) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.beats[b.Node] = b
	for _, r := range b.Running {
		if old, ok := g.begun[r.Task]; !ok || old.attempt != r.Attempt {
			g.begun[r.Task] = runOf(b, r, g.now())
		}
	}
	select {
	case g.news <- struct{}{}:
	default:
	}
}

// settled is look, once every live node was heard, or after topListen.
func (g *topGather) settled(ctx context.Context) (topView, error) {
	limit := time.After(topListen)
	for {
		v, err := g.look(ctx)
		if err != nil || g.heardAll(v) {
			return v, err
		}
		select {
		case <-limit:
			return v, nil
		case <-ctx.Done():
			return v, ctx.Err()
		case <-g.news:
		}
	}
}

func (g *topGather) heardAll(v topView) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, n := range v.Nodes {
		if _, ok := g.beats[n.ID]; !ok && n.State.Live() {
			return false
		}
	}
	return true
}

// look makes a view of now.
func (g *topGather) look(ctx context.Context) (topView, error) {
	s, err := g.conn.Status(ctx)
	if err != nil {
		return topView{}, err
	}
	g.name(ctx, s.Nodes)
	g.mu.Lock()
	defer g.mu.Unlock()
	return viewTop(s, g.beats, g.begun, g.known, g.now()), nil
}

// name asks what the running tasks are, where one of them is new, and forgets the others.
func (g *topGather) name(ctx context.Context, nodes []bus.NodeInfo) {
	g.mu.Lock()
	running, fresh := map[bus.TaskID]bool{}, false
	for _, n := range nodes {
		for _, r := range g.beats[n.ID].Running {
			running[r.Task] = true
			fresh = fresh || g.known[r.Task].ID == ""
		}
	}
	for id := range g.begun {
		if !running[id] {
			delete(g.begun, id)
			delete(g.known, id)
		}
	}
	ask := fresh && g.now().Sub(g.listed) >= topEvery
	if ask {
		g.listed = g.now()
	}
	g.mu.Unlock()
	if !ask {
		return
	}
	tasks, err := g.conn.Tasks(ctx)
	if err != nil {
		return // their ids are shown
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, t := range tasks {
		if running[t.ID] {
			g.known[t.ID] = t
		}
	}
}

// topView is what top --json prints.
type topView struct {
	Swarm           bus.SwarmInfo    `json:"swarm"`
	TokensPerSecond float64          `json:"tokens_per_second"`
	Waiting         int              `json:"waiting"`
	Running         int              `json:"running"`
	Nodes           []topNode        `json:"nodes"`
	Queues          []bus.QueueCount `json:"queues"`
	Tasks           []topTask        `json:"tasks"`
}

type topNode struct {
	ID     bus.NodeID    `json:"id"`
	Name   string        `json:"name"`
	State  bus.NodeState `json:"state"`
	Slots  int           `json:"slots"`
	Busy   int           `json:"busy"`
	Loaded []string      `json:"loaded"`
	Models int           `json:"models"`
	Host   bool          `json:"queue_host"`
	*bus.NodeUse
}

type topTask struct {
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

// viewTop sorts out what was heard: live nodes first, the busiest queues and the oldest tasks first.
func viewTop(s bus.Status, beats map[bus.NodeID]bus.Heartbeat, begun map[bus.TaskID]topRun, known map[bus.TaskID]bus.TaskInfo, now time.Time) topView {
	v := topView{Swarm: s.Swarm, Nodes: []topNode{}, Queues: []bus.QueueCount{}, Tasks: []topTask{}}
	for _, n := range s.Nodes {
		t := topNode{ID: n.ID, Name: n.Name, State: n.State, Slots: n.Slots, Busy: n.Busy, Loaded: []string{}, Models: len(n.Models), Host: n.QueueHost}
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
			for _, r := range beats[n.ID].Running {
				v.Tasks = append(v.Tasks, viewRun(n, r, begun[r.Task], known[r.Task], now))
			}
		} else {
			t.Busy = 0
		}
		v.Nodes = append(v.Nodes, t)
	}
	for _, q := range v.Queues {
		v.Waiting += q.Waiting
	}
	v.Running = len(v.Tasks)
	slices.SortStableFunc(v.Nodes, func(a, b topNode) int {
		return cmp.Or(rank(a.State)-rank(b.State), strings.Compare(a.Name, b.Name), strings.Compare(string(a.ID), string(b.ID)))
	})
	slices.SortFunc(v.Tasks, func(a, b topTask) int {
		return cmp.Or(cmp.Compare(b.AgeMS, a.AgeMS), strings.Compare(string(a.ID), string(b.ID)))
	})
	return v
}

func viewRun(n bus.NodeInfo, r bus.Running, run topRun, known bus.TaskInfo, now time.Time) topTask {
	t := topTask{ID: r.Task, Node: n.ID, Name: n.Name, Type: known.Type, Model: known.Model, Attempt: r.Attempt}
	if !run.at.IsZero() {
		t.RunningMS = max(0, now.Sub(run.at).Milliseconds())
	}
	t.AgeMS = t.RunningMS
	switch {
	case run.told:
		t.WaitedMS = new(run.waited.Milliseconds())
		t.AgeMS += *t.WaitedMS
	case !known.Submitted.IsZero():
		t.AgeMS = max(t.AgeMS, now.Sub(known.Submitted).Milliseconds())
	}
	return t
}

func rank(s bus.NodeState) int {
	return slices.Index([]bus.NodeState{bus.NodeReady, bus.NodeDraining, bus.NodeIncompatible, bus.NodeLost}, s)
}
