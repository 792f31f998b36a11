package gateway

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
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

// heeds tells of what a model finds while it answers. out is nil where the answer is told at once.
type heeds interface {
	// said takes in what the model said before it called, which a stream has told already.
	said(bus.InferenceResult)
	// seeks tells that something is looked for, and found what there was.
	seeks(out *stream, f *finding) error
	found(out *stream, f *finding) error
}

// finding is a call of a hosted tool.
type finding struct {
	call  bus.ToolCall
	query string // of a search
	url   string // of a page
	hits  []bus.SearchHit
	page  bus.FetchResult
	err   *bus.Error
}

// answer reads the rest of the request, and has the swarm answer, calls of hosted tools included. Its result is what is still to be told: the last of the answer, with
// what all of it took.
func (g *Gateway) answer(r *http.Request, q *question, t heeds, out *stream, piece func(bus.NodeID, bus.InferenceChunk) error) (bus.TaskInfo, bus.InferenceResult, error) {
	if err := q.readRest(r, out); err != nil {
		return bus.TaskInfo{}, bus.InferenceResult{}, err
	}
	if q.hosted == nil {
		return g.ask(r, q.task, q.model, &q.req, piece)
	}
	if in, ok := r.Body.(*body); ok {
		in.stays = true
	}
	var read, cached, written int
	id := q.task
	for open := true; ; open = q.hosted.open() {
		info, res, over, err := g.round(r, id, q, t, out, piece, open)
		id = "" // what it finds, and what it says of that, are tasks of their own
		read, cached, written = read+res.PromptTokens, cached+res.CachedTokens, written+res.OutputTokens
		res.PromptTokens, res.CachedTokens, res.OutputTokens = read, cached, written
		if err != nil || over {
			return info, res, err
		}
		if err := q.hosted.offer(&q.req); err != nil {
			return info, res, err
		}
	}
}

// round asks the model once, and does what it calls for. over tells that the answer ends with that.
func (g *Gateway) round(r *http.Request, id bus.TaskID, q *question, t heeds, out *stream, piece func(bus.NodeID, bus.InferenceChunk) error, open bool) (info bus.TaskInfo, res bus.InferenceResult, over bool, err error) {
	req, draft := q.next(open) // ask lets go of a long one
	info, res, err = g.ask(r, id, q.model, &req, q.hosted.without(piece, draft))
	if err != nil {
		return info, res, true, err
	}
	most, whole := g.readable(q, info.NodeID, res), res
	own, others := q.hosted.parted(res.ToolCalls)
	if res.ToolCalls = others; draft {
		res.Text, res.Logprobs = "", nil
	}
	switch {
	case draft && len(whole.ToolCalls) == 0:
		q.hosted.calls = 0
		t.said(res)
		return info, res, false, nil
	case len(own) == 0 || !open: // it may call what it is not offered
		return info, res, true, nil
	case !q.spend(res.OutputTokens):
		res.DoneReason = "length"
		return info, res, true, nil
	}
	if out != nil {
		out.begin(info.NodeID, res.Demo)
		out.more = false // the last piece may have been kept back
	}
	t.said(res)
	if len(others) > 0 { // the client's turn
		res.Text, res.Thinking, res.Logprobs = "", "", nil
	}
	return info, res, len(others) > 0, g.find(r, q, t, out, whole, own, most)
}

// next is the next question to the model. While it may call hosted tools it is held to no format: an engine that has it write
// nothing else lets it call nothing. What it says then is a draft, which nobody is told: it is asked once more, in the format and
// with nothing to call.
func (q *question) next(open bool) (req bus.InferenceRequest, draft bool) {
	req = q.req
	switch {
	case len(req.Format) == 0:
	case open:
		req.Format, req.Extra, draft = nil, maps.Clone(req.Extra), true
		delete(req.Extra, "response_format")
	default:
		req.Tools = nil
		delete(req.Extra, "parallel_tool_calls")
	}
	return req, draft
}

// without is piece without calls of hosted tools, which are none of the client's, and without the words of a draft.
func (h *hosted) without(piece func(bus.NodeID, bus.InferenceChunk) error, draft bool) func(bus.NodeID, bus.InferenceChunk) error {
	if piece == nil {
		return nil
	}
	return func(n bus.NodeID, c bus.InferenceChunk) error {
		if _, c.ToolCalls = h.parted(c.ToolCalls); draft {
			c.Text, c.Logprobs = "", nil
		}
		if c.Empty() {
			return nil
		}
		return piece(n, c)
	}
}

