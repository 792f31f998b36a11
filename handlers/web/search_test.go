package web_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers/web"
)

// now is when searches are.
var now = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// search has a handler for the search engine at base run one task.
func search(ctx context.Context, t *testing.T, base string, req bus.SearchRequest, change ...func(*web.SearchConfig)) (bus.SearchResult, error) {
	t.Helper()
	at, err := web.ParseSearch(base)
	if err != nil {
		t.Fatal(err)
	}
	cfg := web.SearchConfig{URL: at, Now: func() time.Time { return now }}
	for _, c := range change {
		c(&cfg)
	}
	payload, err := json.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	res, err := web.NewSearch(cfg).Handle(ctx, &bus.Task{ID: "t1", Type: bus.TypeSearch, Payload: payload}, nil)
	r, ok := res.(bus.SearchResult)
	if err == nil && !ok {
		t.Fatalf("the result is a %T", res)
	}
	return r, err
}

// recorded is what a searx 1.1.0 has said, with the engines pages, second and away, which does not answer.
func recorded(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "searx", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestSearch(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	asked := make(chan *http.Request, 10)
	body := recorded(t, "found.json")
	s.mux.HandleFunc("/searx/search", func(w http.ResponseWriter, r *http.Request) {
		asked <- r
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(body)) // who reads may have enough
	})
	want := bus.SearchResult{
		Results: []bus.SearchHit{
			{Title: "Bees & gardens", URL: "https://example.org/bees", Content: "A hive in the garden — what to plant. And when.", Engines: []string{"pages", "second"}},
			{Title: "std::vector of bees", URL: "http://example.org/bees?b=1", Engines: []string{"pages", "second"}},
		},
		Silent: []string{"away (HTTP error)"}, SearchedAt: now,
	}
	for _, base := range []string{s.URL + "/searx", s.URL + "/searx/", s.URL + "/searx/search"} {
		got, err := search(t.Context(), t, base, bus.SearchRequest{Query: "bees & honey", Language: "pt-BR", Since: bus.SinceWeek})
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Fatalf("%s: error %v, %s", base, err, d)
		}
		r := <-asked
		q := url.Values{"q": {"bees & honey"}, "format": {"json"}, "categories": {"general"}, "pageno": {"1"}, "language": {"pt-BR"}, "time_range": {"week"}}
		if d := cmp.Diff(q, r.URL.Query()); d != "" || r.UserAgent() != "mycoswarm" || r.Header.Get("Authorization") != "" {
			t.Errorf("asked %s as %q with %q", d, r.UserAgent(), r.Header.Get("Authorization"))
		}
	}
	one, err := search(t.Context(), t, s.URL+"/searx", bus.SearchRequest{Query: "bees", MaxResults: 1})
	if d := cmp.Diff(want.Results[:1], one.Results); err != nil || d != "" {
		t.Errorf("one: error %v, %s", err, d)
	}
	if r := <-asked; r.URL.Query().Has("language") || r.URL.Query().Has("time_range") {
		t.Errorf("asked %s, want neither a language nor an age", r.URL)
	}
	at, err := web.ParseSearch(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	c, err := web.NewSearch(web.SearchConfig{URL: at}).Capability(t.Context())
	if err != nil || c.Type != bus.TypeSearch || c.Slots == 0 {
		t.Errorf("capability %+v, error %v", c, err)
	}
}

