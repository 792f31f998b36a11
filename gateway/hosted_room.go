package gateway

import (
	"math"

	"github.com/mycoswarm/mycoswarm/bus"
)

const (
	// hostedHits bounds what a model gets to read of one search, in bytes; plugins may search too, and say as much as they like.
	hostedHits = 32 << 10
	// hostedTitle bounds the title of a page, and leastFind what is worth looking for, in bytes.
	hostedTitle = 256
	leastFind   = 512
	// byteAToken is how few bytes make a token, of what is to fit a context for sure.
	byteAToken = 3
	// unloadedContext is the context, in tokens, that Ollama gives to a model that is not known to be loaded.
	unloadedContext = 4096
)

var errContext = bus.Errorf(bus.CodeTooLarge, "what was read so far fills your context: answer by that")

// readable is how many bytes of what is found a model reads at the node that gave res, beside the conversation and its answer:
// any number where the node does not tell.
func (g *Gateway) readable(q *question, node bus.NodeID, res bus.InferenceResult) int {
	tokens := g.contextAt(node, q.model)
	if tokens == 0 {
		return math.MaxInt
	}
	size := len(q.req.Tools)
	for _, m := range q.req.Messages {
		size += messageSize(m)
	}
	answer := tokens / 4
	if n := q.req.MaxTokens; n > 0 {
		answer = min(n, answer)
	}
	return byteAToken * (tokens - max(res.PromptTokens, size/bytesAToken) - res.OutputTokens - answer)
}

func messageSize(m bus.Message) int {
	size := len(m.Role) + len(m.Content) + len(m.Thinking)
	for _, c := range m.ToolCalls {
		size += len(c.Name) + len(c.Arguments)
	}
	return size
}

// contextAt is how many tokens a model reads at a node; 0 where that does not tell.
func (g *Gateway) contextAt(node bus.NodeID, model string) int {
	model, _ = g.aimed(model)
	model = g.spelled(model)
	for _, n := range g.cfg.Swarm.Nodes() {
		for _, m := range n.Models {
			if n.ID != node || !bus.SameModel(m.Name, model) {
				continue
			}
			if m.Loaded {
				return m.ContextLength
			}
			return min(m.ContextLength, unloadedContext)
		}
	}
	return 0
}

// fit leaves as much of what was found as most bytes hold.
func (f *finding) fit(most int) {
	if len(f.hits) > 0 {
		most = min(most, hostedHits)
	}
	left := most - len(bus.Foreign(""))
	f.page.Text = cut(f.page.Text, max(0, left-len(f.page.Title)-len(f.page.URL)-len("\n\n\n")))
	for i := range f.hits {
		h := &f.hits[i]
		if left -= len(h.Title) + len(h.URL) + len("\n\n\n\n"); left <= 0 {
			f.hits = f.hits[:i]
			return
		}
		h.Content = cut(h.Content, left)
		left -= len(h.Content)
	}
}

// counted counts what the model is told in the room that the request has, and leaves it out where there is none.
func (l *toolLoop) counted(f *finding) {
	in, ok := l.r.Body.(*body)
	if !ok {
		return
	}
	if err := in.grows(len(f.text())); err != nil {
		f.hits, f.page, f.err = nil, bus.FetchResult{}, bus.AsError(err)
	}
}

// spend takes what a round has written from what the answer may have, and reports whether anything is left.
func (q *question) spend(tokens int) bool {
	if q.req.MaxTokens <= 0 {
		return true
	}
	q.req.MaxTokens -= tokens
	return q.req.MaxTokens > 0
}
