package bus

import (
	"iter"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// NodeState is what the swarm may expect of a node.
type NodeState string

// The states of a node.
const (
	NodeReady    NodeState = "ready"    // takes work
	NodeDraining NodeState = "draining" // finishes its work, takes no more
	NodeSuspect  NodeState = "suspect"  // silent for 500 ms: gets no new work
	NodeLost     NodeState = "lost"     // its route is gone, or it is silent for 3 s
	// NodeIncompatible is heard, and shares no version of the protocol with the node that tells:
	// no work passes between them.
	NodeIncompatible NodeState = "incompatible"
)

// Live reports whether a node of state s counts as there, if perhaps slow.
func (s NodeState) Live() bool { return s != NodeLost && s != NodeIncompatible }

// ModelInfo is a model that a node can run.
type ModelInfo struct {
	Name   string `json:"name"`
	Loaded bool   `json:"loaded"`
	// SizeBytes is its size on disk; 0 where the engine does not tell.
	SizeBytes int64 `json:"size_bytes,omitempty"`
	// ContextLength is in tokens; 0 where the engine does not tell.
	ContextLength int    `json:"context_length,omitempty"`
	ParameterSize string `json:"parameter_size,omitempty"`
	Quantization  string `json:"quantization,omitempty"`
	Family        string `json:"family,omitempty"`
	// Demo marks the built-in demo model, which serves only where the swarm has nothing else.
	Demo bool `json:"demo,omitempty"`
	// Engine is the kind of engine that has it: "ollama", "openai", "demo".
	Engine string `json:"engine,omitempty"`
	// Digest tells one model of a name from another; empty where the engine does not tell.
	Digest string `json:"digest,omitempty"`
	// Can is what it can do; 0 from nodes that do not tell, where it answers.
	Can Abilities `json:"can,omitempty"`
	// OneAtATime tells that its engine answers one question with it at a time, as far as is known: others wait there.
	OneAtATime bool `json:"one_at_a_time,omitempty"`
	// Speed is what was measured of it on this node; nil before its first answer there.
	Speed *ModelSpeed `json:"speed,omitempty"`
	// ModifiedAt is when its files were written; zero where the engine does not tell.
	ModifiedAt time.Time `json:"modified_at,omitzero"`
	// What follows is of a model that is loaded, where the engine tells: LoadedBytes is its size in
	// memory, VRAMBytes what of that is in a GPU's, and ExpiresAt when it is unloaded unless it is asked.
	LoadedBytes int64     `json:"loaded_bytes,omitempty"`
	VRAMBytes   int64     `json:"vram_bytes,omitempty"`
	ExpiresAt   time.Time `json:"expires_at,omitzero"`
}

// ModelSpeed is what a node has measured of a model: recent requests count for more.
type ModelSpeed struct {
	// Writing and Reading are tokens/s of answers and of prompts; 0 where the engine does not tell.
	Writing float64 `json:"writing,omitempty"`
	Reading float64 `json:"reading,omitempty"`
	// Loading is how long the model took to load when it was not; 0 where that was not seen.
	Loading time.Duration `json:"loading_ns,omitempty"`
}

// OwnerUse is what its owner's use of a machine leaves to the swarm.
type OwnerUse struct {
	// Closed tells that the machine takes no work of others at present.
	Closed bool `json:"closed,omitempty"`
	// Weight says how much rather others should work: 0 not at all, to 100.
	Weight int `json:"weight,omitempty"`
	// Why is for people: "on battery", "until 17:00", "the GPU is in use by others".
	Why string `json:"why,omitempty"`
}

// String is what people read of u after "is": "closed until 17:00", "closed: on battery", "used by its
// owner: on battery"; empty where all is the swarm's.
func (u *OwnerUse) String() string {
	switch {
	case u == nil || !u.Closed && u.Weight <= 0:
		return ""
	case u.Closed && strings.HasPrefix(u.Why, "until "):
		return "closed " + u.Why
	case u.Closed && u.Why == "":
		return "closed"
	case u.Closed:
		return "closed: " + u.Why
	case u.Why == "":
		return "used by its owner"
	}
	return "used by its owner: " + u.Why
}

// ClosedTo reports whether n takes no tasks of a type from submitter: a closed machine runs those of
// its owner alone. It answers pings, which cost nothing.
func (n NodeInfo) ClosedTo(submitter NodeID, typ string) bool {
	return n.Owner != nil && n.Owner.Closed && n.ID != submitter && typ != TypePing
}

// Takes reports whether n takes new tasks of a type from submitter at present: it lives, does not drain, and is not
// closed to it. It tells nothing of what n can run.
func (n NodeInfo) Takes(submitter NodeID, typ string) bool {
	return n.State.Live() && n.State != NodeDraining && !n.ClosedTo(submitter, typ)
}

// Capability is what a node can run now of one type of task.
type Capability struct {
	Type   string      `json:"type"`
	Models []ModelInfo `json:"models,omitempty"`
	// Slots is how many tasks of this type the node runs at once; of a program at most 1024.
	Slots int `json:"slots"`
}

// NodeUse is how busy a node is at present.
type NodeUse struct {
	// CPUPercent is the share of all cores that is busy, 0 to 100.
	CPUPercent float64 `json:"cpu_percent"`
	// GPUPercent is the utilisation of the busiest GPU, 0 to 100; -1 where none tells.
	GPUPercent int `json:"gpu_percent"`
	// TokensPerSecond is how fast its engines write, all answers together, over the last seconds. A piece
	// of an answer counts as a token, as engines send them one by one.
	TokensPerSecond float64 `json:"tokens_per_second"`
}

// QueueCount is how many tasks of a kind there are in the work queues.
type QueueCount struct {
	Lane    Lane   `json:"lane"`
	Class   string `json:"class"`
	Model   string `json:"model,omitempty"`
	Waiting int    `json:"waiting"`
	Running int    `json:"running"`
}

// NodeInfo is what a node tells of itself, and one value of the KV bucket "peers".
type NodeInfo struct {
	ID    NodeID    `json:"id"`
	Name  string    `json:"name"`
	State NodeState `json:"state"`
	// Tier is executive, specialist, worker, light or edge.
	Tier string `json:"tier"`
	// GPUTier is ultra, high, mid, entry or none.
	GPUTier string `json:"gpu_tier"`
	// Capabilities are names such as "gpu_inference" or "file_processing".
	Capabilities []string    `json:"capabilities"`
	Models       []ModelInfo `json:"models"`
	// Embedders are the models for tasks of TypeEmbed; some of them are in Models too.
	Embedders []ModelInfo `json:"embedders,omitempty"`
	// Removed are models that its engines had, and have no more though they answer, for some minutes. Of an engine that does
	// not answer nothing is told here.
	Removed []string `json:"removed,omitempty"`
	// Types are the types of task that it runs.
	Types []string `json:"types"`
	// Slots are for tasks of TypeInference, and of plugins and programs; Busy are those at work.
	Slots int `json:"slots"`
	Busy  int `json:"busy"`
	// ModelSlots are those of Slots for TypeInference; 0 where it does not tell.
	ModelSlots int `json:"model_slots,omitempty"`
	// QueueHost tells that this node holds the work queues at present.
	QueueHost bool `json:"queue_host"`
	// DiskFull tells that it takes no more durable tasks, of its own or in custody: too little of
	// its disk is free.
	DiskFull bool `json:"disk_full,omitempty"`
	// Stops tells that it drains since it is about to stop, or to leave the swarm.
	Stops bool `json:"stops,omitempty"`
	// ModelRoom is how many bytes are free where its Ollama keeps models, in whole GiB or 1; 0 where it is
	// not known.
	ModelRoom int64 `json:"model_room,omitempty"`
	// Owner is nil where the machine is all the swarm's.
	Owner *OwnerUse `json:"owner,omitempty"`
	// WebPorts are the ports from which it fetches pages beside 80 and 443.
	WebPorts []uint16 `json:"web_ports,omitempty"`
	// FreeMemory and FreeVRAM are bytes, in steps of 256 MiB; 0 where it does not tell. FreeVRAM is of
	// all GPUs together.
	FreeMemory int64 `json:"free_memory,omitempty"`
	FreeVRAM   int64 `json:"free_vram,omitempty"`
	// Memory and VRAM are all the bytes that there are, free or not; 0 where it does not tell.
	Memory int64 `json:"memory,omitempty"`
	VRAM   int64 `json:"vram,omitempty"`
	// Cores are those of its processor, without hyper-threads; 0 where it does not tell.
	Cores int `json:"cores,omitempty"`
	// Use and Queues change all the time: heartbeats and Status have them, the bucket "peers" does not.
	// Use is nil where a node does not tell; Queues are those that it holds as queue host.
	Use     *NodeUse     `json:"use,omitempty"`
	Queues  []QueueCount `json:"queues,omitempty"`
	Version string       `json:"version"`
	// Wire is what it speaks with other nodes; zero for one from before nodes told.
	Wire Wire `json:"wire,omitzero"`
	// FabricAddr is HOST:PORT where it accepts routes, as far as it knows.
	FabricAddr string `json:"fabric_addr,omitempty"`
	// Host is what its machine calls itself.
	Host string    `json:"host,omitempty"`
	Seen time.Time `json:"seen,omitzero"`

	// Later are fields of a later version.
	Later Later `json:",embed"`
}

// plainNodeInfo is NodeInfo without its methods.
type plainNodeInfo NodeInfo

// MarshalJSON and UnmarshalJSON are for encoding/json, which does not look for the other two before
// Go 1.27.
func (n NodeInfo) MarshalJSON() ([]byte, error) { return Marshal(n) }

// UnmarshalJSON keeps fields of later versions.
func (n *NodeInfo) UnmarshalJSON(b []byte) error { return Unmarshal(b, n) }

// MarshalJSONTo writes the fields of later versions that it keeps, too.
func (n NodeInfo) MarshalJSONTo(e *jsontext.Encoder) error {
	return MarshalLater(e, (*plainNodeInfo)(&n), &n.Later)
}

// UnmarshalJSONFrom keeps fields of later versions.
func (n *NodeInfo) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	return unmarshalLater(d, (*plainNodeInfo)(n), &n.Later)
}

