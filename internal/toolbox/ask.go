package toolbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mycoswarm/mycoswarm/bus"
)

var askTool = &mcp.Tool{
	Name: "ask", Title: "Ask a model of the swarm",
	Description: "Ask a language model that runs on one of the user's own machines. The model sees nothing but the prompt: put all that it needs into it. " +
		"Without a model the swarm chooses one; list_models tells which there are. The answer is another model's: check what matters. It may take minutes.",
	InputSchema: inputOf[askInput](),
	Annotations: &mcp.ToolAnnotations{Title: "Ask a model of the swarm", ReadOnlyHint: true, OpenWorldHint: new(false)},
}

type askInput struct {
	Prompt    string `json:"prompt" jsonschema:"the question, with all that the model needs to answer it"`
	System    string `json:"system,omitempty" jsonschema:"what the model is told before the question: its role, or how to answer"`
	Model     string `json:"model,omitempty" jsonschema:"a model of list_models, such as gemma3:1b; without one the swarm chooses"`
	Node      string `json:"node,omitempty" jsonschema:"the machine that must answer, by its name; without one, whichever answers soonest"`
	MaxTokens int    `json:"max_tokens,omitempty" jsonschema:"the longest answer, in tokens; without it the model's own end"`
}

func (b *Box) ask(ctx context.Context, c *call, in askInput) ([]string, error) {
	t, s, err := c.task(ctx, bus.TypeInference, bus.InferenceRequest{Prompt: in.Prompt, System: in.System, MaxTokens: in.MaxTokens}, in.Node)
	if err != nil {
		return nil, err
	}
	if model, node, ok := bus.NodeBehind(s.Nodes, in.Model); ok {
		at, err := pin(s.Nodes, node)
		switch {
		case err != nil:
			return nil, err
		case t.Node != "" && t.Node != at:
			return nil, bus.Errorf(bus.CodeInvalid, "the node is %s, and the model %q names another, %s", name(s.Nodes, t.Node), in.Model, name(s.Nodes, at)).
				WithHint("leave one of them out: the node, or the @ and what is behind it")
		}
		in.Model, t.Node = model, at
	}
	t.Model = in.Model
	if m, ok := bus.ModelNamed(in.Model, bus.ModelsOf(s.Nodes, bus.TypeInference)); ok {
		t.Model = m.Name // as it is spelled
	}
	end, r, err := done[bus.InferenceResult](ctx, c, t, s.Nodes)
	if err != nil {
		return nil, err
	}
	who := fmt.Sprintf("[Answered by the model %s on %s", r.Model, name(s.Nodes, end.NodeID))
	if r.DoneReason == "length" {
		who += "; cut at its longest"
	}
	if r.Demo {
		who += "; this is the built-in demo model, which invents what it was not taught: no node has a real one"
	}
	text, rest := part(r.Text, 0, textMost)
	if rest != "" {
		who += "; the rest of the answer is left out: ask for less at once"
	}
	return []string{text, who + "]"}, nil
}

var modelsTool = &mcp.Tool{
	Name: "list_models", Title: "List the models of the swarm",
	Description: "List the language models that the swarm's machines have, as JSON: what each can do (completion: answer; embedding; tools; vision; thinking), its size and context, " +
		"which machines have it, whether it is loaded there, and how fast it writes (tokens per second).",
	InputSchema: inputOf[nothing](),
	Annotations: &mcp.ToolAnnotations{Title: "List the models of the swarm", ReadOnlyHint: true, IdempotentHint: true, OpenWorldHint: new(false)},
}

type nothing struct{}

func (b *Box) models(ctx context.Context, _ *call, _ nothing) ([]string, error) {
	s, err := b.cfg.Swarm.Status(ctx)
	if err != nil {
		return nil, err
	}
	all := bus.SharedModels(s.Nodes)
	if len(all) == 0 {
		return []string{"No node has a model. To get one, the user can run: " + bus.PullCommand(s.Nodes, "gemma3:1b", "")}, nil
	}
	return object(struct {
		Models  []bus.SharedModel `json:"models"`
		Default string            `json:"default,omitempty"`
	}{all, s.DefaultModel})
}

var nodesTool = &mcp.Tool{
	Name: "list_nodes", Title: "List the machines of the swarm",
	Description: "List the machines (nodes) of the swarm, as JSON: whether each is ready, its memory and GPU, how busy it is, which models it has, and which types of task it does.",
	InputSchema: inputOf[nothing](),
	Annotations: &mcp.ToolAnnotations{Title: "List the machines of the swarm", ReadOnlyHint: true, IdempotentHint: true, OpenWorldHint: new(false)},
}

// nodeView is what a model is told of a node.
type nodeView struct {
	Name        string        `json:"name"`
	ID          bus.NodeID    `json:"id"`
	Here        bool          `json:"here,omitempty"` // the one that is asked
	State       bus.NodeState `json:"state"`
	Owner       string        `json:"owner,omitempty"`
	Cores       int           `json:"cores,omitempty"`
	MemoryBytes int64         `json:"memory_bytes,omitempty"`
	FreeMemory  int64         `json:"free_memory_bytes,omitempty"`
	VRAMBytes   int64         `json:"vram_bytes,omitempty"`
	FreeVRAM    int64         `json:"free_vram_bytes,omitempty"`
	Busy        int           `json:"busy"`
	Slots       int           `json:"slots"`
	CPUPercent  int           `json:"cpu_percent,omitempty"`
	Models      []string      `json:"models"`
	Types       []string      `json:"types"`
	Version     string        `json:"version,omitempty"`
}

