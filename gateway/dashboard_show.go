package gateway

import (
	"net/http"
	"slices"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/gateway/overview"
)

// showMost is how many waiting tasks, of those that have ended, and of dead letters the dashboard shows.
const showMost = 50

// scene is what there is to show at one moment.
type scene struct {
	view  overview.View
	beats []bus.Heartbeat
	tasks []bus.TaskInfo // newest first; nil where they are not known yet
	trips map[bus.NodeID]float64
	self  Identity
	now   time.Time
}

// shown is what the dashboard shows: no prompts and no results, and of errors their codes alone, since an
// engine may tell a prompt in its own.
type shown struct {
	overview.View
	AtMS    int64      `json:"at_ms"` // Unix milliseconds by this node's clock
	Self    bus.NodeID `json:"self"`
	Version string     `json:"version"`
	// Nodes are View's, with more of each.
	Nodes []shownNode `json:"nodes"`
	// Listed tells that the three below are known.
	Listed bool `json:"listed"`
	// Queued wait, the oldest first; Recent have ended, the newest first; Dead are durable ones that were
	// given up. Each is cut at showMost, and the numbers tell of how many: at least of so many where Cut is set, for
	// some node has more tasks than it lists.
	Queued      []shownTask `json:"queued"`
	Recent      []shownTask `json:"recent"`
	Dead        []shownTask `json:"dead"`
	QueuedCount int         `json:"queued_count"`
	DeadCount   int         `json:"dead_count"`
	Cut         bool        `json:"cut,omitempty"`
}

// shownNode is a node.
type shownNode struct {
	overview.Node
	Models  []shownModel `json:"models"`
	Tier    string       `json:"tier"`
	GPUTier string       `json:"gpu_tier"`
	Version string       `json:"version"`
	// Owner tells what its owner leaves to the swarm; empty where that is all.
	Owner    string `json:"owner,omitempty"`
	DiskFull bool   `json:"disk_full,omitempty"`
	// These are bytes; 0 where the node does not tell.
	FreeMemory int64 `json:"free_memory"`
	Memory     int64 `json:"memory"`
	FreeVRAM   int64 `json:"free_vram"`
	VRAM       int64 `json:"vram"`
	// RTTMS is the round trip from this node; nil where it is not known.
	RTTMS *float64 `json:"rtt_ms,omitempty"`
	// Sees are the nodes that it hears; nil where this node does not hear it.
	Sees []bus.NodeID `json:"sees"`
	// SeenMS is when it was heard last, in Unix milliseconds; 0 where it never was.
	SeenMS int64 `json:"seen_ms"`
}

// shownModel is a model that a node has.
type shownModel struct {
	Name   string  `json:"name"`
	Loaded bool    `json:"loaded,omitempty"`
	Demo   bool    `json:"demo,omitempty"`
	Embeds bool    `json:"embeds,omitempty"` // it makes vectors, and does not answer
	Speed  float64 `json:"speed,omitempty"`  // tokens/s of answers as measured; 0 where they were not
}

// shownTask is a task that does not run.
type shownTask struct {
	ID        bus.TaskID    `json:"id"`
	Type      string        `json:"type"`
	Model     string        `json:"model,omitempty"`
	State     bus.TaskState `json:"state"`
	Node      bus.NodeID    `json:"node_id,omitempty"`
	Submitter bus.NodeID    `json:"submitter,omitempty"`
	Attempts  int           `json:"attempts"`
	Durable   bool          `json:"durable"`
	Copies    int           `json:"copies,omitempty"`
	// AgeMS counts from the submission, in milliseconds.
	AgeMS int64 `json:"age_ms"`
	// Code is that of its error.
	Code bus.Code `json:"code,omitempty"`
	// Warning tells what one that has not run yet waits for.
	Warning string `json:"warning,omitempty"`
	// Position and WaitMS are of a task that is asked for by itself, while it waits.
	Position int   `json:"position,omitempty"`
	WaitMS   int64 `json:"wait_ms,omitempty"`
}

