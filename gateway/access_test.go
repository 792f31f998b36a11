package gateway_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/gateway"
)

// dialectRoutes are a request for each route that needs no key on this machine.
var dialectRoutes = map[string]string{
	"GET /{$}": "", "GET /api/version": "", "GET /api/tags": "", "GET /api/ps": "", "POST /api/show": `{"model":"m"}`,
	"POST /api/chat": hello + `}`, "POST /api/generate": `{"model":"m","prompt":"hi"}`,
	"GET /v1/models": "", "GET /v1/models/{model...}": "", "POST /v1/chat/completions": hello + `}`, "POST /v1/completions": `{"model":"m","prompt":"hi"}`,
	"POST /api/embed": `{"model":"vec","input":"x"}`, "POST /api/embeddings": `{"model":"vec","prompt":"x"}`, "POST /v1/embeddings": `{"model":"vec","input":"x"}`,
	"POST /v1/responses": `{"model":"m","input":"hi"}`, "POST /v1/messages": `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}`,
	"POST /api/web_search": `{"query":"x"}`, "POST /api/web_fetch": `{"url":"https://a.example"}`,
	"POST /api/experimental/web_search": `{"query":"x"}`, "POST /api/experimental/web_fetch": `{"url":"https://a.example"}`,
	"POST /mcp":      `{"do":"inference","model":"m"}`,
	"POST /api/pull": `{"model":"m"}`, "DELETE /api/delete": `{"model":"m"}`,
	"GET /v1/answers/{id}": "", "DELETE /v1/answers/{id}": "", "GET /v1/responses/{id}": "", "DELETE /v1/responses/{id}": "",
	"POST /v1/files": "", "GET /v1/files": "", "GET /v1/files/{id}": "", "DELETE /v1/files/{id}": "", "GET /v1/files/{id}/content": "",
	"POST /v1/batches": "", "GET /v1/batches": "", "GET /v1/batches/{id}": "", "POST /v1/batches/{id}/cancel": "",
	"GET /ui/{$}": "", "GET /ui/events": "", "GET /ui/tasks/{id}": "", "GET /ui/chat/swarm": "", "GET /metrics": "",
	"POST /ui/chat/document": `{"filename":"a.txt","file_data":"aGk="}`,
}

// served is the status of a request of dialectRoutes that is let in: there is no answer, and no response, to come back to, and an
// oracle keeps no files and batches, and nobody in it reads documents.
func served(route string) int {
	if route == "POST /ui/chat/document" {
		return http.StatusBadRequest
	}
	if strings.Contains(route, " /v1/files") || strings.Contains(route, " /v1/batches") || strings.HasSuffix(route, " /v1/answers/{id}") || strings.HasSuffix(route, " /v1/responses/{id}") {
		return http.StatusNotFound
	}
	return http.StatusOK
}

// open reports whether a route tells nothing, and is for all.
func open(route string) bool {
	return slices.Contains([]string{"GET /health", "GET /ui", "GET /ui/chat", "GET /ui/static/{file...}", "POST /ui/login", "POST /ui/logout", "GET /.well-known/{path...}", "POST /register"}, route)
}

// answers answers tasks of either type.
func answers(t bus.Task, out func(bus.Chunk) error) (any, error) {
	switch t.Type {
	case bus.TypeEmbed:
		return vectors(t, out)
	case bus.TypeSearch, bus.TypeFetch:
		return pages(t, out)
	case bus.TypePull:
		return pulls(t, out)
	case bus.TypeDelete:
		return bus.ModelsReply{Model: "m"}, nil
	}
	return paris()(t, out)
}

// path makes a request's path of a route.
func path(route string) (method, target string) {
	method, target, _ = strings.Cut(route, " ")
	target = strings.TrimSuffix(target, "{$}")
	if target == "/ui/events" {
		target += "?once=1"
	}
	return method, strings.NewReplacer("{model...}", "m", "{id}", "m").Replace(target)
}

