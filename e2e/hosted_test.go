//go:build e2e && linux

package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// The clients of OpenAI and Anthropic have a model search the web, which another node does by a real search engine, and read the
// page that it found: they see one answer, and what was done for it.
func TestClientsSearchTheWeb(t *testing.T) {
	mux := http.NewServeMux()
	site := httptest.NewServer(mux)
	t.Cleanup(site.Close)
	page := site.URL + "/paris"
	mux.HandleFunc("/find", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("q") != "capital of France" {
			t.Errorf("it looks for %q", r.FormValue("q"))
		}
		fmt.Fprintf(w, `{"results":[{"url":%q,"title":"Paris","content":"A city in France."}]}`, page)
	})
	mux.HandleFunc("/paris", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "<title>Paris</title><p>Paris is the capital of France, and has been for long.")
	})
	_, searx := startSearx(t, site.URL)
	s := harness.New(t, programs)
	var ledger engine.Ledger
	eng := startEngine(t, s, engine.Config{Name: "a", Ledger: &ledger, Script: func(r engine.Request) engine.Script {
		switch {
		case !strings.HasPrefix(r.Prompt, bus.NeverObey):
			return engine.Script{Words: []string{}, Calls: []engine.Call{{Name: "web_search", Arguments: map[string]any{"query": "capital of France"}}}}
		case !strings.Contains(r.Prompt, "and has been for long"):
			return engine.Script{Words: []string{"I ", "look. "}, Calls: []engine.Call{{Name: "web_fetch", Arguments: map[string]any{"url": page}}}}
		}
		return engine.Script{Words: []string{"Paris, ", "says ", page, "."}}
	}})
	a := s.Found(t, "a", "--engine", eng.URL(), "--no-web")
	b := s.Join(t, a, "b", "--search", searx.String(), "--web-allow", "127.0.0.1", "--web-port", site.URL[strings.LastIndex(site.URL, ":")+1:])
	harness.Settle(t, a, b)
	awaitModel(t, b, "a", engine.Model, true)
	awaitTypes(t, a, b.Info.NodeID, bus.TypeSearch, bus.TypeFetch)

	answer := "Paris, says " + page + "."
	item := func(action, query, url string) any {
		return map[string]any{"type": "web_search_call", "action": action, "query": query, "url": url, "status": "completed"}
	}
	ofResponses := []any{
		item("search", "capital of France", ""),
		map[string]any{"type": "message", "text": "I look. ", "cited": []any{}},
		item("open_page", "", page),
		map[string]any{"type": "message", "text": answer, "cited": []any{page}},
	}
	ofMessages := map[string]any{"reason": "end_turn", "searches": 1.0, "pages": 1.0, "blocks": []any{
		map[string]any{"type": "server_tool_use", "name": "web_search", "input": map[string]any{"query": "capital of France"}},
		map[string]any{"type": "web_search_tool_result", "urls": []any{page}, "error": ""},
		map[string]any{"type": "text", "text": "I look. "},
		map[string]any{"type": "server_tool_use", "name": "web_fetch", "input": map[string]any{"url": page}},
		map[string]any{"type": "web_fetch_tool_result", "url": page, "title": "Paris", "error": ""},
		map[string]any{"type": "text", "text": answer},
	}}
	ofChat := "I look. \n\n" + answer
	want := []any{ofResponses, ofResponses, map[string]any{"text": ofChat, "cited": []any{page}}, ofChat, ofMessages, []any{ofMessages, ofMessages}}
	got := hear(t, buildClients(t), a.Info.HTTPURL, engine.Model, "search")
	if len(got) != len(want) {
		t.Fatalf("%d calls, want %d", len(got), len(want))
	}
	for i, h := range got {
		var v any
		if err := json.Unmarshal(h.Got, &v); err != nil || h.Error != "" {
			t.Errorf("%s: %v %s", h.Call, err, h.Error)
		}
		if d := cmp.Diff(want[i], v); d != "" {
			t.Errorf("%s (-want +got):\n%s", h.Call, d)
		}
	}
}
