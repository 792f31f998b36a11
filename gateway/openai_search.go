package gateway

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

// searched is what a chat tells of that was made from the web. OpenAI's models for that search without a word of it, and mark
// in the answer what it is from.
type searched struct {
	seen seen
	text strings.Builder // of the answer so far
	gap  bool            // the model has looked for something since
	// thinking and odds are those of an answer at once, but for its last part.
	thinking string
	odds     []bus.Logprob
}

// openAIAnnotation marks in a message what a part of it is from.
type openAIAnnotation struct {
	Type string   `json:"type"`
	URL  citation `json:"url_citation"`
}

// takeSearch takes the wish that a chat be answered from the web. Where the swarm has no search, it is left to an engine that may have
// one.
func (q *openAIQuestion) takeSearch(f *fields, g *Gateway, r *http.Request) {
	if f.left["web_search_options"] == nil || f.err != nil {
		return
	}
	left := hostedCalls
	own := &hostedTool{left: &left, page: hostedPage}
	if !q.host(g, r, searchTool, own) {
		if m, err := g.model(q.model); err != nil || m.Engine != "openai" {
			f.err = misfit("web_search_options", "no node of the swarm searches the web: mycod --search URL")
		}
		return
	}
	var options map[string]json.RawMessage // where the user is, and how much to read: not heeded
	f.take("web_search_options", &options)
	var tools []openAITool
	if len(q.req.Tools) > 0 {
		f.left["tools"] = q.req.Tools // which are read only here
		f.take("tools", &tools)
	}
	if !slices.ContainsFunc(tools, func(t openAITool) bool { return t.Function.Name == pageTool }) { // the client's own
		q.host(g, r, pageTool, own)
	}
	q.offer(f, q.hosted.with(tools), nil)
}

// says is a text as the client gets it: apart from what was said before something was looked for.
func (q *openAIQuestion) says(text string) string {
	if q.hosted == nil || text == "" {
		return text
	}
	if q.web.gap {
		text, q.web.gap = "\n\n"+text, false
	}
	q.web.text.WriteString(text)
	return text
}

// said implements heeds.
func (q *openAIQuestion) said(r bus.InferenceResult) {
	if q.stream {
		return
	}
	q.says(r.Text)
	q.web.thinking += r.Thinking
	q.web.odds = append(q.web.odds, r.Logprobs...)
}

// seeks implements heeds. Of a stream a person reads in a comment what is looked for: the interface has no word for that.
func (q *openAIQuestion) seeks(out *stream, f *finding) error {
	q.web.gap = q.web.text.Len() > 0
	if !q.stream {
		return nil
	}
	what := "searching the web: " + f.query
	if f.url != "" {
		what = "reading " + f.url
	}
	out.begin("", false)
	return out.write(": " + cut(strings.Join(strings.Fields(what), " "), seekMost) + "\n\n") // in one line, whatever the model calls for
}

// seekMost is how long the comment is that tells of it, in bytes.
const seekMost = 200

// found implements heeds.
func (q *openAIQuestion) found(_ *stream, f *finding) error {
	q.web.seen.add(f)
	return nil
}

// all is an answer at once, with what was said before the last of it.
func (q *openAIQuestion) all(r bus.InferenceResult) bus.InferenceResult {
	if q.hosted != nil {
		q.said(r)
		r.Text, r.Thinking, r.Logprobs = q.web.text.String(), q.web.thinking, q.web.odds
	}
	return r
}

func (q *openAIQuestion) annotations() (out []openAIAnnotation) {
	for _, c := range q.web.seen.citations(q.web.text.String()) {
		out = append(out, openAIAnnotation{"url_citation", c})
	}
	return out
}
