package bus

import (
	"encoding/json"
	"slices"
)

// TypeShow asks what a node's Ollama tells of a model beside what is in NodeInfo: its template, license,
// parameters. Its tasks are pinned to a node, see ShowNodes. ShowRequest -> ShowReply
const TypeShow = "show"

// ShowRequest is the payload of a task of TypeShow.
type ShowRequest struct {
	Model string `json:"model"`
	// Verbose asks for the vocabulary, too, which has megabytes.
	Verbose bool `json:"verbose,omitempty"`
}

// Validate reports a name that is none.
func (r ShowRequest) Validate() error { return validModel(r.Model) }

// ShowReply is the result of a task of TypeShow.
type ShowReply struct {
	// Show is what Ollama's /api/show answers, without paths of the machine that it runs on.
	Show json.RawMessage `json:"show"`
}

// ShowNodes returns the nodes that can tell of a model in an Ollama: self first, if it is one.
func ShowNodes(nodes []NodeInfo, model string, self NodeID) []NodeInfo {
	able, err := ableTo(TypeShow, nodes, "")
	if err != nil {
		return nil
	}
	out := slices.DeleteFunc(able, func(n NodeInfo) bool { return !inOllama(n, model) || n.ClosedTo(self, TypeShow) })
	if at := slices.IndexFunc(out, func(n NodeInfo) bool { return n.ID == self }); at > 0 {
		out[0], out[at] = out[at], out[0]
	}
	return out
}

// OwnTypes are the types of task that every daemon serves itself, where it can.
func OwnTypes() []string {
	return []string{TypePing, TypeInference, TypeEmbed, TypePull, TypeDelete, TypeShow, TypeFetch, TypeSearch, TypeFile}
}

// Internal reports whether tasks of a type are what nodes ask each other to answer a request, and not work
// that somebody has handed in. Who lists tasks leaves them out, unless asked for all.
func Internal(typ string) bool { return typ == TypeShow }
