package bus

import "encoding/json"

// TypeShow asks what a node's Ollama tells of a model beside what is in NodeInfo: its template, license,
// parameters. Its tasks are pinned to a node, see ShowNode. ShowRequest -> ShowReply
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

// ShowNode returns a node that can tell of a model: self, where it has it in an Ollama, else another.
func ShowNode(nodes []NodeInfo, model string, self NodeID) (out NodeInfo, ok bool) {
	able, err := ableTo(TypeShow, nodes, "")
	if err != nil {
		return out, false
	}
	for _, n := range able {
		if inOllama(n, model) && !n.ClosedTo(self, TypeShow) && (!ok || n.ID == self) {
			out, ok = n, true
		}
	}
	return out, ok
}

// OwnTypes are the types of task that every daemon serves itself, where it can.
func OwnTypes() []string {
	return []string{TypePing, TypeInference, TypeEmbed, TypePull, TypeDelete, TypeShow}
}
