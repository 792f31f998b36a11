package gateway

import (
	"encoding/json"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

// openAITool is a tool of a task.
type openAITool struct {
	Type     string         `json:"type"`
	Function openAIFunction `json:"function"`
}

type openAIFunction struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Parameters  json.RawMessage `json:"parameters,omitempty"`
	Strict      *bool           `json:"strict,omitempty"`
}

// functionChoice is a tool_choice of one tool.
func functionChoice(name string) json.RawMessage {
	v, _ := json.Marshal(map[string]any{"type": "function", "function": map[string]string{"name": name}}) // of a text: cannot fail
	return v
}

// offer puts tools into a task. Which of them must be called is for engines with OpenAI's interface.
func offer(req *bus.InferenceRequest, f *fields, tools []openAITool, choice json.RawMessage) {
	if len(tools) == 0 || string(choice) == `"none"` {
		return
	}
	var err error
	if req.Tools, err = json.Marshal(tools); err != nil && f.err == nil {
		f.err = misfit("tools", "%w", err)
	}
	if s := string(choice); s != "" && s != `"auto"` {
		extra(req, "tool_choice", choice)
	}
}

// parallel says, beside tools that are offered, whether several may be called at once. It is for engines with OpenAI's interface, too.
func parallel(req *bus.InferenceRequest, may bool) {
	if len(req.Tools) > 0 {
		v, _ := json.Marshal(may) // cannot fail
		extra(req, "parallel_tool_calls", v)
	}
}

// noFunction refuses the tools of a request of which none is a function, but these kinds, if there are any.
func noFunction(f *fields, tools []openAITool, kinds []string) {
	if len(tools) == 0 && len(kinds) > 0 && f.err == nil {
		f.err = misfit("tools", "none is a function: the swarm has no %s of its own", strings.Join(kinds, ", "))
	}
}

// extra says something to engines with OpenAI's interface only.
func extra(req *bus.InferenceRequest, name string, v json.RawMessage) {
	if req.Extra == nil {
		req.Extra = map[string]json.RawMessage{}
	}
	req.Extra[name] = v
}
