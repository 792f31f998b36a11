package gateway

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// The tools that the swarm has itself, where a node of it does tasks of their types: a model that calls them
// gets what they return, and its answer goes on. To a model they are functions like any other.
const (
	searchTool = bus.TypeSearch
	pageTool   = bus.TypeFetch
)

const (
	// hostedCalls is how often a model may call them in one answer, where the request does not say, and hostedMost where it does:
	// one that calls for ever keeps an engine busy.
	hostedCalls = 8
	hostedMost  = 64
	// pointless is how many calls beyond that lead to an error, and are heard.
	pointless = 4
	// hostedPage is how much of a page a model gets to read, in bytes, where the request does not say.
	hostedPage = 8 << 10
	// hostedTime is for one call.
	hostedTime = time.Minute
)

// hostedTool is what a request says of one of them.
type hostedTool struct {
	left *int // calls; two tools may have them in common
	// allowed and blocked are of the pages that may be told of. An empty allowed is all.
	allowed, blocked []domain
	page             int // bytes
}

// hosted are those that a request names.
type hosted struct {
	tools map[string]*hostedTool // by the function's name
	all   []openAITool           // all functions of the request, these among them
	// calls is how many more are heard, those that lead to nothing among them: a model that repeats one that it may not make
	// would never end.
	calls int
	ids   map[string]bool // of the calls so far
}

// serves reports whether a node of the swarm does tasks of a type.
func (g *Gateway) serves(typ string) bool {
	return slices.ContainsFunc(g.cfg.Swarm.Nodes(), func(n bus.NodeInfo) bool {
		return n.State.Live() && slices.Contains(n.Types, typ)
	})
}

// hostedFunction is what a model is told of one.
func hostedFunction(name string) openAITool {
	f := openAIFunction{
		Name: searchTool, Description: "Searches the web. Returns titles, addresses and excerpts of pages. Name the addresses of those that an answer is from.",
		Parameters: json.RawMessage(`{"type":"object","properties":{"query":{"type":"string","description":"what to look for"}},"required":["query"]}`),
	}
	if name == pageTool {
		f = openAIFunction{
			Name: pageTool, Description: "Reads a page of the web, of an address that was found or named before. Returns its text.",
			Parameters: json.RawMessage(`{"type":"object","properties":{"url":{"type":"string","description":"the page's address"}},"required":["url"]}`),
		}
	}
	return openAITool{Type: "function", Function: f}
}

// host offers a tool, if the swarm has it and who asks may use it: a key that may not have pages fetched may not have a model
// do so. A function of the client's that is called the same gives way, as in Ollama.
func (q *question) host(g *Gateway, r *http.Request, name string, t *hostedTool) bool {
	if h := holderOf(r); !g.serves(name) || name == pageTool && h != nil && !h.may(forManager) {
		return false
	}
	if q.hosted == nil {
		q.hosted = &hosted{tools: map[string]*hostedTool{}, ids: map[string]bool{}}
	}
	*t.left = min(*t.left, hostedMost)
	q.hosted.tools[name] = t
	return true
}

// with adds the hosted tools to the client's functions.
func (h *hosted) with(tools []openAITool) []openAITool {
	if h == nil {
		return tools
	}
	for _, name := range []string{searchTool, pageTool} {
		if h.tools[name] != nil {
			tools = slices.DeleteFunc(tools, func(t openAITool) bool { return t.Function.Name == name })
			tools = append(tools, hostedFunction(name))
		}
	}
	h.all, h.calls = tools, hostedMost+pointless
	return tools
}

// offer puts the tools into the task. The swarm's own that are not offered are not heard either.
func (q *question) offer(f *fields, tools []openAITool, choice json.RawMessage) {
	if q.hosted != nil {
		q.hosted.all = tools
		for name := range q.hosted.tools {
			if string(choice) == `"none"` || !slices.ContainsFunc(tools, func(t openAITool) bool { return t.Function.Name == name }) {
				delete(q.hosted.tools, name)
			}
		}
		if len(q.hosted.tools) == 0 {
			q.hosted = nil
		}
	}
	offer(&q.req, f, tools, choice)
}

// beside reports whether the client has functions too.
func (h *hosted) beside() bool {
	return slices.ContainsFunc(h.all, func(t openAITool) bool { return h.tools[t.Function.Name] == nil })
}

// open reports whether any of them may still be called.
func (h *hosted) open() bool {
	for _, t := range h.tools {
		if *t.left > 0 && h.calls > 0 {
			return true
		}
	}
	return false
}

// offer says in a request which tools there are after some calls.
func (h *hosted) offer(req *bus.InferenceRequest) error {
	var tools []openAITool
	for _, t := range h.all {
		if own := h.tools[t.Function.Name]; own == nil || *own.left > 0 && h.calls > 0 {
			tools = append(tools, t)
		}
	}
	delete(req.Extra, "tool_choice") // it was for the first of them
	req.Tools = nil
	if len(tools) == 0 {
		delete(req.Extra, "parallel_tool_calls")
		return nil
	}
	var err error
	req.Tools, err = json.Marshal(tools)
	return err
}

// parted tells calls of hosted tools from those of the client's functions.
func (h *hosted) parted(calls []bus.ToolCall) (own, others []bus.ToolCall) {
	for _, c := range calls {
		if h.tools[c.Name] != nil {
			own = append(own, c)
		} else {
			others = append(others, c)
		}
	}
	return own, others
}

// name gives each call an id that no other of the answer has: some engines give none, or count anew with each question.
func (h *hosted) name(calls []bus.ToolCall) {
	for i := range calls {
		if id := calls[i].ID; id == "" || h.ids[id] {
			calls[i].ID = "call_" + string(bus.NewTaskID())
		}
		h.ids[calls[i].ID] = true
	}
}
