package web_test

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers/web"
)

func TestFetch(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.page("/article", "text/html; charset=utf-8", article)
	at := time.Date(2026, 11, 27, 20, 0, 0, 0, time.UTC)
	h := s.open(t, func(c *web.Config) { c.Now = func() time.Time { return at } })
	r, err := fetch(t.Context(), t, h, bus.FetchRequest{URL: s.URL + "/article#end"})
	if err != nil {
		t.Fatal(err)
	}
	if r.Status != 200 || r.URL != s.URL+"/article#end" || r.ContentType != "text/html; charset=utf-8" || r.Format != bus.FormatMarkdown ||
		r.Bytes != len(article) || r.Truncated || !r.FetchedAt.Equal(at) {
		t.Errorf("result %+v", r)
	}
	if c, err := h.Capability(t.Context()); err != nil || c.Type != bus.TypeFetch || c.Slots == 0 {
		t.Errorf("capability %+v, %v", c, err)
	}
}

// A server sees the same of every fetch: who asks, and nothing from before.
func TestServersLearnNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var mu sync.Mutex
	var seen []http.Header
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen = append(seen, r.Header.Clone())
		mu.Unlock()
		http.SetCookie(w, &http.Cookie{Name: "id", Value: "7", Path: "/"})
		if r.URL.Path == "/from" {
			http.Redirect(w, r, "/to", http.StatusFound)
			return
		}
		fmt.Fprint(w, "hello")
	})
	h := s.open(t, func(c *web.Config) { c.Agent = "mycoswarm/1 (+https://example.org)" })
	for range 2 {
		r, err := fetch(t.Context(), t, h, bus.FetchRequest{URL: s.URL + "/from"})
		if err != nil || r.URL != s.URL+"/to" || r.Text != "hello" {
			t.Fatalf("result %+v, error %v", r, err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for _, header := range seen {
		if header.Get("User-Agent") != "mycoswarm/1 (+https://example.org)" || header.Get("Cookie") != "" || header.Get("Referer") != "" {
			t.Errorf("the server was told %v", header)
		}
	}
	if len(seen) != 4 {
		t.Errorf("%d requests, want 4", len(seen))
	}
}

// What a server says is kept short where it is repeated: an error goes to a terminal, and is kept with its task.
func TestLongHeaders(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	long := strings.Repeat("x", 200_000)
	s.mux.HandleFunc("/status", func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		fmt.Fprintf(c, "HTTP/1.1 %s OK\r\n\r\n", long)
	})
	s.page("/type", "application/"+long, "a")
	s.mux.HandleFunc("/encoding", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", long)
		fmt.Fprint(w, "a")
	})
	for path, says := range map[string]string{"/status": "malformed HTTP status code", "/type": "the page is \"application/xxx", "/encoding": "compressed by \"xxx"} {
		_, err := fetch(t.Context(), t, s.open(t), bus.FetchRequest{URL: s.URL + path})
		if e := bus.AsError(err); e == nil || e.Code != bus.CodeFailed || len(e.Message) > 500 || !strings.Contains(e.Message, says) {
			t.Errorf("%s: %.300v, want a short error that says %q", path, err, says)
		}
	}
}

// A page that calls itself by a book leaves room for what it says.
func TestLongTitle(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.page("/title", "text/html", "<title>"+strings.Repeat("x", 200_000)+"</title><p>"+strings.Repeat("word ", 1000))
	if r := s.get(t, "/title"); len(r.Title) != 500 || !strings.HasPrefix(r.Text, "word word") {
		t.Errorf("a title of %d bytes, and the text %.100q", len(r.Title), r.Text)
	}
}