// find does what a model has called for, and puts both into the conversation: as much as most bytes.
func (g *Gateway) find(r *http.Request, q *question, t heeds, out *stream, res bus.InferenceResult, calls []bus.ToolCall, most int) error {
	for i := range calls {
		if id := calls[i].ID; id == "" || q.hosted.ids[id] { // some engines count anew with each answer
			calls[i].ID = "call_" + string(bus.NewTaskID())
		}
		q.hosted.ids[calls[i].ID] = true
	}
	q.req.Messages = append(q.req.Messages, bus.Message{Role: "assistant", Content: res.Text, Thinking: res.Thinking, ToolCalls: calls})
	for i, c := range calls {
		f := &finding{call: c}
		f.read()
		q.hosted.calls--
		if err := t.seeks(out, f); err != nil {
			return err
		}
		share := most / (len(calls) - i)
		if f.err == nil && share < leastFind {
			f.err, q.hosted.calls = errContext, 0
		}
		if f.err == nil {
			g.seek(r, q, f)
			f.fit(share)
			g.counted(r, f)
		}
		if r.Context().Err() != nil {
			return bus.AsError(r.Context().Err())
		}
		if err := t.found(out, f); err != nil {
			return err
		}
		text := f.text()
		most -= len(text)
		q.req.Messages = append(q.req.Messages, bus.Message{Role: "tool", ToolCallID: c.ID, ToolName: c.Name, Content: text})
	}
	return nil
}

// read takes the arguments of the call.
func (f *finding) read() {
	var in struct{ Query, URL string }
	args := f.call.Arguments
	var text string
	if json.Unmarshal(args, &text) == nil { // what is no JSON, or JSON in a text
		args = json.RawMessage(text)
	}
	if err := json.Unmarshal(args, &in); err != nil {
		f.err = bus.Errorf(bus.CodeInvalid, "the arguments are no JSON object")
	}
	if f.call.Name == pageTool {
		f.url = strings.TrimSpace(in.URL)
	} else {
		f.query = strings.TrimSpace(in.Query)
	}
}

// seek searches, or fetches a page, within what the request allows.
func (g *Gateway) seek(r *http.Request, q *question, f *finding) {
	t := q.hosted.tools[f.call.Name]
	if *t.left <= 0 || q.hosted.calls <= 0 {
		f.err = errNoCalls
		return
	}
	*t.left--
	if f.call.Name == pageTool {
		g.open(r, q, t, f)
		return
	}
	req := bus.SearchRequest{Query: f.query}
	if len(t.allowed)+len(t.blocked) > 0 {
		req.MaxResults = bus.MaxHits
	}
	res, err := hostedTask[bus.SearchResult](g, r, bus.TypeSearch, req, req.Validate())
	if err != nil {
		f.err = bus.AsError(err)
		return
	}
	for _, hit := range res.Results {
		if hit.URL != "" && t.open(hit.URL) && len(f.hits) < bus.DefaultHits {
			f.hits = append(f.hits, hit)
		}
	}
}

var (
	errNoCalls = bus.Errorf(bus.CodeBusy, "this has been called as often as one answer may")
	errUnknown = bus.Errorf(bus.CodeForbidden, "this address was neither named nor found before")
	errBlocked = bus.Errorf(bus.CodeForbidden, "pages of this domain are not to be read")
)

// open fetches a page. A model may read those alone that the conversation names: an address that it makes up could carry out
// what it has been told.
func (g *Gateway) open(r *http.Request, q *question, t *hostedTool, f *finding) {
	req := bus.FetchRequest{URL: f.url, MaxBytes: bus.DefaultPage}
	err := req.Validate()
	switch {
	case err != nil:
	case !slices.ContainsFunc(q.req.Messages, func(m bus.Message) bool { return m.Role != "assistant" && namesPage(m.Content, f.url) }):
		err = errUnknown
	case !t.open(f.url):
		err = errBlocked
	}
	f.page, err = hostedTask[bus.FetchResult](g, r, bus.TypeFetch, req, err)
	if err == nil && !t.open(f.page.URL) { // it was sent on
		f.page, err = bus.FetchResult{}, errBlocked
	}
	if err != nil {
		f.err = bus.AsError(err)
		return
	}
	f.page.Title, f.page.Text = cut(f.page.Title, hostedTitle), cut(f.page.Text, t.page)
}

// hostedTask has the swarm do a task on behalf of who asks, unless there is an error already.
func hostedTask[T any](g *Gateway, r *http.Request, typ string, payload any, err error) (out T, _ error) {
	if err != nil {
		return out, err
	}
	t, err := bus.NewTask(typ, payload)
	if err != nil {
		return out, err
	}
	t.Timeout, t.Part = hostedTime, true
	if ofBatch(r) {
		t.Timeout = 0 // as of documents
	}
	info, err := g.runTask(r, t, func(bus.Chunk) error { return nil })
	if err == nil {
		out, err = bus.Result[T](info)
	}
	if err != nil { // it may repeat what a server has said
		e := bus.AsError(err)
		return out, bus.Errorf(e.Code, "%s", foreign(cut(e.Message, leastFind/2)))
	}
	return out, nil
}
