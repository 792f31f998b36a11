package gateway

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mycoswarm/mycoswarm/bus"
)

// anthropicHosted is what a request says of a tool that Anthropic has itself.
type anthropicHosted struct {
	MaxUses    *int     `json:"max_uses"`
	Allowed    []string `json:"allowed_domains"`
	Blocked    []string `json:"blocked_domains"`
	MaxContent int      `json:"max_content_tokens"`
}

// takeHosted takes the search of the web, or the reading of its pages, and reports whether the swarm has that.
func (q *anthropicQuestion) takeHosted(f *fields, g *Gateway, r *http.Request, kind string, in anthropicHosted) bool {
	name := ""
	switch {
	case strings.HasPrefix(kind, "web_search_"):
		name = searchTool
	case strings.HasPrefix(kind, "web_fetch_"):
		name = pageTool
	default:
		return false
	}
	left := hostedCalls
	if in.MaxUses != nil {
		left = *in.MaxUses
	}
	t := &hostedTool{left: &left, allowed: domainsOf(f, in.Allowed), blocked: domainsOf(f, in.Blocked), page: hostedPage}
	if in.MaxContent > 0 {
		t.page = min(in.MaxContent, bus.DefaultPage/bytesAToken) * bytesAToken
	}
	return q.host(g, r, name, t)
}

// said implements heeds.
func (q *anthropicQuestion) said(r bus.InferenceResult) {
	if !q.stream {
		q.add(r)
	}
}

// seeks implements heeds. The call becomes one of the server's.
func (q *anthropicQuestion) seeks(out *stream, f *finding) error {
	call := anthropicCall(f.call, noInput)
	call["type"], call["id"] = "server_tool_use", serverID(f)
	input := map[string]string{"query": f.query}
	if f.call.Name == pageTool {
		q.fetches++
		input = map[string]string{"url": f.url}
	} else {
		q.searches++
	}
	raw, err := json.Marshal(input)
	if err != nil {
		return bus.Errorf(bus.CodeInternal, "encode a call: %w", err)
	}
	if out == nil {
		call["input"] = json.RawMessage(raw)
		q.content = append(q.content, call)
		return nil
	}
	if err := q.start(out); err != nil {
		return err
	}
	return q.called(out, call, raw)
}

// serverID names a call as Anthropic names its own.
func serverID(f *finding) string { return "srvtoolu_" + strings.TrimPrefix(f.call.ID, "call_") }

// found implements heeds.
func (q *anthropicQuestion) found(out *stream, f *finding) error {
	block := map[string]any{"type": f.call.Name + "_tool_result", "tool_use_id": serverID(f), "content": f.block()}
	if out == nil {
		q.content = append(q.content, block)
		return nil
	}
	if err := q.begin(out, "tool_result", block); err != nil {
		return err
	}
	return q.end(out)
}

// block is what was found, as Anthropic spells it.
func (f *finding) block() any {
	switch {
	case f.err != nil:
		return map[string]string{"type": f.call.Name + "_tool_result_error", "error_code": f.errorCode()}
	case f.call.Name == pageTool:
		return map[string]any{
			"type": "web_fetch_result", "url": f.page.URL, "retrieved_at": f.page.FetchedAt.UTC().Format(time.RFC3339),
			"content": map[string]any{
				"type": "document", "title": f.page.Title, "source": map[string]string{"type": "text", "media_type": "text/plain", "data": f.page.Text},
			},
		}
	}
	hits := []any{}
	for _, h := range f.hits {
		var age any
		if !h.Published.IsZero() {
			age = h.Published.Format("January 2, 2006")
		}
		hits = append(hits, map[string]any{
			"type": "web_search_result", "url": h.URL, "title": h.Title, "page_age": age, "encrypted_content": base64.StdEncoding.EncodeToString([]byte(h.Content)),
		})
	}
	return hits
}

// errorCode is why nothing was found, in Anthropic's words.
func (f *finding) errorCode() string {
	page := f.call.Name == pageTool
	switch {
	case f.err == errNoCalls:
		return "max_uses_exceeded"
	case f.err == errContext:
		return "unavailable"
	case f.err == errUnknown || f.err == errBlocked:
		return "url_not_allowed"
	case f.err.Code == bus.CodeInvalid:
		return "invalid_tool_input"
	case f.err.Code == bus.CodeBusy:
		return "too_many_requests"
	case page && f.err.Code != bus.CodeNoWorker:
		return "url_not_accessible"
	}
	return "unavailable"
}

// foundText is the text of what was found earlier in a conversation. What another server has found is encrypted by it, and
// its addresses are what can be read.
func foundText(b anthropicBlock) string {
	var hits []bus.SearchHit
	for _, part := range b.Content.blocks {
		if part.ErrorCode != "" {
			return "It failed: " + part.ErrorCode
		}
		if part.Type == "web_fetch_result" {
			var page struct {
				Title  string
				Source struct{ Type, Data string }
			}
			if json.Unmarshal(part.Page, &page) != nil || page.Source.Type != "text" { // a PDF, read by another server
				page.Source.Data = ""
			}
			return bus.ForeignPage(page.Title, part.URL, page.Source.Data)
		}
		hit := bus.SearchHit{Title: part.Title, URL: part.URL}
		if text, err := base64.StdEncoding.DecodeString(part.EncryptedContent); err == nil && utf8.Valid(text) {
			hit.Content = string(text)
		}
		hits = append(hits, hit)
	}
	return bus.ForeignHits(hits)
}