// ModelsFor returns the models of n for tasks of a type.
func (n NodeInfo) ModelsFor(typ string) []ModelInfo {
	if typ == TypeEmbed {
		return n.Embedders
	}
	return n.Models
}

// ModelsOf yields the models of each of nodes for tasks of a type: one that several have, several times.
func ModelsOf(nodes []NodeInfo, typ string) iter.Seq[ModelInfo] {
	return func(yield func(ModelInfo) bool) {
		for _, n := range nodes {
			for _, m := range n.ModelsFor(typ) {
				if !yield(m) {
					return
				}
			}
		}
	}
}

// SwarmInfo names a swarm and its present queue host.
type SwarmInfo struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	QueueHost NodeID `json:"queue_host"`
	Term      uint64 `json:"term"`
}

// Running is a task that a node runs with a healthy lease.
type Running struct {
	Task      TaskID `json:"task"`
	Submitter NodeID `json:"submitter"`
	Attempt   int    `json:"attempt"`
	// BeganMS is when this attempt began, in Unix milliseconds by the clock of Heartbeat.WallMS; 0 from
	// nodes that do not tell. WaitedMS is how long after its submission that was, in milliseconds.
	BeganMS  int64 `json:"began_ms,omitempty"`
	WaitedMS int64 `json:"waited_ms,omitempty"`
}

