package gateway

import (
	"maps"
	"net/http"
	"slices"

	"github.com/mycoswarm/mycoswarm/bus"
)

// heeds tells of what a model finds while it answers. out is nil where the answer is told at once.
type heeds interface {
	// said takes in what the model said before it called, which a stream has told already.
	said(bus.InferenceResult)
	// seeks tells that something is looked for, and found what there was.
	seeks(out *stream, f *finding) error
	found(out *stream, f *finding) error
}

// answer reads the rest of the request, and has the swarm answer, calls of hosted tools included. Its result is what is still to be
// told: the last of the answer, with what all of it took.
func (g *Gateway) answer(r *http.Request, q *question, t heeds, out *stream, piece pieces) (bus.TaskInfo, bus.InferenceResult, error) {
	if err := q.readRest(r, out); err != nil {
		return bus.TaskInfo{}, bus.InferenceResult{}, err
	}
	if q.hosted == nil {
		return g.ask(r, q.task, q.model, &q.req, piece)
	}
	if in, ok := r.Body.(*body); ok {
		in.stays = true
	}
	l := &toolLoop{g: g, r: r, q: q, t: t, out: out, piece: piece, task: q.task}
	return l.run()
}

// toolLoop is an answer within which the model may call hosted tools: it is asked again, with what these return, until it calls for
// none.
type toolLoop struct {
	g     *Gateway
	r     *http.Request
	q     *question
	t     heeds
	out   *stream // nil where the answer is told at once
	piece pieces
	task  bus.TaskID // of the first question; those that follow have ids of their own
}

func (l *toolLoop) run() (bus.TaskInfo, bus.InferenceResult, error) {
	var sum bus.InferenceResult // of the tokens
	for open := true; ; open = l.q.hosted.open() {
		info, res, over, err := l.round(open)
		sum.PromptTokens, sum.CachedTokens, sum.OutputTokens = sum.PromptTokens+res.PromptTokens, sum.CachedTokens+res.CachedTokens, sum.OutputTokens+res.OutputTokens
		res.PromptTokens, res.CachedTokens, res.OutputTokens = sum.PromptTokens, sum.CachedTokens, sum.OutputTokens
		if err != nil || over {
			return info, res, err
		}
		if err := l.q.hosted.offer(&l.q.req); err != nil {
			return info, res, err
		}
	}
}

// round asks the model once, and does what it calls for. over tells that res is what is left to be told.
func (l *toolLoop) round(open bool) (info bus.TaskInfo, res bus.InferenceResult, over bool, err error) {
	q := l.q
	req, draft := q.next(open) // ask lets go of a long one
	info, res, err = l.g.ask(l.r, l.task, q.model, &req, q.hosted.without(l.piece, draft))
	if l.task = ""; err != nil {
		return info, res, true, err
	}
	most, said := l.g.readable(q, info.NodeID, res), res
	own, others := q.hosted.parted(res.ToolCalls)
	if res.ToolCalls = others; draft {
		res.Text, res.Logprobs = "", nil
	}
	switch {
	case draft && len(said.ToolCalls) == 0:
		q.hosted.calls = 0
		l.t.said(res)
		return info, res, false, nil
	case len(own) == 0 || !open: // it may call what it is not offered
		return info, res, true, nil
	case !q.spend(res.OutputTokens):
		res.DoneReason = "length"
		return info, res, true, nil
	}
	if l.out != nil {
		l.out.begin(info.NodeID, res.Demo)
		l.out.more = false // the last piece may have been kept back
	}
	l.t.said(res)
	if len(others) > 0 { // the client's turn
		res.Text, res.Thinking, res.Logprobs = "", "", nil
	}
	return info, res, len(others) > 0, l.find(said, own, most)
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
func (h *hosted) without(piece pieces, draft bool) pieces {
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
func (l *toolLoop) find(said bus.InferenceResult, calls []bus.ToolCall, most int) error {
	q := l.q
	q.hosted.name(calls)
	q.req.Messages = append(q.req.Messages, bus.Message{Role: "assistant", Content: said.Text, Thinking: said.Thinking, ToolCalls: calls})
	for i, c := range calls {
		f := &finding{call: c}
		f.read()
		q.hosted.calls--
		if err := l.t.seeks(l.out, f); err != nil {
			return err
		}
		share := most / (len(calls) - i)
		if f.err == nil && share < leastFind {
			f.err, q.hosted.calls = errContext, 0
		}
		if f.err == nil {
			l.seek(f)
			f.fit(share)
			l.counted(f)
		}
		if err := l.r.Context().Err(); err != nil {
			return bus.AsError(err)
		}
		if err := l.t.found(l.out, f); err != nil {
			return err
		}
		text := f.text()
		most -= len(text)
		q.req.Messages = append(q.req.Messages, bus.Message{Role: "tool", ToolCallID: c.ID, ToolName: c.Name, Content: text})
	}
	return nil
}

// seek searches, or fetches a page, within what the request allows.
func (l *toolLoop) seek(f *finding) {
	t := l.q.hosted.tools[f.call.Name]
	if *t.left <= 0 || l.q.hosted.calls <= 0 {
		f.err = errNoCalls
		return
	}
	*t.left--
	if f.call.Name == pageTool {
		l.fetch(t, f)
		return
	}
	req := bus.SearchRequest{Query: f.query}
	if len(t.allowed)+len(t.blocked) > 0 {
		req.MaxResults = bus.MaxHits
	}
	var res bus.SearchResult
	err := req.Validate()
	if err == nil {
		res, err = hostedTask[bus.SearchResult](l.g, l.r, bus.TypeSearch, req)
	}
	if err != nil {
		f.err = bus.AsError(err)
		return
	}
	for _, hit := range res.Results {
		if hit.URL != "" && t.allows(hit.URL) && len(f.hits) < bus.DefaultHits {
			f.hits = append(f.hits, hit)
		}
	}
}

// fetch gets a page. A model may read those alone that the conversation names: an address that it makes up could carry out
// what it has been told.
func (l *toolLoop) fetch(t *hostedTool, f *finding) {
	req := bus.FetchRequest{URL: f.url, MaxBytes: bus.DefaultPage}
	err := req.Validate()
	switch {
	case err != nil:
	case !slices.ContainsFunc(l.q.req.Messages, func(m bus.Message) bool { return m.Role != "assistant" && namesPage(m.Content, f.url) }):
		err = errUnknown
	case !t.allows(f.url):
		err = errBlocked
	default:
		if f.page, err = hostedTask[bus.FetchResult](l.g, l.r, bus.TypeFetch, req); err == nil && !t.allows(f.page.URL) { // it was sent on
			err = errBlocked
		}
	}
	if err != nil {
		f.page, f.err = bus.FetchResult{}, bus.AsError(err)
		return
	}
	f.page.Title, f.page.Text = cut(f.page.Title, hostedTitle), cut(f.page.Text, t.page)
}

// hostedTask has the swarm do a task on behalf of who asks.
func hostedTask[T any](g *Gateway, r *http.Request, typ string, payload any) (out T, _ error) {
	t, err := bus.NewTask(typ, payload)
	if err != nil {
		return out, err
	}
	t.Timeout, t.Part = hostedTime, true
	if ofBatch(r) {
		t.Timeout = 0 // as of documents
	}
	info, err := g.runTask(r, t, noPieces)
	if err == nil {
		out, err = bus.Result[T](info)
	}
	if err != nil { // it may repeat what a server has said
		e := bus.AsError(err)
		return out, bus.Errorf(e.Code, "%s", bus.Foreign(cut(e.Message, leastFind/2)))
	}
	return out, nil
}
