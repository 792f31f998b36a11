package overview

import (
	"context"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// namesEvery is how often the swarm is asked what its running tasks are, at most.
const namesEvery = time.Second

// Source is where a Gather asks; *bus.Conn is one.
type Source interface {
	Status(ctx context.Context) (bus.Status, error)
	// Tasks lists the tasks that the swarm knows, without their results.
	Tasks(ctx context.Context) ([]bus.TaskInfo, error)
}

// Gather keeps what heartbeats tell, and makes views of it. Its methods may be called concurrently.
type Gather struct {
	now func() time.Time

	mu     sync.Mutex
	beats  map[bus.NodeID]bus.Heartbeat
	begun  map[bus.TaskID]run
	known  map[bus.TaskID]bus.TaskInfo
	listed time.Time
}

// New makes a Gather that has heard nothing; now is the clock.
func New(now func() time.Time) *Gather {
	return &Gather{
		now: now, beats: map[bus.NodeID]bus.Heartbeat{}, begun: map[bus.TaskID]run{}, known: map[bus.TaskID]bus.TaskInfo{},
	}
}

// run is one attempt of a running task.
type run struct {
	attempt int
	at      time.Time // when it began by this machine's clock; when it was first heard of, if told is not set
	waited  time.Duration
	told    bool
}

// runOf is what a heartbeat that was heard at now tells of a run.
func runOf(b bus.Heartbeat, r bus.Running, now time.Time) run {
	if r.BeganMS == 0 || b.WallMS == 0 {
		return run{attempt: r.Attempt, at: now}
	}
	ran := max(b.WallMS-r.BeganMS, 0)
	return run{
		attempt: r.Attempt, at: now.Add(-time.Duration(ran) * time.Millisecond),
		waited: time.Duration(max(r.WaitedMS, 0)) * time.Millisecond, told: true,
	}
}

// Hear takes in a heartbeat that came just now.
func (g *Gather) Hear(b bus.Heartbeat) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.beats[b.Node] = b
	for _, r := range b.Running {
		if old, ok := g.begun[r.Task]; !ok || old.attempt != r.Attempt {
			g.begun[r.Task] = runOf(b, r, g.now())
		}
	}
}

// HeardAll reports whether every live one of nodes was heard.
func (g *Gather) HeardAll(nodes []bus.NodeInfo) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, n := range nodes {
		if _, ok := g.beats[n.ID]; !ok && n.State.Live() {
			return false
		}
	}
	return true
}

// Look makes a view of now. It fails where s cannot tell its status; without the list of tasks running ones
// are shown by their ids.
func (g *Gather) Look(ctx context.Context, s Source) (View, error) {
	status, err := s.Status(ctx)
	if err != nil {
		return View{}, err
	}
	g.name(ctx, s, status.Nodes)
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.view(status), nil
}

// name asks what the running tasks are, where one of them is new, and forgets the others.
func (g *Gather) name(ctx context.Context, s Source, nodes []bus.NodeInfo) {
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
	ask := fresh && g.now().Sub(g.listed) >= namesEvery
	if ask {
		g.listed = g.now()
	}
	g.mu.Unlock()
	if !ask {
		return
	}
	tasks, err := s.Tasks(ctx)
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
