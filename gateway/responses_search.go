package gateway

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

// isSearch reports whether a tool is OpenAI's search of the web, in one of its versions.
func isSearch(kind string) bool { return strings.HasPrefix(kind, "web_search") }

// takeSearch takes the search of the web, which reads pages too, and reports whether the swarm has it. One that may not
// leave what OpenAI has stored finds nothing here.
func (q *responsesQuestion) takeSearch(f *fields, t responsesTool, g *Gateway, r *http.Request) bool {
	var in struct {
		External *bool `json:"external_web_access"`
		Filters  struct {
			Allowed []string `json:"allowed_domains"`
		} `json:"filters"`
	}
	if !isSearch(t.Type) || json.Unmarshal(t.raw, &in) != nil || in.External != nil && !*in.External {
		return false
	}
	left := q.calls
	own := &hostedTool{left: &left, allowed: domainsOf(f, in.Filters.Allowed), page: hostedPage}
	if !q.host(g, r, searchTool, own) {
		return false
	}
	if !slices.ContainsFunc(q.echo.Tools, func(t responsesTool) bool { return t.Type == "function" && t.Name == pageTool }) { // the client's own
		q.host(g, r, pageTool, own)
	}
	return true
}

// said implements heeds.
func (q *responsesQuestion) said(r bus.InferenceResult) {
	if !q.stream {
		q.add(r)
	}
}

// search is the item of a finding.
func (q *responsesQuestion) search(f *finding, status string) responsesOutput {
	action := map[string]any{"type": "search", "query": f.query, "queries": []string{f.query}}
	if f.call.Name == pageTool {
		action = map[string]any{"type": "open_page", "url": f.url}
	} else if q.sources && status == "completed" {
		sources := []map[string]string{}
		for _, h := range f.hits {
			sources = append(sources, map[string]string{"type": "url", "url": h.URL})
		}
		action["sources"] = sources
	}
	return responsesOutput{ID: fmt.Sprintf("ws_%s_%d", q.id, len(q.done)), Type: "web_search_call", Status: status, Action: action}
}

// seeks implements heeds.
func (q *responsesQuestion) seeks(out *stream, f *finding) error {
	if out == nil {
		return nil
	}
	if err := q.start(out); err != nil {
		return err
	}
	if err := q.end(out); err != nil {
		return err
	}
	q.odds, q.told = nil, 0 // those of the call
	item := q.search(f, "in_progress")
	if err := q.send(out, "response.output_item.added", map[string]any{"output_index": len(q.done), "item": item}); err != nil {
		return err
	}
	for _, state := range []string{"in_progress", "searching"} {
		if err := q.send(out, "response.web_search_call."+state, map[string]any{"output_index": len(q.done), "item_id": item.ID}); err != nil {
			return err
		}
	}
	return nil
}

// found implements heeds.
func (q *responsesQuestion) found(out *stream, f *finding) error {
	item := q.search(f, "completed")
	if f.err != nil {
		item = q.search(f, "failed")
	}
	q.seen.add(f)
	if out == nil {
		q.done = append(q.done, item)
		return q.keep(out, f)
	}
	if err := q.send(out, "response.web_search_call.completed", map[string]any{"output_index": len(q.done), "item_id": item.ID}); err != nil {
		return err
	}
	if err := q.finish(out, item); err != nil {
		return err
	}
	return q.keep(out, f)
}

// keptMark begins what a reasoning item keeps of a finding.
const keptMark = "myco-found:"

// kept is a finding as the client keeps it.
type kept struct{ ID, Name, Arguments, Text string }

// keep gives a finding to a client that has functions of its own, for when it comes back with what one of them returned: a response
// need not be stored, and a web_search_call has no place for it. Clients send a reasoning item again as it is.
func (q *responsesQuestion) keep(out *stream, f *finding) error {
	if !q.hosted.beside() {
		return nil
	}
	data, err := json.Marshal(kept{f.call.ID, f.call.Name, string(f.call.Arguments), f.text()})
	if err != nil {
		return bus.Errorf(bus.CodeInternal, "encode what was found: %w", err)
	}
	item := responsesOutput{ID: q.reasoningID(), Type: "reasoning", Summary: &[]map[string]string{}, EncryptedContent: keptMark + base64.StdEncoding.EncodeToString(data)}
	if out == nil {
		q.done = append(q.done, item)
		return nil
	}
	if err := q.send(out, "response.output_item.added", map[string]any{"output_index": len(q.done), "item": item}); err != nil {
		return err
	}
	return q.finish(out, item)
}

// kept are the call, and its result, that keep has put into an item; ok is false where it has not.
func (item responsesItem) kept() (items []responsesItem, ok bool) {
	text, ok := strings.CutPrefix(item.EncryptedContent, keptMark)
	if !ok {
		return nil, false
	}
	var k kept
	data, err := base64.StdEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(data, &k)
	}
	if err != nil { // the client has cut it
		return nil, true
	}
	return []responsesItem{
		{Type: "function_call", CallID: k.ID, Name: k.Name, Arguments: k.Arguments},
		{Type: "function_call_output", CallID: k.ID, Output: openAIContent{text: k.Text}},
	}, true
}

// citations are the places of a text that name what was found.
func (q *responsesQuestion) citations(text string) []any {
	out := []any{}
	for _, c := range q.seen.citations(text) {
		out = append(out, struct {
			Type string `json:"type"`
			citation
		}{"url_citation", c})
	}
	return out
}

// cite tells of the citations of a message that is whole.
func (q *responsesQuestion) cite(out *stream, text string) error {
	for i, c := range q.citations(text) {
		if err := q.send(out, "response.output_text.annotation.added", q.part(map[string]any{"annotation_index": i, "annotation": c})); err != nil {
			return err
		}
	}
	return nil
}