// What SearXNG sends beside: times in three ways, fields that are null or of another kind, marks of HTML, what steers a
// terminal, pages twice and what is no page.
func TestSearchCleansUp(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		result string
		want   []bus.SearchHit
	}{
		{`{"title":null,"url":"https://a.example/x","content":null,"engine":"one","engines":null,"publishedDate":null}`, []bus.SearchHit{{Title: "https://a.example/x", URL: "https://a.example/x", Engines: []string{"one"}}}},
		{`{"title":7,"url":"https://a.example/","content":["x"]},{"title":"B","url":"https://b.example/"}`, []bus.SearchHit{{Title: "https://a.example/", URL: "https://a.example/"}, {Title: "B", URL: "https://b.example/"}}},
		{`{"title":"A <b>bold</b> <span class=\"highlight\">bee</span>s &amp; co&#x27;s<br>map<int, vector<int>>","url":"https://a.example/"}`, []bus.SearchHit{{Title: "A bold bees & co's map<int, vector<int>>", URL: "https://a.example/"}}},
		{`{"title":"\u001b[31mred\u0007","url":"https://a.example/","content":" one\r\n\ttwo\u0000  three "}`, []bus.SearchHit{{Title: "[31mred", URL: "https://a.example/", Content: "one two three"}}},
		{`{"title":"` + strings.Repeat("ä", 500) + `","url":"https://a.example/"}`, []bus.SearchHit{{Title: strings.Repeat("ä", 148) + "…", URL: "https://a.example/"}}},
		{`{"title":"A","url":"https://a.example/x#one"},{"title":"B","url":"https://a.example/x#two"}`, []bus.SearchHit{{Title: "A", URL: "https://a.example/x#one"}}},
		{`{"title":"A","url":"ftp://a.example/"},{"title":"A","url":"javascript:alert(1)"},{"title":"A","url":"https:///x"},{"title":"A"},{"title":"A","url":"http://u:p@a.example/"}`, []bus.SearchHit{}},
		{`{"title":"A","url":"https://a.example/a b\"<"}`, []bus.SearchHit{{Title: "A", URL: "https://a.example/a%20b%22%3C"}}},
		{`{"title":"A","url":"https://a.example/","publishedDate":"2026-03-01T10:00:00+02:00"}`, []bus.SearchHit{{Title: "A", URL: "https://a.example/", Published: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)}}},
		{`{"title":"A","url":"https://a.example/","publishedDate":"2026-03-01T10:00:00.123456"}`, []bus.SearchHit{{Title: "A", URL: "https://a.example/", Published: time.Date(2026, 3, 1, 10, 0, 0, 123456000, time.UTC)}}},
		{`{"title":"A","url":"https://a.example/","publishedDate":"2 hours, 5 minutes ago","pubdate":"2026-03-01 10:00:00+0200"}`, []bus.SearchHit{{Title: "A", URL: "https://a.example/", Published: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)}}},
		{`{"title":"A","url":"https://a.example/","publishedDate":"vor 2 Stunden","pubdate":"2026-03-01 10:00:00"}`, []bus.SearchHit{{Title: "A", URL: "https://a.example/", Published: time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)}}},
		{`{"title":"A","url":"https://a.example/","publishedDate":"yesterday"}`, []bus.SearchHit{{Title: "A", URL: "https://a.example/"}}},
	} {
		s := newSite(t)
		s.page("/search", "application/json", `{"query":"q","number_of_results":0,"results":[`+c.result+`],"answers":[{"answer":"1","engine":"x"}],"suggestions":["y"]}`)
		got, err := search(t.Context(), t, s.URL, bus.SearchRequest{Query: "q"})
		if d := cmp.Diff(c.want, got.Results); err != nil || d != "" || len(got.Silent) != 0 {
			t.Errorf("%s: error %v, silent %q, %s", c.result, err, got.Silent, d)
		}
	}
}

// That some engines are silent is the rule. Where all are, and only there, nothing found is no result.
func TestSearchWithSilentEngines(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body, config string
		silent       []string
		fails        bool
	}{
		"one of three":         {body: recorded(t, "none.json"), config: recorded(t, "config.json"), silent: []string{"away (HTTP error)"}},
		"all":                  {body: recorded(t, "silent.json"), config: recorded(t, "config.json"), fails: true},
		"who knows":            {body: recorded(t, "silent.json"), silent: []string{"away (HTTP error)", "pages (HTTP error)", "second (HTTP error)"}},
		"all that are on":      {body: `{"results":[],"unresponsive_engines":[["b","Suspended: CAPTCHA"],["a","timeout"]]}`, config: `{"engines":[{"name":"a","categories":["general"],"enabled":true},{"name":"b","categories":["web","general"],"enabled":true},{"name":"c","categories":["general"],"enabled":false},{"name":"d","categories":["images"],"enabled":true}]}`, fails: true},
		"names":                {body: `{"results":[],"unresponsive_engines":["b","a"]}`, config: `{"engines":[]`, silent: []string{"a", "b"}},
		"things":               {body: `{"results":[],"unresponsive_engines":[["a","t",true],[],[7],null,{"x":1},["b",null]]}`, silent: []string{"a (t)", "b"}},
		"none, and none found": {body: `{"results":[],"unresponsive_engines":[]}`, config: recorded(t, "config.json")},
	} {
		s := newSite(t)
		s.page("/search", "application/json", c.body)
		if c.config != "" {
			s.page("/config", "application/json", c.config)
		}
		got, err := search(t.Context(), t, s.URL, bus.SearchRequest{Query: "marzipan"})
		switch d := cmp.Diff(c.silent, got.Silent); {
		case c.fails && (codeOf(err) != bus.CodeUnavailable || !bus.IsRetryFew(err) || !strings.Contains(err.Error(), "a") || strings.Contains(err.Error(), "HTTP error")):
			t.Errorf("%s: error %v, want one that names the engines alone, for another node", name, err)
		case !c.fails && (err != nil || d != "" || got.Results == nil || len(got.Results) != 0):
			t.Errorf("%s: error %v, %+v, %s", name, err, got, d)
		}
	}
}