func (b *Box) nodes(ctx context.Context, _ *call, _ nothing) ([]string, error) {
	s, err := b.cfg.Swarm.Status(ctx)
	if err != nil {
		return nil, err
	}
	out := []nodeView{}
	for _, n := range s.Nodes {
		v := nodeView{
			Name: n.Name, ID: n.ID, Here: n.ID == s.Node.ID, State: n.State, Owner: n.Owner.String(), Cores: n.Cores, MemoryBytes: n.Memory, FreeMemory: n.FreeMemory,
			VRAMBytes: n.VRAM, FreeVRAM: n.FreeVRAM, Busy: n.Busy, Slots: n.Slots, Models: []string{}, Types: n.Types, Version: n.Version,
		}
		if n.Use != nil {
			v.CPUPercent = int(n.Use.CPUPercent)
		}
		for _, m := range bus.SharedModels([]bus.NodeInfo{n}) {
			v.Models = append(v.Models, m.Name)
		}
		out = append(out, v)
	}
	return object(struct {
		Swarm string     `json:"swarm"`
		Nodes []nodeView `json:"nodes"`
	}{s.Swarm.Name, out})
}

// object is a text with JSON.
func object(v any) ([]string, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, bus.Errorf(bus.CodeInternal, "encode the answer: %w", err)
	}
	return []string{string(data)}, nil
}

// pluginName is the tool for the tasks of plugins.
const pluginName = "run_plugin"

// pluginTool is one tool for all types: a plugin tells nobody what its tasks hold, so that a tool of its own would say
// no more of it than its type, and would take as much room in every conversation.
func pluginTool(types []bus.SharedType) *mcp.Tool {
	all := make([]any, len(types))
	for i, t := range types {
		all[i] = t.Type
	}
	return &mcp.Tool{
		Name: pluginName, Title: "Run a plugin of the swarm",
		Description: "Have a plugin of the swarm do a task: a program of the user's own that a machine of the swarm runs. Its type tells what it is for; what the payload holds, the plugin decides, " +
			"and tells in its error where it is wrong. What a plugin does is not known here: it may change things. Each call runs the task anew.",
		Annotations: &mcp.ToolAnnotations{Title: "Run a plugin of the swarm"},
		InputSchema: &jsonschema.Schema{
			Type: "object", Required: []string{"type"}, AdditionalProperties: &jsonschema.Schema{Not: &jsonschema.Schema{}},
			Properties: map[string]*jsonschema.Schema{
				"type": {Type: "string", Enum: all, Description: "the type of task"},
				// Of others than objects the plugin is told, too: but a property of any type is refused by some programs, and is a text to others.
				"payload":   {Type: "object", Description: "what the task is about: what it holds, the plugin says"},
				"node":      {Type: "string", Description: "the machine that must do it, by its name"},
				"offset":    {Type: "integer", Description: "the character to begin with, counted from 0"},
				"max_chars": {Type: "integer", Description: maxCharsHelp},
			},
		},
	}
}

type pluginInput struct {
	Type     string          `json:"type"`
	Payload  json.RawMessage `json:"payload"`
	Node     string          `json:"node"`
	Offset   int             `json:"offset"`
	MaxChars int             `json:"max_chars"`
}

// run implements run_plugin. It reads the arguments itself: a number of the payload stays as it was written.
func (b *Box) run(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	return b.answer(ctx, req, func(ctx context.Context, c *call) ([]string, error) {
		var in pluginInput
		args := json.NewDecoder(bytes.NewReader(req.Params.Arguments))
		args.DisallowUnknownFields() // as for the other tools: a payload by another name would be none
		if err := args.Decode(&in); err != nil {
			return nil, bus.Errorf(bus.CodeInvalid, "read the arguments: %w", err)
		}
		size, err := span(in.Offset, in.MaxChars)
		if err != nil {
			return nil, err
		}
		s, err := b.cfg.Swarm.Status(ctx)
		if err != nil {
			return nil, err
		}
		t := bus.Task{Type: in.Type, Payload: in.Payload}
		if isOwn(in.Type) { // those have tools of their own, with bounds of their own
			return nil, bus.Errorf(bus.CodeInvalid, "%q is no type of a plugin", in.Type)
		}
		if t.Node, err = pin(s.Nodes, in.Node); err != nil {
			return nil, err
		}
		if err := t.Validate(); err != nil {
			return nil, err
		}
		end, res, err := done[json.RawMessage](ctx, c, t, s.Nodes)
		if err != nil {
			return nil, err
		}
		out := string(res)
		var text string
		if json.Unmarshal(res, &text) == nil {
			out = text
		}
		out, note, err := window(out, in.Offset, size)
		if err != nil { // which is known only now
			return nil, bus.Errorf(bus.CodeInvalid, "%w; the task is done all the same, and another call does it anew", err)
		}
		if note != "" { // a plugin may change things
			note += ", which runs the task anew"
		}
		return []string{out, "[Done by " + name(s.Nodes, end.NodeID) + note + "]"}, nil
	}), nil
}