// Heartbeat is sent by every node 4 to 10 times a second, and at once on change. Info comes
// with it every second and on change.
type Heartbeat struct {
	Node NodeID `json:"node"`
	// Boot is random for each start of a daemon.
	Boot string `json:"boot"`
	Seq  uint64 `json:"seq"`
	// Wire is what the node speaks. This field, Node, Boot and Seq mean the same in every version.
	Wire Wire `json:"wire,omitzero"`
	// Rank is the owner's wish for this node to be queue host; negative means never.
	Rank int `json:"rank"`
	// Term is above 0 while this node is queue host; MaxTerm is the highest it has seen.
	Term    uint64 `json:"term,omitempty"`
	MaxTerm uint64 `json:"max_term"`
	// Local marks a host that claimed although it heard of another, which it cannot reach.
	Local bool `json:"local,omitempty"`
	// Host is the queue host that this node follows.
	Host NodeID `json:"host,omitempty"`
	// Heir is the node that a host hands over to.
	Heir NodeID `json:"heir,omitempty"`
	// Sees are the nodes that it hears, itself among them.
	Sees     []NodeID `json:"sees"`
	UptimeMS int64    `json:"uptime_ms"`
	Draining bool     `json:"draining,omitempty"`
	// Running are its tasks whose watchdog is content. Nobody else may start them.
	Running []Running `json:"running,omitempty"`
	// Crashed counts attempts that ended with this node's process, by its journal.
	Crashed map[TaskID]int `json:"crashed,omitempty"`
	// WallMS is its wall clock in Unix milliseconds, to tell clocks that differ.
	WallMS int64     `json:"wall_ms"`
	Info   *NodeInfo `json:"info,omitempty"`

	// Later are fields of a later version.
	Later Later `json:",embed"`
}

// plainHeartbeat is Heartbeat without its methods.
type plainHeartbeat Heartbeat

// MarshalJSON and UnmarshalJSON are for encoding/json, which does not look for the other two before
// Go 1.27.
func (h Heartbeat) MarshalJSON() ([]byte, error) { return Marshal(h) }

// UnmarshalJSON keeps fields of later versions.
func (h *Heartbeat) UnmarshalJSON(b []byte) error { return Unmarshal(b, h) }

// MarshalJSONTo writes the fields of later versions that it keeps, too.
func (h Heartbeat) MarshalJSONTo(e *jsontext.Encoder) error {
	return MarshalLater(e, (*plainHeartbeat)(&h), &h.Later)
}

// UnmarshalJSONFrom keeps fields of later versions.
func (h *Heartbeat) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	return unmarshalLater(d, (*plainHeartbeat)(h), &h.Later)
}

// EventKind is what happened to a task.
type EventKind string

// The kinds of event.
const (
	EventQueued  EventKind = "queued"
	EventStarted EventKind = "started"
	// EventLost tells that a worker has dropped a task whose submitter it does not hear. It is no end: one that
	// lives has it run again.
	EventLost       EventKind = "lost"
	EventRetried    EventKind = "retried"
	EventSuperseded EventKind = "superseded"
	EventDone       EventKind = "done"
	EventFailed     EventKind = "failed"
	EventCancelled  EventKind = "cancelled"
	EventExpired    EventKind = "expired"
	EventDead       EventKind = "dead"
)

// Event tells what happened to a task: ids and figures, no content.
type Event struct {
	Kind      EventKind `json:"kind"`
	Task      TaskID    `json:"task"`
	Type      string    `json:"type,omitempty"`
	Submitter NodeID    `json:"submitter,omitempty"`
	Node      NodeID    `json:"node,omitempty"`
	Attempt   int       `json:"attempt,omitempty"`
	// Reason tells why a node got the task, or why it was lost or retried.
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
}