// However a server tries to keep a node busy, there is an end.
func TestEndlessServers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	flow := func(w http.ResponseWriter, piece string) {
		for {
			if _, err := w.Write([]byte(piece)); err != nil {
				return
			}
		}
	}
	s.mux.HandleFunc("/endless", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		flow(w, strings.Repeat("word ", 1000))
	})
	s.mux.HandleFunc("/bomb", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		for zeros := strings.Repeat("0", 1<<20); ; {
			if _, err := z.Write([]byte(zeros)); err != nil {
				return
			}
		}
	})
	s.mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop", http.StatusFound) })
	s.mux.HandleFunc("/header", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("x", 1<<20))
		fmt.Fprint(w, "hello")
	})
	silent := func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	s.mux.HandleFunc("/silent", silent)
	s.mux.HandleFunc("/stuck", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprint(w, "once upon")
		_ = http.NewResponseController(w).Flush() // who reads may have left
		silent(w, r)
	})
	for _, path := range []string{"/endless", "/bomb"} {
		if r := s.get(t, path); r.Bytes != bus.DefaultPage || len(r.Text) != bus.DefaultPage || !r.Truncated {
			t.Errorf("%s: %d bytes, a text of %d, truncated %t; want %d", path, r.Bytes, len(r.Text), r.Truncated, bus.DefaultPage)
		}
		few := s.get(t, path, func(r *bus.FetchRequest) { r.MaxBytes = 10 })
		if few.Bytes != 10 || len(few.Text) != 10 || !few.Truncated {
			t.Errorf("%s: %+v, want 10 bytes", path, few)
		}
	}
	before := s.connects.Load()
	if _, err := fetch(t.Context(), t, s.open(t), bus.FetchRequest{URL: s.URL + "/loop"}); codeOf(err) != bus.CodeFailed || bus.IsRetry(err) {
		t.Errorf("a loop: error %v, want a failure for good", err)
	}
	if n := s.connects.Load() - before; n != 11 {
		t.Errorf("a loop was gone %d times, want 11", n)
	}
	if _, err := fetch(t.Context(), t, s.open(t), bus.FetchRequest{URL: s.URL + "/header"}); codeOf(err) != bus.CodeFailed || bus.IsRetry(err) {
		t.Errorf("a long header: error %v, want a failure for good", err)
	}
	short := s.open(t, func(c *web.Config) { c.Limit = 100 * time.Millisecond })
	for _, path := range []string{"/silent", "/stuck"} {
		if _, err := fetch(t.Context(), t, short, bus.FetchRequest{URL: s.URL + path}); codeOf(err) != bus.CodeTimeout || !bus.IsRetryFew(err) {
			t.Errorf("%s: error %v, want a timeout that another node may not meet", path, err)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	left := errors.New("the client left")
	time.AfterFunc(50*time.Millisecond, func() { cancel(left) })
	if _, err := fetch(ctx, t, s.open(t), bus.FetchRequest{URL: s.URL + "/silent"}); !errors.Is(err, left) {
		t.Errorf("cancelled: error %v, want why", err)
	}
}

// What a server says for good is a failure for good; where it is not reached another node may reach it. Those
// errors are told to observers, so they do not name the page.
func TestFailures(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for path, status := range map[string]int{"/404": 404, "/410": 410, "/401": 401, "/403": 403, "/429": 429, "/500": 500, "/503": 503, "/300": 300, "/304": 304} {
		s.mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
	}
	s.mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "ftp://example.org/", http.StatusFound)
	})
	s.mux.HandleFunc("/named", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://me:secret@127.0.0.1/", http.StatusFound)
	})
	s.mux.HandleFunc("/brotli", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "br")
		fmt.Fprint(w, "x")
	})
	s.mux.HandleFunc("/half", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		fmt.Fprint(w, "half")
	})
	for path, typ := range map[string]string{"/pdf": "application/pdf", "/png": "image/png", "/zip": "application/zip"} {
		s.page(path, typ, "%PDF-1.7")
	}
	s.page("/sniffed", "", "\x89PNG\r\n\x1a\n")
	secure := httptest.NewTLSServer(s.mux)
	t.Cleanup(secure.Close)
	nobody := closedPort(t)
	port := netip.MustParseAddrPort(secure.Listener.Addr().String()).Port()
	h := s.open(t, func(c *web.Config) { c.Policy.Ports = append(c.Policy.Ports, port, nobody) })
	for u, want := range map[string]struct {
		code  bus.Code
		retry bool
		says  string
	}{
		s.URL + "/404": {bus.CodeNotFound, false, "404 Not Found"}, s.URL + "/410": {bus.CodeNotFound, false, "410 Gone"},
		s.URL + "/401": {bus.CodeForbidden, false, "401"}, s.URL + "/403": {bus.CodeForbidden, false, "403"},
		s.URL + "/429": {bus.CodeFailed, false, "429 Too Many"}, s.URL + "/500": {bus.CodeFailed, false, "500"},
		s.URL + "/503": {bus.CodeFailed, false, "503"}, s.URL + "/300": {bus.CodeFailed, false, "300"}, s.URL + "/304": {bus.CodeFailed, false, "304"},
		s.URL + "/away": {bus.CodeFailed, false, "ftp"}, s.URL + "/named": {bus.CodeFailed, false, "password"},
		s.URL + "/brotli": {bus.CodeFailed, false, `"br"`}, s.URL + "/half": {bus.CodeUnavailable, true, "breaks off"},
		s.URL + "/pdf": {bus.CodeUnavailable, true, "the node reads none"}, s.URL + "/png": {bus.CodeFailed, false, `"image/png"`},
		s.URL + "/sniffed": {bus.CodeFailed, false, `"image/png"`},
		secure.URL + "/":   {bus.CodeFailed, false, "not known to be the one"},
		fmt.Sprintf("http://127.0.0.1:%d/", nobody): {bus.CodeUnavailable, true, "refuses connections"},
		"http://no-such-host.invalid/":              {bus.CodeUnavailable, true, "host of the page"},
		"http://":                                   {bus.CodeInvalid, false, "no host"},
		"file:///etc/passwd":                        {bus.CodeInvalid, false, "file://"},
	} {
		_, err := fetch(t.Context(), t, h, bus.FetchRequest{URL: u})
		if codeOf(err) != want.code || bus.IsRetry(err) != want.retry || bus.IsRetryFew(err) != want.retry || !strings.Contains(fmt.Sprint(err), want.says) {
			t.Errorf("%s: error %v (%s), another try %t; want %+v", u, err, codeOf(err), bus.IsRetry(err), want)
		}
		if want.retry && (strings.Contains(err.Error(), "127.0.0.1") || strings.Contains(err.Error(), "no-such")) {
			t.Errorf("%s: the error names the host: %v", u, err)
		}
		if strings.Contains(fmt.Sprint(err), "secret") {
			t.Errorf("%s: the error tells a password: %v", u, err)
		}
	}
}