func (s scene) show() shown {
	out := shown{
		View: s.view, AtMS: s.now.UnixMilli(), Self: s.self.NodeID, Version: s.self.Version, Nodes: []shownNode{},
		Listed: s.tasks != nil, Cut: len(s.tasks) >= bus.MaxListed, Queued: []shownTask{}, Recent: []shownTask{}, Dead: []shownTask{},
	}
	for _, n := range s.view.Nodes {
		out.Nodes = append(out.Nodes, s.node(n))
	}
	runs := map[bus.TaskID]bool{}
	for _, t := range s.view.Tasks {
		runs[t.ID] = true
	}
	for _, t := range s.tasks {
		switch {
		case bus.Internal(t.Type):
		case t.State == bus.StateQueued && !runs[t.ID]:
			out.QueuedCount++
			out.Queued = append(out.Queued, s.task(t))
		case t.State == bus.StateDead && t.Durable:
			if out.DeadCount++; len(out.Dead) < showMost {
				out.Dead = append(out.Dead, s.task(t))
			}
		}
		if t.State.Terminal() && !bus.Internal(t.Type) && !t.EndedPart() && len(out.Recent) < showMost {
			out.Recent = append(out.Recent, s.task(t))
		}
	}
	slices.Reverse(out.Queued)
	out.Queued = out.Queued[:min(len(out.Queued), showMost)]
	return out
}

func (s scene) node(n overview.Node) shownNode {
	i := n.Info
	out := shownNode{
		Node: n, Models: []shownModel{}, Tier: i.Tier, GPUTier: i.GPUTier, Version: i.Version, Owner: i.Owner.String(),
		DiskFull: i.DiskFull, FreeMemory: i.FreeMemory, Memory: i.Memory, FreeVRAM: i.FreeVRAM, VRAM: i.VRAM,
	}
	if !i.Seen.IsZero() {
		out.SeenMS = i.Seen.UnixMilli()
	}
	if trip, ok := s.trips[n.ID]; ok && n.State.Live() {
		out.RTTMS = &trip
	}
	for _, b := range s.beats {
		if b.Node == n.ID && n.State.Live() {
			out.Sees = append([]bus.NodeID{}, b.Sees...)
		}
	}
	there := map[string]bool{}
	for _, m := range i.Models {
		there[m.Name] = true
		out.Models = append(out.Models, modelOf(m, false))
	}
	for _, m := range i.Embedders {
		if !there[m.Name] {
			out.Models = append(out.Models, modelOf(m, true))
		}
	}
	return out
}

func modelOf(m bus.ModelInfo, embeds bool) shownModel {
	out := shownModel{Name: m.Name, Loaded: m.Loaded, Demo: m.Demo, Embeds: embeds}
	if m.Speed != nil {
		out.Speed = m.Speed.Writing
	}
	return out
}

func (s scene) task(t bus.TaskInfo) shownTask {
	out := shownTask{
		ID: t.ID, Type: t.Type, Model: t.Model, State: t.State, Node: t.NodeID, Submitter: t.Submitter, Attempts: t.Attempts,
		Durable: t.Durable, Copies: t.Copies, Position: t.Position, WaitMS: t.Wait.Milliseconds(),
	}
	if !t.Submitted.IsZero() {
		out.AgeMS = max(0, s.now.Sub(t.Submitted).Milliseconds())
	}
	if t.Error != nil {
		out.Code = t.Error.Code
	}
	if t.State == bus.StateQueued && t.Attempts == 0 { // of later attempts it may have the words of an engine
		out.Warning = t.Warning
	}
	return out
}

// shownWhy is all that the dashboard tells of one task.
type shownWhy struct {
	Task shownTask `json:"task"`
	// Why is nil where nobody knows, for the reason in Unknown.
	Why     *bus.Why `json:"why,omitempty"`
	Unknown string   `json:"unknown,omitempty"`
}

// dashboardTask tells of one task.
func (g *Gateway) dashboardTask(w http.ResponseWriter, r *http.Request) {
	id := bus.TaskID(r.PathValue("id"))
	err := id.Validate()
	var info bus.TaskInfo
	if err == nil {
		info, err = g.cfg.Swarm.Task(r.Context(), id)
	}
	if err != nil {
		g.failNative(w, r, err)
		return
	}
	out := shownWhy{Task: scene{now: g.feed.now()}.task(info)}
	if why, err := g.cfg.Swarm.Why(r.Context(), id); err != nil {
		out.Unknown = bus.AsError(err).Message
	} else {
		out.Why = &why
	}
	g.write(w, http.StatusOK, out)
}
