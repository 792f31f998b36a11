//go:build e2e && linux

package e2e_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// debianPython is the Python that Debian's packages are for.
const debianPython = "/usr/bin/python3"

// searxSettings are those of a searx whose engines, library and archive, ask one site.
const searxSettings = `
general: {debug: false, instance_name: household}
search: {safe_search: 0, autocomplete: "", default_lang: "", formats: [html, json], ban_time_on_fail: 0, max_ban_time_on_fail: 0}
server: {port: 0, bind_address: 127.0.0.1, secret_key: of-a-test, base_url: false, image_proxy: false, method: GET, http_protocol_version: "1.0"}
ui: {static_path: /usr/share/python3-searx/static, templates_path: /usr/share/python3-searx/templates, default_theme: oscar, default_locale: "", theme_args: {oscar_style: logicodev}}
outgoing: {request_timeout: 10.0, useragent_suffix: "", pool_connections: 10, pool_maxsize: 10}
engines:
  - &site
    name: library
    shortcut: li
    engine: json_engine
    categories: general
    enable_http: true
    paging: false
    search_url: SITE/find?q={query}
    results_query: results
    url_query: url
    title_query: title
    content_query: content
  - <<: *site
    name: archive
    shortcut: ar
locales: {en: English}
doi_resolvers: {oadoi.org: "https://oadoi.org/"}
default_doi_resolver: oadoi.org
`

var runsOn = regexp.MustCompile(`Running on (http://\S+)`)

// startSearx starts Debian's searx, which asks a site, and returns where it is.
func startSearx(t *testing.T, site string) (*harness.Process, *url.URL) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "settings.yml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(searxSettings, "SITE", site)), 0o600); err != nil {
		t.Fatal(err)
	}
	p := harness.Launch(t, filepath.Join(dir, "log"), append(os.Environ(), "SEARX_SETTINGS_PATH="+file), []string{debianPython, "-m", "searx.webapp"}, "")
	var at *url.URL
	harness.Poll(t, harness.Patience, "searx listens", func() string {
		m := runsOn.FindStringSubmatch(p.Log(100))
		if m == nil {
			return "is it there (apt-get install python3-searx)? It says: " + p.Log(5)
		}
		var err error
		if at, err = url.Parse(m[1]); err != nil {
			return err.Error()
		}
		return ""
	})
	return p, at
}