// What is wrong with a search engine is told with what to do; what another node may do better, it is asked to, and
// observers hear neither what is looked for nor where.
func TestSearchErrors(t *testing.T) {
	t.Parallel()
	says := func(code int, contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(code)
			_, _ = w.Write([]byte(body)) // who reads may have enough
		}
	}
	leads := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
	}
	const html = "text/html; charset=utf-8"
	for name, c := range map[string]struct {
		answers http.HandlerFunc
		query   string
		code    bus.Code
		again   bool
		says    string
		hint    string
	}{
		"no JSON":        {says(403, html, "<!doctype html><title>403 Forbidden</title>"), "", bus.CodeForbidden, false, "sends no JSON: it says 403 Forbidden", "formats: [html, json]"},
		"limited":        {says(429, "application/json", `{}`), "", bus.CodeBusy, true, "limiter: false", ""},
		"a password":     {says(401, html, ""), "", bus.CodeForbidden, false, "wants a name and a password", "NAME:PASSWORD"},
		"refused":        {says(400, "application/json", `{"error": "Invalid value \"zz-zzz\" for parameter language"}`), "", bus.CodeInvalid, false, `does not take the request: Invalid value "zz-zzz"`, ""},
		"out of order":   {says(502, html, "marzipan"), "", bus.CodeUnavailable, true, "502 Bad Gateway", ""},
		"nothing":        {says(404, html, ""), "", bus.CodeFailed, false, "says 404 Not Found", "mycod --search URL"},
		"HTML":           {says(200, html, "<title>Router</title>"), "", bus.CodeFailed, false, "a page of HTML", "mycod --search URL"},
		"another's JSON": {says(200, "application/json", `{"results":{"of":"another"}}`), "", bus.CodeFailed, false, "does not answer as SearXNG does", "mycod --search URL"},
		"no JSON at all": {says(200, "application/json", `{"results":[`), "", bus.CodeFailed, false, "does not answer as SearXNG does", ""},
		"much":           {says(200, "application/json", `{"results":[`+strings.Repeat(" ", 5<<20)+`]}`), "", bus.CodeFailed, false, "more than 4 MiB", ""},
		"elsewhere":      {leads("http://192.0.2.1/login"), "", bus.CodeFailed, false, "redirects to another host, 192.0.2.1", ""},
		"a bang":         {leads("http://192.0.2.1/?q=marzipan"), "!!ddg marzipan", bus.CodeInvalid, false, `"!!"`, `leave out "!!"`},
		"in circles":     {leads("/search"), "", bus.CodeFailed, false, "redirects more than 10 times", ""},
		"breaks off":     {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "", bus.CodeUnavailable, true, "not reached, or breaks off", ""},
	} {
		s := newSite(t)
		s.mux.HandleFunc("/search", c.answers)
		query := c.query
		if query == "" {
			query = "marzipan"
		}
		_, err := search(t.Context(), t, s.URL, bus.SearchRequest{Query: query})
		e := bus.AsError(err)
		if e == nil || e.Code != c.code || !strings.Contains(e.Message, c.says) || !strings.Contains(e.Hint, c.hint) || bus.IsRetryFew(err) != c.again {
			t.Errorf("%s: %v (%+v, again %v), want %s with %q", name, err, e, bus.IsRetryFew(err), c.code, c.says)
			continue
		}
		if all := e.Message + e.Hint; strings.Contains(all, "marzipan") || c.again && strings.Contains(all, "127.0.0.1") {
			t.Errorf("%s: %q tells too much", name, all)
		}
	}
	gone := newSite(t)
	gone.Close()
	if _, err := search(t.Context(), t, gone.URL, bus.SearchRequest{Query: "marzipan"}); codeOf(err) != bus.CodeUnavailable || !bus.IsRetryFew(err) || err.Error() != "the search engine refuses connections: it may not run" {
		t.Errorf("not there: %v", err)
	}
	for _, req := range []bus.SearchRequest{{}, {Query: "x", MaxResults: 51}, {Query: "x", Since: "decade"}, {Query: "x", Language: "de_DE"}} {
		if _, err := search(t.Context(), t, gone.URL, req); codeOf(err) != bus.CodeInvalid {
			t.Errorf("%+v: %v", req, err)
		}
	}
}

