package bus

import (
	"cmp"
	"slices"
	"strings"
)

// Types of task about the models of a node's Ollama. They are pinned to a node, see PullNode and
// DeleteNodes, and name their model in the payload: the node need not have it.
const (
	TypePull   = "pull"   // PullRequest -> PullProgress..., ModelsReply
	TypeDelete = "delete" // DeleteRequest -> ModelsReply
)

// PullRequest is the payload of a task of TypePull.
type PullRequest struct {
	Model string `json:"model"`
	// Insecure lets the engine pull from a registry without TLS.
	Insecure bool `json:"insecure,omitempty"`
}

// Validate reports a name that is none.
func (r PullRequest) Validate() error { return validModel(r.Model) }

// DeleteRequest is the payload of a task of TypeDelete.
type DeleteRequest struct {
	Model string `json:"model"`
}

// Validate reports a name that is none.
func (r DeleteRequest) Validate() error { return validModel(r.Model) }

func validModel(name string) error {
	if name == "" || len(name) > maxModelName {
		return Errorf(CodeInvalid, "the model's name has %d bytes, want 1 to %d", len(name), maxModelName)
	}
	return nil
}

// PullProgress is a piece of the output of a task of TypePull, in Ollama's words.
type PullProgress struct {
	Status string `json:"status"`
	// Digest names what is loaded, of Total bytes of which Completed are there.
	Digest    string `json:"digest,omitempty"`
	Total     int64  `json:"total,omitempty"`
	Completed int64  `json:"completed,omitempty"`
}

// ModelsReply is the result of tasks of TypePull and TypeDelete.
type ModelsReply struct {
	Model string `json:"model"`
	// Engine is the address of the engine, as the node sees it.
	Engine string `json:"engine,omitempty"`
}

// gpuTiers are the values of NodeInfo.GPUTier, the best first.
var gpuTiers = []string{"ultra", "high", "mid", "entry", "none"}

// littleRoom is, in bytes, less than most models take: a node with less free is the last to get one.
const littleRoom = 8 << 30

// PullNode returns the node that should pull a model for self: on, by name or id, where it is not empty,
// and otherwise one that its owner does not keep, if there is one, that has the model already, for its newer
// version, or that with the best GPU, and of these that with most room on the disk of its models.
// CodeNotFound for a node that nobody is called, CodeNoWorker where none can pull, or the one that is is not there.
func PullNode(nodes []NodeInfo, model, on string, self NodeID) (NodeInfo, error) {
	able, err := ableTo(TypePull, nodes, on)
	if err != nil {
		return NodeInfo{}, err
	}
	if open := slices.DeleteFunc(slices.Clone(able), func(n NodeInfo) bool { return n.ClosedTo(self, TypePull) }); len(open) > 0 {
		able = open
	}
	if has := slices.DeleteFunc(slices.Clone(able), func(n NodeInfo) bool { return !inOllama(n, model) }); len(has) > 0 {
		able = has
	}
	return slices.MinFunc(able, func(a, b NodeInfo) int {
		return cmp.Or(
			cmp.Compare(fullness(a), fullness(b)),
			cmp.Compare(gpuRank(a), gpuRank(b)),
			cmp.Compare(b.ModelRoom, a.ModelRoom),
			strings.Compare(string(a.ID), string(b.ID)),
		)
	}), nil
}

// PullNodes returns the nodes that should pull a model for self where each is to have it: those that can, and whose disk has room
// or the model already. kept are the others that are there, and those that could if they were. CodeNoWorker where none can pull.
func PullNodes(nodes []NodeInfo, model string, self NodeID) (able, kept []NodeInfo, err error) {
	can, err := ableTo(TypePull, nodes, "")
	if err != nil {
		return nil, nil, err
	}
	for _, n := range nodes {
		fits := slices.ContainsFunc(can, func(c NodeInfo) bool { return c.ID == n.ID }) && !n.ClosedTo(self, TypePull)
		switch {
		case fits && (fullness(n) == 0 || inOllama(n, model)):
			able = append(able, n)
		case n.State.Live() || slices.Contains(n.Types, TypePull):
			kept = append(kept, n)
		}
	}
	return able, kept, nil
}

// PullCommand is the command that brings a model that is missing: myco pull where one of nodes, or the one
// called on, could have it, else what is typed where an Ollama is to be, and where that is, unless there is one machine alone.
// Of a name such as gemma3:1b@tower, which is for programs over HTTP, it tells how a command names the two.
func PullCommand(nodes []NodeInfo, model, on string) string {
	if name, node, ok := NodeBehind(nodes, model); ok && on == "" {
		return "name the node apart: --node " + node + ", and the model as " + name
	}
	_, err := ableTo(TypePull, nodes, on)
	at, _ := called(nodes, on)
	switch {
	case err == nil && on != "":
		return "myco pull " + model + " --node " + nodeWord(nodes, on)
	case err == nil:
		return "myco pull " + model
	case on != "" && len(at) == 1:
		return "ollama pull " + model + ", on " + at[0].Name
	case len(at) > 1:
		return "ollama pull " + model + ", on a machine of the swarm"
	}
	return "ollama pull " + model
}