// newFinder is a site that finds pages by words.
func newFinder(t *testing.T) *httptest.Server {
	t.Helper()
	type page struct {
		URL     string `json:"url"`
		Title   string `json:"title"`
		Content string `json:"content"`
	}
	pages := []page{
		{"https://example.org/woods", "Mushrooms of the <b>woods</b>", "They grow in the dark &amp; in the damp."},
		{"https://example.org/cellar?of=1&all", "Mushrooms of the cellar", "They grow on straw."},
		{"https://example.org/all", "Wikipedia", "What the doctor looks for."},
		{"https://example.org/bees", "Bees", "They hum in the garden."},
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		found := []page{}
		for _, p := range pages {
			if strings.Contains(strings.ToLower(p.Title+" "+p.Content), strings.ToLower(r.URL.Query().Get("q"))) {
				found = append(found, p)
			}
		}
		if err := json.NewEncoder(w).Encode(map[string]any{"results": found}); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// A node searches for another by a searx that it was told of, with myco and as Ollama's users do; what is wrong with that
// searx is told where somebody searched, and by its doctor.
func TestAnotherNodeSearches(t *testing.T) {
	s := harness.New(t, programs)
	site := newFinder(t)
	searx, at := startSearx(t, site.URL)
	a := s.Found(t, "a")
	r := a.Myco(t, "search", "mushrooms")
	if r.Code != 3 || !strings.Contains(r.Stderr, "no node of the swarm searches the web") || !strings.Contains(r.Stderr, "try: mycod --search URL") {
		t.Errorf("alone: %s", r)
	}
	b := s.Join(t, a, "b", "--no-web", "--search", at.String())
	awaitTypes(t, a, b.Info.NodeID, bus.TypeSearch)

	r = a.Myco(t, "search", "mushrooms", "of")
	for _, want := range []string{". Mushrooms of the woods\n   https://example.org/woods\n   They grow in the dark & in the damp.\n", ". Mushrooms of the cellar\n   https://example.org/cellar?of=1&all\n   They grow on straw.\n"} {
		if r.Code != 0 || strings.Count(r.Stdout, "https://") != 2 || !strings.Contains(r.Stdout, want) || !strings.Contains(r.Stderr, "-- b ("+string(b.Info.NodeID)+"), 2 pages from 2 engines, ") {
			t.Errorf("search: %s, want %q", r, want)
		}
	}
	if r := a.Myco(t, "search", "-n", "1", "mushrooms"); r.Code != 0 || strings.Count(r.Stdout, "https://") != 1 {
		t.Errorf("one: %s", r)
	}
	if r := a.Myco(t, "search", "marzipan"); r.Code != 3 || !strings.Contains(r.Stderr, "no page was found") {
		t.Errorf("what is nowhere: %s", r)
	}
	var found struct {
		Results []struct{ Title, URL, Content string }
	}
	status := callHTTP(t.Context(), t, a, http.MethodPost, "/api/web_search", strings.NewReader(`{"query":"bees"}`), &found)
	if status != http.StatusOK || len(found.Results) != 1 || found.Results[0].Title != "Bees" || found.Results[0].URL != "https://example.org/bees" || found.Results[0].Content != "They hum in the garden." {
		t.Errorf("POST /api/web_search: %d, %+v", status, found)
	}
	if r := b.Myco(t, "doctor"); !strings.Contains(r.Stdout, "the search engine at "+at.String()+"/ finds pages\n") {
		t.Errorf("doctor: %s", r)
	}

	// Of two nodes that search, that one loses its searx which is asked first.
	another, there := startSearx(t, site.URL)
	d := s.Join(t, a, "d", "--search", there.String())
	awaitTypes(t, a, d.Info.NodeID, bus.TypeSearch)
	alive := there
	if r := a.Myco(t, "search", "mushrooms"); strings.Contains(r.Stderr, "-- d (") {
		b, d, searx, alive = d, b, another, at
	}
	searx.Kill()
	r = a.Myco(t, "search", "mushrooms")
	if r.Code != 0 || strings.Count(r.Stdout, "https://") != 2 || !strings.Contains(r.Stderr, "-- "+d.Name+" (") {
		t.Errorf("beside a node without its searx: %s", r)
	}
	r = a.Myco(t, "search", "--node", b.Name, "mushrooms")
	if r.Code != 1 || !strings.Contains(r.Stderr, "last: the search engine refuses connections: it may not run") || !strings.Contains(r.Stderr, "try: myco doctor on that node") {
		t.Errorf("without its searx: %s", r)
	}

	// SearXNG sends no JSON unless its settings say so. Debian's searx, which is older, always does: what stands before
	// it refuses as SearXNG does.
	front := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(alive) },
		ModifyResponse: func(r *http.Response) error {
			if r.Request.URL.Query().Get("format") == "json" {
				r.StatusCode = http.StatusForbidden
			}
			return nil
		},
	})
	t.Cleanup(front.Close)
	c := s.Join(t, a, "c", "--search", front.URL)
	awaitTypes(t, a, c.Info.NodeID, bus.TypeSearch)
	r = a.Myco(t, "search", "--node", "c", "mushrooms")
	if r.Code != 1 || !strings.Contains(r.Stderr, "the SearXNG at "+front.URL+"/ sends no JSON: it says 403 Forbidden") || !strings.Contains(r.Stderr, "formats: [html, json]") {
		t.Errorf("without JSON: %s", r)
	}
	if r := c.Myco(t, "doctor"); r.Code != 1 || !strings.Contains(r.Stdout, "sends no JSON: it says 403 Forbidden") {
		t.Errorf("doctor without JSON: %s", r)
	}

	site.Close() // so that no engine of searx answers
	r = a.Myco(t, "search", "--node", d.Name, "mushrooms")
	if r.Code != 1 || !strings.Contains(r.Stderr, "gave up after 3 attempts, on "+d.Name+"; last: no engine behind the search engine answers (archive, library)") {
		t.Errorf("without engines: %s", r)
	}
	if r := d.Myco(t, "doctor"); r.Code != 1 || !strings.Contains(r.Stdout, "archive (HTTP error), library (HTTP error)") {
		t.Errorf("doctor without engines: %s", r)
	}
	if logs := b.Log(1000) + c.Log(1000) + d.Log(1000); strings.Contains(logs, "mushrooms") || strings.Contains(logs, "bees") {
		t.Errorf("what was looked for is in a log: %s", logs)
	}
}
