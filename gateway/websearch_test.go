package gateway_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/bus"
)

// pages finds pages, and gets them.
func pages(t bus.Task, _ func(bus.Chunk) error) (any, error) {
	if t.Type == bus.TypeSearch {
		return bus.SearchResult{Results: []bus.SearchHit{
			{Title: "Bees", URL: "https://a.example/bees", Content: "They hum.", Engines: []string{"one"}},
			{Title: "Wasps", URL: "https://b.example/"},
		}, Silent: []string{"two (timeout)"}}, nil
	}
	return bus.FetchResult{URL: "https://a.example/bees/", Status: 200, Title: "Bees", Format: bus.FormatMarkdown, Text: "They [hum](https://a.example/hum_(sound) \"a title\"), and " +
		"[![a picture](https://a.example/p.png)](https://a.example/big) [again](https://a.example/hum_(sound)); ![alone](https://a.example/q.png) [mail](mailto:a@a.example) [here](<https://b.example/x>)\n"}, nil
}

func TestWeb(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ path, body, typ, payload, want string }{
		"search":             {"/api/web_search", `{"query":"bees"}`, bus.TypeSearch, `{"query":"bees","max_results":5}`, `{"results":[{"title":"Bees","url":"https://a.example/bees","content":"They hum."},{"title":"Wasps","url":"https://b.example/","content":""}]}`},
		"search for more":    {"/api/web_search", `{"Query":"bees","max_results":10,"later":1}`, bus.TypeSearch, `{"query":"bees","max_results":10}`, ""},
		"search as locally":  {"/api/experimental/web_search", `{"query":"bees","max_results":1}`, bus.TypeSearch, `{"query":"bees","max_results":1}`, ""},
		"a page":             {"/api/web_fetch", `{"url":"https://a.example/bees"}`, bus.TypeFetch, `{"url":"https://a.example/bees"}`, ""},
		"a page, as locally": {"/api/experimental/web_fetch", `{"url":"https://a.example/bees"}`, bus.TypeFetch, `{"url":"https://a.example/bees"}`, ""},
	} {
		o, g := newOracle(t, pages)
		w := local(t, g, "POST", c.path, c.body)
		if w.Code != 200 || w.Header().Get("X-Myco-Node") != string(other) || len(o.tasks) != 1 || o.tasks[0].Type != c.typ || string(o.tasks[0].Payload) != c.payload {
			t.Errorf("%s: %d %s, %v became %+v", name, w.Code, w.Body, w.Header(), o.tasks)
		}
		if c.want != "" && strings.TrimSpace(w.Body.String()) != c.want {
			t.Errorf("%s: %s, want %s", name, w.Body, c.want)
		}
	}
	_, g := newOracle(t, pages)
	var page struct {
		Title, Content string
		Links          []string
	}
	if err := json.Unmarshal(local(t, g, "POST", "/api/web_fetch", `{"url":"https://a.example/bees"}`).Body.Bytes(), &page); err != nil {
		t.Fatal(err)
	}
	want := []string{"https://a.example/hum_(sound)", "https://a.example/big", "https://b.example/x"}
	if d := cmp.Diff(want, page.Links); d != "" || page.Title != "Bees" || !strings.HasPrefix(page.Content, "They [hum](") {
		t.Errorf("%+v, %s", page, d)
	}
}

// What is wrong is told in Ollama's words, with what to do.
func TestWebErrors(t *testing.T) {
	t.Parallel()
	none := bus.Errorf(bus.CodeNoWorker, "no node of the swarm searches the web").WithHint("mycod --search URL")
	_, g := newOracle(t, fails(none))
	for _, c := range []struct {
		path, body string
		status     int
		says       string
	}{
		{"/api/web_search", `{"query":"bees"}`, 503, `{"error":"no node of the swarm searches the web. Next: mycod --search URL"}`},
		{"/api/web_search", `{}`, 400, "the query is empty"},
		{"/api/web_search", `{"query":7}`, 400, "query: want a text"},
		{"/api/web_search", `{"query":"x","max_results":51}`, 400, "max_results 51: want 0 to 50"},
		{"/api/web_fetch", `{}`, 400, "the URL does not begin with http"},
		{"/api/web_fetch", `{"url":"ftp://a.example"}`, 400, "pages are fetched over http and https"},
	} {
		if w := local(t, g, "POST", c.path, c.body); w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s %s: %d %s, want %d with %s", c.path, c.body, w.Code, w.Body, c.status, c.says)
		}
	}
}