func TestSearchTakesItsTime(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.mux.HandleFunc("/search", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	_, err := search(t.Context(), t, s.URL, bus.SearchRequest{Query: "q"}, func(c *web.SearchConfig) { c.Limit = 50 * time.Millisecond })
	if codeOf(err) != bus.CodeTimeout || !bus.IsRetryFew(err) {
		t.Errorf("slow: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	left := errors.New("who asked has left")
	s.mux.HandleFunc("/left/search", func(_ http.ResponseWriter, r *http.Request) {
		cancel(left)
		<-r.Context().Done()
	})
	if _, err := search(ctx, t, s.URL+"/left", bus.SearchRequest{Query: "q"}); !errors.Is(err, left) {
		t.Errorf("left: %v", err)
	}
}

// A name and a password go to the search engine, within its host at redirects too, and into no error.
func TestSearchWithAPassword(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	asks := func(w http.ResponseWriter, r *http.Request) {
		name, password, _ := r.BasicAuth()
		if name != "ada" || password != "s3cret" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		if r.URL.Path == "/search" {
			http.Redirect(w, r, "/there?"+r.URL.RawQuery, http.StatusMovedPermanently)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"results":[{"title":"A","url":"https://a.example/"}]}`)) // who reads may have enough
	}
	s.mux.HandleFunc("/search", asks)
	s.mux.HandleFunc("/there", asks)
	if r, err := search(t.Context(), t, strings.Replace(s.URL, "://", "://ada:s3cret@", 1), bus.SearchRequest{Query: "q"}); err != nil || len(r.Results) != 1 {
		t.Errorf("%+v, error %v", r, err)
	}
	_, err := search(t.Context(), t, strings.Replace(s.URL, "://", "://ada:other@", 1), bus.SearchRequest{Query: "q"})
	if e := bus.AsError(err); e == nil || strings.Contains(e.Message+e.Hint, "ada") || strings.Contains(e.Message+e.Hint, "other") || !strings.Contains(e.Message, s.URL) {
		t.Errorf("told %+v", e)
	}
}

func TestParseSearch(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "192.168.1.5:8080", "searx.home", "ftp://searx.home", "http://", "http:///search", "http://u:s3cret@h:port", "http://h/search?q=%s", "http://h/#x", "://"} {
		if u, err := web.ParseSearch(bad); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: %v, error %v", bad, u, err)
		}
	}
}

// Whatever a search engine sends: what is told of it is in one line each, of bounded length, and its addresses are those
// of pages.
func FuzzSearch(f *testing.F) {
	for _, name := range []string{"found.json", "silent.json"} {
		b, err := os.ReadFile(filepath.Join("testdata", "searx", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"results":[{"title":"<b>a</b>&amp;<x>","url":"https://a.example/","publishedDate":"2026-03-01T10:00:00"}],"unresponsive_engines":["a",["b","c"]]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, ok := web.ReadSearch(body)
		if !ok {
			return
		}
		if len(r.Results) > bus.MaxHits {
			t.Errorf("%d pages", len(r.Results))
		}
		lines := r.Silent
		for _, h := range r.Results {
			if u, err := url.Parse(h.URL); err != nil || bus.ValidPage(u) != nil || h.Title == "" {
				t.Errorf("the page %+v, error %v", h, err)
			}
			lines = append(append(lines, h.Title, h.Content), h.Engines...)
		}
		for _, s := range lines {
			if len(s) > 2048 || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
				t.Errorf("told: %q", s)
			}
		}
		if _, err := json.Marshal(r); err != nil {
			t.Error(err)
		}
	})
}
