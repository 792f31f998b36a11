//go:build e2e && linux

package e2e_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
	"github.com/mycoswarm/mycoswarm/gateway"
)

// reply is what came of a request.
type reply struct {
	status int
	header http.Header
	body   string
}

// httpDo makes a request to n's HTTP port, with the key and a proper content type unless change says
// otherwise.
func httpDo(t *testing.T, n *harness.Node, method, path, body string, change ...func(*http.Request)) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, n.Info.HTTPURL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+readFile(t, n, bus.HTTPKeyFile))
	req.Header.Set("Content-Type", "application/json")
	for _, c := range change {
		c(req)
	}
	client := http.Client{Timeout: harness.Patience, Transport: &http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: harness.Patience}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return reply{resp.StatusCode, resp.Header, string(b)}
}

// samples has a request for each route of the gateway; PAGES is where newPages serves.
var samples = map[string][]struct{ path, body string }{
	"GET /health":                       {{"/health", ""}},
	"GET /status":                       {{"/status", ""}},
	"GET /identity":                     {{"/identity", ""}},
	"GET /peers":                        {{"/peers", ""}},
	"GET /task/{id}":                    {{"/task/unknown", ""}},
	"GET /task/{id}/events":             {{"/task/unknown/events", ""}},
	"GET /tasks":                        {{"/tasks", ""}},
	"DELETE /task/{id}":                 {{"/task/unknown", ""}},
	"GET /task/{id}/why":                {{"/task/unknown/why", ""}},
	"POST /task":                        {{"/task?events=1", `{"type":"ping"}`}, {"/task", `{"type":"ping"}`}, {"/task?durable=1", `{"type":"ping"}`}},
	"GET /{$}":                          {{"/", ""}},
	"GET /api/version":                  {{"/api/version", ""}},
	"GET /api/tags":                     {{"/api/tags", ""}},
	"GET /api/ps":                       {{"/api/ps", ""}},
	"POST /api/show":                    {{"/api/show", `{"model":"scripted"}`}},
	"POST /api/chat":                    {{"/api/chat", `{"model":"scripted","messages":[{"role":"user","content":"hello"}]}`}},
	"POST /api/generate":                {{"/api/generate", `{"model":"scripted","prompt":"hello"}`}},
	"POST /api/embed":                   {{"/api/embed", `{"model":"scripted","input":"hello"}`}},
	"POST /api/embeddings":              {{"/api/embeddings", `{"model":"scripted","prompt":"hello"}`}},
	"POST /api/web_search":              {{"/api/web_search", `{"query":"hello"}`}},
	"POST /api/web_fetch":               {{"/api/web_fetch", `{"url":"PAGES/page"}`}},
	"POST /api/experimental/web_search": {{"/api/experimental/web_search", `{"query":"hello"}`}},
	"POST /api/experimental/web_fetch":  {{"/api/experimental/web_fetch", `{"url":"PAGES/page"}`}},
	"GET /v1/models":                    {{"/v1/models", ""}},
	"GET /v1/models/{model...}":         {{"/v1/models/scripted", ""}},
	"POST /v1/chat/completions":         {{"/v1/chat/completions", `{"model":"scripted","messages":[{"role":"user","content":"hello"}]}`}},
	"POST /v1/completions":              {{"/v1/completions", `{"model":"scripted","prompt":"hello"}`}},
	"POST /v1/embeddings":               {{"/v1/embeddings", `{"model":"scripted","input":"hello"}`}},
	"POST /mcp":                         {{"/mcp", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ask","arguments":{"prompt":"hello","model":"scripted"}}}`}},
	"GET /.well-known/{path...}":        {{"/.well-known/oauth-protected-resource/mcp", ""}},
	"POST /register":                    {{"/register", `{"client_name":"program"}`}},
	"POST /api/pull":                    {{"/api/pull", `{"model":"scripted:latest"}`}},
	"DELETE /api/delete":                {{"/api/delete", `{"model":"scripted:latest"}`}},
	"POST /v1/responses":                {{"/v1/responses", `{"model":"scripted","input":"hello"}`}},
	"GET /v1/answers/{id}":              {{"/v1/answers/nobody-asked-for-it", ""}},
	"DELETE /v1/answers/{id}":           {{"/v1/answers/nobody-asked-for-it", ""}},
	"GET /v1/responses/{id}":            {{"/v1/responses/resp_nobody", ""}},
	"DELETE /v1/responses/{id}":         {{"/v1/responses/resp_nobody", ""}},
	"POST /v1/files":                    {{"/v1/files", `{"purpose":"batch"}`}},
	"GET /v1/files":                     {{"/v1/files", ""}},
	"GET /v1/files/{id}":                {{"/v1/files/file-nobody", ""}},
	"DELETE /v1/files/{id}":             {{"/v1/files/file-nobody", ""}},
	"GET /v1/files/{id}/content":        {{"/v1/files/file-nobody/content", ""}},
	"POST /v1/batches":                  {{"/v1/batches", `{"input_file_id":"file-nobody","endpoint":"/v1/completions","completion_window":"24h"}`}},
	"GET /v1/batches":                   {{"/v1/batches", ""}},
	"GET /v1/batches/{id}":              {{"/v1/batches/batch_nobody", ""}},
	"POST /v1/batches/{id}/cancel":      {{"/v1/batches/batch_nobody/cancel", ""}},
	"GET /metrics":                      {{"/metrics", ""}},
	"GET /ui":                           {{"/ui", ""}},
	"GET /ui/{$}":                       {{"/ui/", ""}},
	"GET /ui/static/{file...}":          {{"/ui/static/app.js", ""}},
	"GET /ui/events":                    {{"/ui/events?once=1", ""}},
	"GET /ui/tasks/{id}":                {{"/ui/tasks/unknown", ""}},
	"GET /ui/chat":                      {{"/ui/chat", ""}},
	"GET /ui/chat/swarm":                {{"/ui/chat/swarm", ""}},
	"POST /ui/chat/document":            {{"/ui/chat/document", `{"filename":"a.txt","file_data":"aGk="}`}},
	"POST /ui/login":                    {{"/ui/login", "key=wrong"}},
	"POST /ui/logout":                   {{"/ui/logout", ""}},
	"POST /v1/messages":                 {{"/v1/messages", `{"model":"scripted","max_tokens":9,"messages":[{"role":"user","content":"hello"}]}`}},
}

// ofThisMachine are the attacks that are none where programs of this machine need no key: the
// interfaces of others. They are tried all the same, and what is answered is in the table.
var ofThisMachine = []string{"no key", "empty key", "wrong key", "key as password", "key in the address", "key in a cookie"}

// notFromPages are those that are none on Ollama's interface, which takes what curl sends by itself.
var notFromPages = []string{"text/plain", "a form", "multipart", "no content type"}

// harmless reports whether a route promises nothing against an attack.
func harmless(pattern, attack string) bool {
	return slices.Contains(gateway.Keyless(), pattern) &&
		(slices.Contains(ofThisMachine, attack) || slices.Contains(notFromPages, attack) && !strings.Contains(pattern, "/v1/") && pattern != "POST /mcp")
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func host(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }

func site(kind, origin string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Sec-Fetch-Site", kind)
		r.Header.Set("Origin", origin)
	}
}

// httpAttacks are tried on every route, each with all else in order: one defence has to do.
var httpAttacks = []struct {
	name   string
	change func(*http.Request)
}{
	{"host evil.test", host("evil.test")},
	{"host evil.test:7890", host("evil.test:7890")},
	{"host 127.0.0.1.evil.test", host("127.0.0.1.evil.test")},
	{"host localhost.evil.test", host("localhost.evil.test")},
	{"host 127.0.0.1@evil.test", host("127.0.0.1@evil.test")},
	{"host 0.0.0.0", host("0.0.0.0")},
	{"host 169.254.169.254", host("169.254.169.254")},
	{"no key", func(r *http.Request) { r.Header.Del("Authorization") }},
	{"empty key", header("Authorization", "Bearer ")},
	{"wrong key", header("Authorization", "Bearer wrong")},
	{"key as password", func(r *http.Request) {
		key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		r.SetBasicAuth("myco", key)
	}},
	{"key in the address", func(r *http.Request) {
		key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		r.Header.Del("Authorization")
		q := r.URL.Query()
		for _, name := range []string{"key", "token", "access_token"} {
			q.Set(name, key)
		}
		r.URL.RawQuery = q.Encode()
	}},
	{"key in a cookie", func(r *http.Request) {
		key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		r.Header.Del("Authorization")
		r.AddCookie(&http.Cookie{Name: "key", Value: url.QueryEscape(key)})
	}},
	{"through a proxy, no key", func(r *http.Request) {
		r.Header.Del("Authorization")
		r.Header.Set("X-Forwarded-For", "192.0.2.1")
	}},
	{"origin null", header("Origin", "null")},
	{"origin evil.test", header("Origin", "http://evil.test")},
	{"cross-site", site("cross-site", "http://evil.test")},
	{"cross-site, origin null", site("cross-site", "null")},
	{"same-site, another port", site("same-site", "http://127.0.0.1:1")},
	{"text/plain", header("Content-Type", "text/plain")},
	{"a form", header("Content-Type", "application/x-www-form-urlencoded")},
	{"multipart", header("Content-Type", "multipart/form-data; boundary=x")},
	{"no content type", func(r *http.Request) { r.Header.Del("Content-Type") }},
	{"GET", func(r *http.Request) { r.Method = http.MethodGet }},
	{"HEAD", func(r *http.Request) { r.Method = http.MethodHead }},
	{"OPTIONS, preflight", func(r *http.Request) {
		r.Method = http.MethodOptions
		r.Header.Set("Origin", "http://evil.test")
		r.Header.Set("Access-Control-Request-Method", http.MethodPost)
		r.Header.Set("Access-Control-Request-Headers", "authorization,content-type")
	}},
	{"method override", func(r *http.Request) {
		r.Header.Set("X-HTTP-Method-Override", http.MethodPost)
		r.Method = http.MethodGet
	}},
	{"body over the limit", func(r *http.Request) { huge(r, true) }},
	{"body over the limit, of no length", func(r *http.Request) { huge(r, false) }},
}

// huge gives r a body over the limit, told beforehand or not. The rest fits the server's read buffer: what
// comes after the answer, on a connection that ends with it, would reset the connection before the answer is
// read.
func huge(r *http.Request, told bool) {
	size := bus.MaxPayload + 65<<10
	if r.URL.Path == "/ui/login" {
		size = 5 << 10 // of 4 KiB
	}
	b := bytes.Repeat([]byte(" "), size)
	r.Header.Set("Expect", "100-continue")
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(b)), -1
	if told {
		r.ContentLength = int64(len(b))
	}
}

// submissions counts the tasks that come to be in the swarm.
func submissions(t *testing.T, n *harness.Node) *atomic.Int64 {
	t.Helper()
	var k atomic.Int64
	nc := observe(t, n)
	if _, err := nc.Subscribe("swarm.task.*.*."+string(bus.EventQueued), func(*nats.Msg) { k.Add(1) }); err != nil {
		t.Fatal(err)
	}
	if err := nc.FlushTimeout(harness.Patience); err != nil {
		t.Fatal(err)
	}
	return &k
}

// TestHTTPMatrix tries every attack on every route that the gateway lists, on a real daemon. What
// is answered is a golden table; a new route without a sample, or a line there, fails.
func TestHTTPMatrix(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)
	var ledger engine.Ledger
	pages := newPages(t)
	a := s.Found(t, "a", "--engine", startEngine(t, s, engine.Config{Name: "a", Ledger: &ledger}).URL(),
		"--web-allow", "127.0.0.1", "--web-port", pages.Port(), "--search", pages.String())
	awaitModel(t, a, "a", engine.Model, true)
	tasks := submissions(t, a)
	var table strings.Builder
	tried := 0
	for _, pattern := range gateway.Routes() {
		method, _, _ := strings.Cut(pattern, " ")
		idle := strings.Contains(pattern, " /ui") || strings.Contains(pattern, " /v1/answers/") || strings.Contains(pattern, " /v1/responses/") ||
			strings.Contains(pattern, " /v1/files") || strings.Contains(pattern, " /v1/batches") || pattern == "DELETE /task/{id}" || pattern == "POST /register" // which make no tasks
		changes := (method == http.MethodPost || method == http.MethodDelete) && !idle
		if len(samples[pattern]) == 0 {
			t.Errorf("nobody attacks %s: give it a sample", pattern)
		}
		for _, sample := range samples[pattern] {
			sample.body = strings.ReplaceAll(sample.body, "PAGES", pages.String())
			made := int64(0) // requests that are answered, since the attacks that must not be
			line := func(attack string, r reply) {
				if r.status == http.StatusOK || r.status == http.StatusAccepted {
					made++
				}
				fmt.Fprintf(&table, "%-4s %-20s %-36s %d\n", method, sample.path, attack, r.status)
				if h := r.header.Get("Access-Control-Allow-Origin"); h != "" {
					t.Errorf("%s, %s: pages of %q may read the answer", sample.path, attack, h)
				}
				if r.status != http.StatusOK && r.status != http.StatusAccepted && strings.Contains(r.body, string(a.Info.NodeID)) {
					t.Errorf("%s, %s: the refusal tells the node: %s", sample.path, attack, r.body)
				}
			}
			try := func(promised bool) {
				for _, attack := range httpAttacks {
					if harmless(pattern, attack.name) != promised {
						tried++
						line(attack.name, httpDo(t, a, method, sample.path, sample.body, attack.change))
					}
				}
			}
			try(true)
			if k := tasks.Load(); changes && k != 0 {
				t.Errorf("the attacks on %s made %d tasks", sample.path, k)
			}
			made = 0
			try(false)
			line("none", httpDo(t, a, method, sample.path, sample.body))
			if changes {
				harness.Poll(t, harness.Patience, "each proper request makes a task", func() string {
					if k := tasks.Load(); k < made || made == 0 {
						return fmt.Sprintf("%d tasks of %d requests", k, made)
					}
					return ""
				})
				tasks.Store(0)
			}
		}
	}
	for _, path := range []string{"/nothing", "/api/", "/api/pull", "/api/delete", "/v1/", "/debug/pprof/", "/metrics/", "/../status", "//status", "/task/../status", "/task/%2e%2e"} {
		tried++
		r := httpDo(t, a, http.MethodGet, path, "", func(r *http.Request) {
			r.Header.Del("Authorization")
			r.URL.Opaque = path
		})
		if r.status == http.StatusOK {
			t.Errorf("GET %s without a key: %d %s", path, r.status, r.body)
		}
	}
	goldenTable(t, "http.golden", table.String())
	reach(t, "http", tried, fmt.Sprintf("%d on %d routes as in the table, 0 tasks made", tried, len(gateway.Routes())))
}

