//go:build e2e && linux

package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// newPages serves pages on loopback, and returns where.
func newPages(t *testing.T) (at *url.URL) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/page", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "<title>Mushrooms</title><p>They grow in the <b>dark</b>: <a href=more>more</a>")
	})
	mux.HandleFunc("/marker", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprint(w, engine.Prompt("from-the-page"))
	})
	mux.HandleFunc("/search", func(w http.ResponseWriter, _ *http.Request) { // as a SearXNG
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"results":[{"title":"Mushrooms","url":"https://example.org/","content":"They grow in the dark."}]}`)
	})
	mux.HandleFunc("/agent", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.UserAgent()) })
	mux.HandleFunc("/report.pdf", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, "../handlers/file/testdata/report.pdf")
	})
	mux.HandleFunc("/hard", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, strings.Repeat("<blockquote>", 250)+strings.Repeat("<p>x", 100_000)) // who reads may have left
	})
	mux.HandleFunc("/long", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, strings.Repeat("word ", 300_000)) // the same
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	at, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// A node whose owner wants no web has another fetch, and puts what that reads before a question.
func TestAnotherNodeFetches(t *testing.T) {
	s := harness.New(t, programs)
	pages := newPages(t)
	at := pages.String()
	var ledger engine.Ledger
	eng := startEngine(t, s, engine.Config{Name: "a", Ledger: &ledger})
	a := s.Found(t, "a", "--no-web", "--engine", eng.URL())
	r := a.Myco(t, "fetch", at+"/page")
	if r.Code != 3 || !strings.Contains(r.Stderr, "no node of the swarm fetches pages") || !strings.Contains(r.Stderr, "--no-web") {
		t.Errorf("alone: %s", r)
	}
	b := s.Join(t, a, "b", "--web-allow", "127.0.0.1", "--web-port", pages.Port())
	awaitTypes(t, a, b.Info.NodeID, bus.TypeFetch)
	want := "They grow in the **dark**: [more](" + at + "/more)\n"
	r = a.Myco(t, "fetch", at+"/page")
	if r.Code != 0 || r.Stdout != want || !strings.Contains(r.Stderr, "Mushrooms\n-- b ("+string(b.Info.NodeID)+"), "+at+"/page, ") {
		t.Errorf("fetch: %s", r)
	}
	r = a.Myco(t, "fetch", "--format", "text", at+"/agent")
	if r.Code != 0 || !strings.HasPrefix(r.Stdout, "mycoswarm/") || !strings.Contains(r.Stdout, "(+https://") {
		t.Errorf("the server was told %s", r)
	}
	for _, c := range []struct {
		url, says string
		code      int
	}{
		{at + "/nothing", "404 Not Found", 3},
		{strings.Replace(at, "127.0.0.1", "127.0.0.2", 1), "127.0.0.2 is not a public address", 1},
		{"http://no-such-host.invalid/", "gave up after 3 attempts, on b; last: the host of the page ", 1},
	} {
		if r := a.Myco(t, "fetch", c.url); r.Code != c.code || r.Stdout != "" || !strings.Contains(r.Stderr, c.says) {
			t.Errorf("%s, want exit code %d and %q", r, c.code, c.says)
		}
	}

	// By HTTP, of a page that is larger than a message.
	var info bus.TaskInfo
	status := callHTTP(t.Context(), t, a, http.MethodPost, "/task", strings.NewReader(`{"type":"web_fetch","payload":{"url":"`+at+`/long"}}`), &info)
	page, err := bus.Result[bus.FetchResult](info)
	if status != http.StatusOK || err != nil || len(page.Text) != 1_500_000 || page.Truncated || info.NodeID != b.Info.NodeID {
		t.Errorf("POST /task: %d, %d bytes by %s, error %v", status, len(page.Text), info.NodeID, err)
	}

	// As Ollama's users ask for a page.
	var got struct {
		Title, Content string
		Links          []string
	}
	status = callHTTP(t.Context(), t, a, http.MethodPost, "/api/web_fetch", strings.NewReader(`{"url":"`+at+`/page"}`), &got)
	if status != http.StatusOK || got.Title != "Mushrooms" || got.Content != want || !slices.Equal(got.Links, []string{at + "/more"}) {
		t.Errorf("POST /api/web_fetch: %d, %+v", status, got)
	}

	r = a.Myco(t, "ask", "--url", at+"/marker", "-m", engine.Model, "What is asked there?")
	if r.Code != 0 || r.Stdout != "done from-the-page\n" {
		t.Errorf("ask about a page: %s", r)
	}
}

// A page goes to a node that connects to its port, where there is one; whether its address is public that node
// sees.
func TestPageFromAPort(t *testing.T) {
	s := harness.New(t, programs)
	a := s.Found(t, "a")
	b := s.Join(t, a, "b", "--web-port", "8443")
	harness.Settle(t, a, b)
	for port, says := range map[string]string{"8443": "192.0.2.7 is not a public address", "8444": "from the ports 80, 443"} {
		for range 4 {
			if r := a.Myco(t, "fetch", "http://192.0.2.7:"+port); r.Code != 1 || !strings.Contains(r.Stderr, says) {
				t.Errorf("port %s: %s, want %q", port, r, says)
			}
		}
	}
}

// A page that was made to keep its reader busy ends with its reader; the node goes on.
func TestPageThatIsHardToRead(t *testing.T) {
	s := harness.New(t, programs)
	pages := newPages(t)
	a := s.Found(t, "a", "--web-allow", "127.0.0.1", "--web-port", pages.Port())
	start := time.Now()
	r := a.Myco(t, "fetch", pages.String()+"/hard")
	if r.Code != 1 || !strings.Contains(r.Stderr, "it takes more than 15s") {
		t.Errorf("after %v: %s", time.Since(start), r)
	}
	if r := a.Myco(t, "fetch", pages.String()+"/page"); r.Code != 0 {
		t.Errorf("the next page: %s", r)
	}
}

// A page that is a PDF is read by a node that reads documents, and left to it by one that does not.
func TestPageThatIsAPDF(t *testing.T) {
	s := harness.New(t, programs)
	pages := newPages(t)
	web := []string{"--web-allow", "127.0.0.1", "--web-port", pages.Port()}
	a := s.Found(t, "a", append(web, "--no-files")...)
	r := a.Myco(t, "fetch", pages.String()+"/report.pdf")
	if r.Code != 1 || !strings.Contains(r.Stderr, "the page is a document, and the node reads none") {
		t.Errorf("without a node that reads: %s", r)
	}
	b := s.Join(t, a, "b", web...)
	harness.Settle(t, a, b)
	r = a.Myco(t, "fetch", "--node", "b", pages.String()+"/report.pdf")
	if r.Code != 0 || !strings.Contains(r.Stdout, "[page 3]\n\nThe secret word of page three is marzipan.\n") || !strings.Contains(r.Stderr, "Bees in the garden | Ada Müller") {
		t.Errorf("fetch: %s", r)
	}
}