// closedPort is one that nobody listens on.
func closedPort(t *testing.T) uint16 {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return netip.MustParseAddrPort(ln.Addr().String()).Port()
}

func TestRequests(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		req  bus.FetchRequest
		says string
	}{
		"none": {bus.FetchRequest{}, "http://"}, "no scheme": {bus.FetchRequest{URL: "example.org"}, "http://"},
		"a port": {bus.FetchRequest{URL: "example.org:80"}, "http://"}, "mail": {bus.FetchRequest{URL: "mailto:a@example.org"}, "http://"},
		"a user": {bus.FetchRequest{URL: "http://me@example.org"}, "password"}, "long": {bus.FetchRequest{URL: "http://example.org/" + strings.Repeat("x", 2048)}, "2048"},
		"format": {bus.FetchRequest{URL: "http://example.org", Format: "pdf"}, "markdown"}, "nonsense": {bus.FetchRequest{URL: "http://a b/\x00"}, "URL"},
		"much": {bus.FetchRequest{URL: "http://example.org", MaxBytes: bus.MaxPage + 1}, "max_bytes"}, "less": {bus.FetchRequest{URL: "http://example.org", MaxBytes: -1}, "max_bytes"},
	} {
		if err := c.req.Validate(); codeOf(err) != bus.CodeInvalid || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %v, want one that tells of %s", name, err, c.says)
		}
	}
	_, err := web.New(web.Config{}).Handle(t.Context(), &bus.Task{Payload: []byte(`7`)}, nil)
	if codeOf(err) != bus.CodeInvalid {
		t.Errorf("no request: error %v", err)
	}
}
