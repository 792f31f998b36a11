package gateway

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/mycoswarm/mycoswarm/bus"
)

// responsesTool is a tool, which has its function within in a task.
type responsesTool struct {
	Type        string          `json:"type"`
	Name        string          `json:"name"`
	Description *string         `json:"description"`
	Strict      *bool           `json:"strict"`
	Parameters  json.RawMessage `json:"parameters"`

	tools []responsesTool // of a namespace, which has no others within
	raw   json.RawMessage // what it is, where it is no function
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *responsesTool) UnmarshalJSON(b []byte) error {
	type plain responsesTool
	if err := json.Unmarshal(b, (*plain)(t)); err != nil {
		return err
	}
	if t.Type == "function" {
		return nil
	}
	t.raw = bytes.Clone(b)
	if t.Type != "namespace" {
		return nil
	}
	var in struct {
		Tools []plain `json:"tools"` // of one level: others would be read, and kept, once for each above them
	}
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	for _, tool := range in.Tools {
		t.tools = append(t.tools, responsesTool(tool))
	}
	return nil
}

// MarshalJSON implements json.Marshaler.
func (t responsesTool) MarshalJSON() ([]byte, error) {
	if t.raw != nil {
		return t.raw, nil
	}
	type plain responsesTool
	return json.Marshal(plain(t))
}

// spaced is a function as the client names it: some are in a namespace.
type spaced struct{ namespace, name string }

// nameWithin is what the model calls a function of a namespace.
func nameWithin(namespace, name string) string {
	if namespace == "" {
		return name
	}
	return namespace + "__" + name
}

// takeTools takes the functions, and the search of the web where the swarm has one. What else a model with OpenAI's own
// tools would be offered, ours is not: agents name it in every request. Where there is nothing else, it is missed.
func (q *responsesQuestion) takeTools(f *fields, g *Gateway, r *http.Request) {
	q.echo.Tools, q.echo.ToolChoice, q.echo.ParallelToolCalls = []responsesTool{}, json.RawMessage(`"auto"`), true
	f.take("tools", &q.echo.Tools)
	f.take("tool_choice", &q.echo.ToolChoice)
	if err := few(q.echo.ToolChoice); err != nil { // it is read below
		f.err, q.echo.ToolChoice = cmp.Or(f.err, error(unfit("tool_choice", err))), nil
	}
	tools := []openAITool{}
	var others []string
	add := func(namespace string, t responsesTool) {
		if t.Type != "function" {
			if namespace != "" {
				others = append(others, t.Type+" in a namespace")
			} else if !q.takeSearch(f, t, g, r) {
				others = append(others, t.Type)
			}
			return
		}
		name := nameWithin(namespace, t.Name)
		if namespace != "" {
			if q.spaced == nil {
				q.spaced = map[string]spaced{}
			}
			q.spaced[name] = spaced{namespace, t.Name}
		}
		tools = append(tools, openAITool{Type: "function", Function: openAIFunction{
			Name: name, Description: orEmpty(t.Description), Parameters: t.Parameters, Strict: t.Strict,
		}})
	}
	for _, t := range q.echo.Tools {
		if t.Type != "namespace" {
			add("", t)
		}
		for _, in := range t.tools {
			add(t.Name, in)
		}
	}
	tools = q.hosted.with(tools)
	noFunction(f, tools, others)
	q.choose(f, tools)
	var may *bool
	if f.take("parallel_tool_calls", &may); may != nil {
		q.echo.ParallelToolCalls = *may
		parallel(&q.req, *may)
	}
}

// choose offers the tools that the client lets the model choose from.
func (q *responsesQuestion) choose(f *fields, tools []openAITool) {
	var named struct{ Type, Name, Namespace string }
	_ = json.Unmarshal(q.echo.ToolChoice, &named) // a text is another way to choose
	choice := q.echo.ToolChoice
	if named.Type == "function" {
		choice = functionChoice(nameWithin(named.Namespace, named.Name))
	}
	if isSearch(named.Type) {
		choice = nil
		if q.hosted != nil {
			choice = functionChoice(searchTool)
		}
	}
	if named.Type == "allowed_tools" {
		tools, choice = q.allowed(tools)
	}
	q.offer(f, tools, choice)
}

// allowed are those tools that a tool_choice allows, and whether one must be called. What it names and is not there is left out.
func (q *responsesQuestion) allowed(tools []openAITool) ([]openAITool, json.RawMessage) {
	var in struct {
		Mode  json.RawMessage
		Tools []struct{ Type, Name, Namespace string }
	}
	_ = json.Unmarshal(q.echo.ToolChoice, &in) // one that is odd allows none
	may := map[string]bool{}
	for _, t := range in.Tools {
		if isSearch(t.Type) && q.hosted != nil {
			may[searchTool], may[pageTool] = true, may[pageTool] || q.hosted.tools[pageTool] != nil
		}
		if t.Type == "function" {
			may[nameWithin(t.Namespace, t.Name)] = true
		}
	}
	tools = slices.DeleteFunc(tools, func(t openAITool) bool { return !may[t.Function.Name] })
	return tools, in.Mode
}

// call is the wish that a tool be called; the result names its CallID.
func (q *responsesQuestion) call(c bus.ToolCall) responsesOutput {
	args := string(c.Arguments)
	if args == "" {
		args = "{}"
	}
	out := responsesOutput{ID: fmt.Sprintf("fc_%s_%d", q.id, len(q.done)), Type: "function_call", Status: "completed", CallID: c.ID, Name: c.Name, Arguments: &args}
	if in, ok := q.spaced[c.Name]; ok {
		out.Namespace, out.Name = in.namespace, in.name
	}
	if out.CallID == "" {
		out.CallID = "call_" + string(bus.NewTaskID())
	}
	return out
}
