package gateway_test

import (
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// A domain has those within it, and what a path begins with; a * in the path is any part of it.
func TestHostedDomains(t *testing.T) {
	t.Parallel()
	for domain, pages := range map[string]map[string]bool{
		"example.com":            {"https://example.com/a": true, "https://docs.EXAMPLE.com": true, "https://notexample.com/": false, "https://example.com.evil.example/": false},
		"https://example.com/":   {"https://example.com/a": true, "https://other.example/": false},
		"docs.example.com":       {"https://docs.example.com/a": true, "https://example.com/": false, "https://api.example.com/": false},
		"example.com/blog":       {"https://example.com/blog": true, "https://example.com/Blog/post-1?a=b": true, "https://example.com/blogger": false, "https://example.com/": false, "https://example.com/blog/../a": false, "https://example.com/blog/%2e%2e/a": false},
		"example.com/blog/":      {"https://example.com/blog/post-1": true, "https://example.com/blogger": false},
		"example.com/*":          {"https://example.com/": true, "https://example.com": true, "https://example.com/a/b": true, "https://other.example/": false},
		"example.com/*/articles": {"https://example.com/en/articles": true, "https://example.com/en/articles/x": true, "https://example.com/articles": false, "https://example.com/en/news": false},
		"example.com/a.b":        {"https://example.com/a.b": true, "https://example.com/axb": false},
		"example.com/[a]?*":      {"https://example.com/[a]%3Fb/1": true, "https://example.com/a/1": false},
		"example.com/b%C3%BC":    {"https://example.com/bü/1": true},
	} {
		for page, of := range pages {
			for list, opens := range map[string]bool{"allowed_domains": of, "blocked_domains": !of} {
				o, g := searcher(t, bus.InferenceResult{ToolCalls: []bus.ToolCall{calls("web_fetch", `{"url":"`+page+`"}`)}}, bus.InferenceResult{Text: "So."})
				local(t, g, "POST", "/v1/messages", `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"see `+page+`"}],"tools":[{"type":"web_fetch_20250910","name":"web_fetch","`+list+`":["x.example","`+domain+`"]}]}`)
				if _, others := o.requests(t); len(others) == 1 != opens {
					t.Errorf("%s %s: %s led to %v", list, domain, page, others)
				}
			}
		}
	}
	for _, domain := range []string{"*.example.com", "ex*.com", "*", "", "/blog", "https://"} {
		for target, body := range map[string]string{
			"/v1/messages":  `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}],"tools":[{"type":"web_search_20250305","name":"web_search","blocked_domains":["` + domain + `"]}]}`,
			"/v1/responses": `{"model":"m","input":"hi","tools":[{"type":"web_search","filters":{"allowed_domains":["` + domain + `"]}}]}`,
		} {
			_, g := searcher(t, bus.InferenceResult{Text: "So."})
			if w := local(t, g, "POST", target, body); w.Code != 400 || !strings.Contains(w.Body.String(), "domain") {
				t.Errorf("%s of %q: %d %s", target, domain, w.Code, w.Body)
			}
		}
	}
}

// A page that sends on to a domain that the request closes is not read.
func TestHostedPageSentOn(t *testing.T) {
	t.Parallel()
	_, g := searcher(t, bus.InferenceResult{ToolCalls: []bus.ToolCall{calls("web_fetch", `{"url":"https://a.example"}`)}}, bus.InferenceResult{Text: "So."})
	v := object(t, local(t, g, "POST", "/v1/messages", `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"see https://a.example"}],
		"tools":[{"type":"web_fetch_20250910","name":"web_fetch","blocked_domains":["moon.example"]}]}`))
	if at(v, "content", 1, "content", "error_code") != "url_not_allowed" || strings.Contains(at(v, "content", 1).(map[string]any)["type"].(string), "July") {
		t.Errorf("the answer is %v", at(v, "content"))
	}
}