// TestSlowClientsAreCut holds connections to every route open: with a header, and with a body, that
// never ends. Others are served meanwhile.
func TestSlowClientsAreCut(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)
	a := s.Found(t, "a")
	key := readFile(t, a, bus.HTTPKeyFile)
	addr := strings.TrimPrefix(a.Info.HTTPURL, "http://")
	var mu sync.Mutex
	took := map[string][]time.Duration{}
	var wg sync.WaitGroup
	// hold sends a beginning, and waits for the end of the connection, or of its request.
	hold := func(what, beginning string) {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		began := time.Now()
		if err := conn.SetDeadline(began.Add(time.Minute + harness.Patience)); err != nil {
			t.Error(err)
		}
		if _, err := io.WriteString(conn, beginning); err != nil {
			t.Error(err)
		}
		first, err := bufio.NewReader(conn).ReadString('\n')
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			t.Errorf("%s: held for %v: %q", what, time.Since(began), beginning)
		case strings.Contains(first, " 200 "), strings.Contains(first, " 202 "):
			t.Errorf("%s: %q is answered with %q", what, beginning, first)
		}
		mu.Lock()
		defer mu.Unlock()
		took[what] = append(took[what], time.Since(began))
	}
	for _, pattern := range gateway.Routes() {
		method, _, _ := strings.Cut(pattern, " ")
		for _, sample := range samples[pattern] {
			start := method + " " + sample.path + " HTTP/1.1\r\nHost: " + addr + "\r\nAuthorization: Bearer " + key + "\r\n"
			wg.Go(func() { hold("header", start+"X-Slow: ") })
			if pattern != "GET /health" { // it reads no body
				wg.Go(func() { hold("body", start+"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{") })
			}
		}
	}
	wg.Go(func() { hold("header", "") })
	if got := status(t, a.Info.HTTPURL+"/health", ""); got != http.StatusOK {
		t.Errorf("others are answered with %d meanwhile", got)
	}
	wg.Wait()
	count, figure := 0, []string{}
	for _, what := range []string{"header", "body"} {
		count += len(took[what])
		figure = append(figure, fmt.Sprintf("a %s that does not end is cut after %v at most", what, slices.Max(took[what]).Round(time.Second)))
	}
	reach(t, "slow", count, strings.Join(figure, "; "))
}