// Programs of this machine need no key for the interfaces of others; those from elsewhere do, and
// everybody does for the swarm's own.
func TestKeysOfDialects(t *testing.T) {
	t.Parallel()
	for _, route := range gateway.Routes() {
		body, dialect := dialectRoutes[route]
		if open(route) {
			continue
		}
		_, g := newOracle(t, answers)
		told(t, g)
		method, target := path(route)
		for addr, free := range map[string]bool{
			"127.0.0.1:5": dialect, "[::1]:5": dialect, "[::ffff:127.0.0.1]:5": dialect, "192.0.2.1:5": false, "[fe80::1%eth0]:5": false, "": false, "@": false,
		} {
			for auth, ok := range map[string]bool{"": free, "Bearer wrong": free, "Basic " + key: free, "Bearer " + key: true, "bearer " + key: true} {
				w := from(t, g, addr, method, target, body, "Authorization", auth)
				if got := w.Code != http.StatusUnauthorized; got != ok {
					t.Errorf("%s from %q with %q: %d, want it let in: %v", route, addr, auth, w.Code, ok)
				}
			}
		}
		if slices.Contains(gateway.Keyless(), route) != dialect {
			t.Errorf("%s is listed as keyless: %v", route, !dialect)
		}
		if !dialect {
			continue
		}
		if w := local(t, g, method, target, body); w.Code != served(route) {
			t.Errorf("%s: %d %s", route, w.Code, w.Body)
		}
		// The other protections stay.
		for name, header := range map[string][]string{
			"a foreign name": {"Host", "evil.example"},
			"another site":   {"Sec-Fetch-Site", "cross-site"},
			"another origin": {"Origin", "http://evil.example"},
			"no origin":      {"Origin", "null"},
			"a page's form":  {"Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin"},
			"a page's text":  {"Content-Type", "text/plain", "Referer", "http://127.0.0.1/"},
		} {
			if header[0] != "Host" && method == http.MethodGet {
				continue // it changes nothing, and no page may read it
			}
			if header[0] == "Content-Type" && body == "" {
				continue
			}
			o, g := newOracle(t, paris())
			if w := local(t, g, method, target, body, header...); w.Code != http.StatusForbidden && w.Code != http.StatusBadRequest || len(o.tasks) > 0 {
				t.Errorf("%s with %s: %d %s, %d tasks", route, name, w.Code, w.Body, len(o.tasks))
			}
		}
	}
	_, g := newOracle(t, paris())
	for route := range dialectRoutes {
		if _, target := path(route); target != "" {
			w := local(t, g, "POST", target, "", "Access-Control-Request-Method", "POST", "Origin", "http://evil.example")
			if w.Header().Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s: pages of others may read the answer", route)
			}
		}
	}
}

// curl -d sends JSON under the name of a form, as in Ollama's own examples.
func TestCurl(t *testing.T) {
	t.Parallel()
	_, g := newOracle(t, paris())
	for _, content := range []string{"application/x-www-form-urlencoded", "text/plain", ""} {
		if w := local(t, g, "POST", "/api/chat", hello+`}`, "Content-Type", content); w.Code != http.StatusOK {
			t.Errorf("%q: %d %s", content, w.Code, w.Body)
		}
		if w := local(t, g, "POST", "/v1/chat/completions", hello+`}`, "Content-Type", content); w.Code != http.StatusBadRequest {
			t.Errorf("%q where the examples name the type: %d %s", content, w.Code, w.Body)
		}
	}
}

// Who comes through a proxy of this machine is not of this machine.
func TestProxiesNeedTheKey(t *testing.T) {
	t.Parallel()
	_, g := newOracle(t, answers)
	told(t, g)
	for name, v := range map[string]string{"X-Forwarded-For": "192.0.2.1", "Forwarded": "for=192.0.2.1", "X-Real-Ip": "192.0.2.1", "X-FORWARDED-FOR": "127.0.0.1"} {
		for route, body := range dialectRoutes {
			method, target := path(route)
			if w := local(t, g, method, target, body, name, v); w.Code != http.StatusUnauthorized {
				t.Errorf("%s with %s without the key: %d", route, name, w.Code)
			}
			if w := local(t, g, method, target, body, name, v, "Authorization", "Bearer "+key); w.Code != served(route) {
				t.Errorf("%s with %s with it: %d %s", route, name, w.Code, w.Body)
			}
		}
	}
}

// An owner may want the key of everybody.
func TestKeyAlways(t *testing.T) {
	t.Parallel()
	o, _ := newOracle(t, answers)
	g, err := gateway.New(gateway.Config{Metrics: figures, MCP: tools, Swarm: o, Key: key, KeyAlways: true})
	if err != nil {
		t.Fatal(err)
	}
	told(t, g)
	for route, body := range dialectRoutes {
		method, target := path(route)
		if w := local(t, g, method, target, body); w.Code != http.StatusUnauthorized {
			t.Errorf("%s without the key: %d", route, w.Code)
		}
		if w := local(t, g, method, target, body, "Authorization", "Bearer "+key); w.Code != served(route) {
			t.Errorf("%s with it: %d %s", route, w.Code, w.Body)
		}
	}
}