// nodeWord is what a command calls the node that is called on: its name, where no other node has that, or its id.
func nodeWord(nodes []NodeInfo, on string) string {
	i := slices.IndexFunc(nodes, func(n NodeInfo) bool { return string(n.ID) == on })
	if i < 0 || nodes[i].Name == "" || slices.ContainsFunc(nodes, func(n NodeInfo) bool { return n.Name == nodes[i].Name && n.ID != nodes[i].ID }) {
		return on
	}
	return ShellWord(nodes[i].Name)
}

func fullness(n NodeInfo) int {
	if n.DiskFull || n.ModelRoom > 0 && n.ModelRoom < littleRoom {
		return 1
	}
	return 0
}

func gpuRank(n NodeInfo) int {
	if i := slices.Index(gpuTiers, n.GPUTier); i >= 0 {
		return i
	}
	return len(gpuTiers)
}

// DeleteNodes returns the nodes that have a model and can delete it: all, or the one called on. kept are
// the others that have it. CodeNotFound where there is no such node, or none that has the model;
// CodeNoWorker where the node is not there; CodeInvalid where it cannot be deleted.
func DeleteNodes(nodes []NodeInfo, model, on string) (able, kept []NodeInfo, err error) {
	at, err := called(nodes, on)
	if err != nil {
		return nil, nil, err
	}
	for _, n := range at {
		switch {
		case slices.Contains(n.Types, TypeDelete) && inOllama(n, model):
			able = append(able, n)
		case has(n, model, func(m ModelInfo) bool { return !m.Demo }):
			kept = append(kept, n)
		}
	}
	switch {
	case len(able) == 0 && len(kept) > 0:
		return nil, kept, Errorf(CodeInvalid, "%s cannot delete the model %q: it is not in an Ollama there, or mycod is too old", nodeNames(kept), model).
			WithHint("delete it by the means of that engine, on that machine: myco models %s --json tells which engine has it; if that is an Ollama, upgrade mycod there", ShellWord(model))
	case len(able) == 0 && slices.ContainsFunc(at, func(n NodeInfo) bool { return has(n, model, func(m ModelInfo) bool { return m.Demo }) }):
		return nil, nil, Errorf(CodeInvalid, "%s is the demo model, which is part of mycod and cannot be deleted", model).
			WithHint("start mycod with --no-demo-engine to do without it")
	case len(able) == 0:
		return nil, nil, Errorf(CodeNotFound, "model '%s' not found: no node%s has it", model, whichIs(on)).WithHint("myco models")
	}
	return able, kept, nil
}

func whichIs(on string) string {
	if on == "" {
		return ""
	}
	return " called " + on
}

// called returns the nodes that are there: all, or the one with a name or id. CodeNoWorker where that one is not.
func called(nodes []NodeInfo, on string) (out []NodeInfo, err error) {
	for _, n := range nodes {
		if n.State.Live() && (on == "" || n.Name == on || string(n.ID) == on) {
			out = append(out, n)
		}
	}
	away := slices.IndexFunc(nodes, func(n NodeInfo) bool { return n.Name == on || string(n.ID) == on })
	switch {
	case len(out) == 0 && on != "" && away >= 0:
		return nil, Errorf(CodeNoWorker, "node %s is not there: it is %s", nodes[away].Name, nodes[away].State).WithHint("wait until it is back: myco swarm")
	case len(out) == 0 && on != "":
		return nil, Errorf(CodeNotFound, "no node of the swarm that is there is called %q", on).WithHint("myco swarm")
	case len(out) > 1 && on != "":
		return nil, Errorf(CodeConflict, "%d nodes are called %q", len(out), on).WithHint("use the id of one: myco swarm")
	}
	return out, nil
}

// ableTo returns the nodes that take tasks of a type.
func ableTo(typ string, nodes []NodeInfo, on string) ([]NodeInfo, error) {
	at, err := called(nodes, on)
	if err != nil {
		return nil, err
	}
	able := slices.DeleteFunc(slices.Clone(at), func(n NodeInfo) bool { return n.State == NodeDraining || !slices.Contains(n.Types, typ) })
	switch {
	case len(able) > 0:
		return able, nil
	case on != "" && at[0].State == NodeDraining && at[0].Stops:
		return nil, Errorf(CodeNoWorker, "node %s is stopping", at[0].Name).WithHint("ask again once it is back: myco swarm")
	case on != "" && at[0].State == NodeDraining:
		return nil, Errorf(CodeNoWorker, "node %s is draining: it takes no more work", at[0].Name).WithHint("myco drain %s --off", at[0].Name)
	case on != "":
		return nil, Errorf(CodeNoWorker, "node %s has no Ollama that answers", at[0].Name).
			WithHint("start Ollama there, or mycod --engine URL; or take another node: myco swarm")
	}
	return nil, Errorf(CodeNoWorker, "none of the nodes has an Ollama that answers and takes work: %s", nodeNames(at)).
		WithHint("start Ollama on one of the machines, or mycod --engine URL there")
}

func inOllama(n NodeInfo, model string) bool {
	return has(n, model, func(m ModelInfo) bool { return m.Engine == "ollama" })
}

func has(n NodeInfo, model string, ok func(ModelInfo) bool) bool {
	return slices.ContainsFunc(slices.Concat(n.Models, n.Embedders), func(m ModelInfo) bool { return SameModel(m.Name, model) && ok(m) })
}

func nodeNames(nodes []NodeInfo) string {
	names := make([]string, len(nodes))
	for i, n := range nodes {
		names[i] = n.Name
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
