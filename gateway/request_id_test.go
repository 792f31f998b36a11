package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// An answer names its request as the libraries of OpenAI and Anthropic look for it: by its task, be there an error or not, and
// where there is no task by something else.
func TestRequestIDs(t *testing.T) {
	t.Parallel()
	const asked = `"model":"m","messages":[{"role":"user","content":"?"}]`
	burns := fails(bus.Errorf(bus.CodeUnavailable, "the engine burns"))
	for _, c := range []struct {
		request, body string
		fails         bool
		header        string
		status        int
		task          bool
	}{
		{"POST /v1/chat/completions", `{` + asked + `}`, false, "X-Request-Id", 200, true},
		{"POST /v1/chat/completions", `{"stream":true,` + asked + `}`, false, "X-Request-Id", 200, true},
		{"POST /v1/chat/completions", `{"n":2,` + asked + `}`, false, "X-Request-Id", 200, true},
		{"POST /v1/chat/completions", `{` + asked + `}`, true, "X-Request-Id", 503, true},
		{"POST /v1/responses", `{"model":"m","input":"?"}`, false, "X-Request-Id", 200, true},
		{"POST /v1/embeddings", `{"model":"vec","input":"?"}`, true, "X-Request-Id", 503, true},
		{"POST /v1/messages", `{"max_tokens":9,` + asked + `}`, false, "Request-Id", 200, true},
		{"POST /v1/messages", `{"max_tokens":9,"stream":true,` + asked + `}`, false, "Request-Id", 200, true},
		{"POST /v1/messages", `{"max_tokens":9,` + asked + `}`, true, "Request-Id", 503, true},
		{"POST /v1/chat/completions", `{}`, false, "X-Request-Id", 400, false},
		{"POST /v1/messages", `{}`, false, "Request-Id", 400, false},
		{"POST /messages", `{}`, false, "Request-Id", 404, false},
		{"GET /v1/models", "", false, "X-Request-Id", 200, false},
		{"GET /v1/models/none", "", false, "X-Request-Id", 404, false},
		{"POST /api/chat", `{` + asked + `}`, false, "", 200, false},
	} {
		say := paris()
		if c.fails {
			say = burns
		}
		o, g := newOracle(t, say)
		method, target, _ := strings.Cut(c.request, " ")
		w := local(t, g, method, target, c.body)
		h := w.Header()
		if w.Code != c.status || len(h.Values("X-Request-Id"))+len(h.Values("Request-Id")) > 1 || (h.Get(c.header) != "") != (c.header != "") {
			t.Errorf("%s %s: %d %v, want %d and %s", c.request, c.body, w.Code, h, c.status, c.header)
		}
		id := h.Get(c.header)
		if c.task && (len(o.tasks) == 0 || id != "req_"+string(o.tasks[0].ID)) && c.body != `{"n":2,`+asked+`}` {
			t.Errorf("%s %s: the request is called %q, its tasks are %v", c.request, c.body, id, o.tasks)
		}
		if task := h.Get("X-Myco-Task"); task != "" && id != "" && id != "req_"+task {
			t.Errorf("%s %s: the request is called %q, its task %s", c.request, c.body, id, task)
		}
		if c.header == "Request-Id" && c.status >= 400 && at(object(t, w), "request_id") != id {
			t.Errorf("%s %s: the request is called %q, and in the body %s", c.request, c.body, id, w.Body)
		}
	}
}

// Who speaks Anthropic is told in its words what is wrong, at paths too that OpenAI's interface has as well.
func TestErrorsOfAnthropicsModels(t *testing.T) {
	t.Parallel()
	_, g := newOracle(t, paris())
	for _, c := range []struct {
		request, from string
		status        int
		kind          string
		header        []string
	}{
		{"GET /v1/models/none", "127.0.0.1:5", 404, "not_found_error", nil},
		{"GET /v1/models", "192.0.2.7:5", 401, "authentication_error", nil},
		{"POST /v1/models", "127.0.0.1:5", 405, "invalid_request_error", nil},
		{"GET /v1/files", "127.0.0.1:5", 404, "not_found_error", nil},
		{"GET /v1/models", "127.0.0.1:5", 403, "permission_error", []string{"Host", "evil.example"}},
		{"POST /v1/models", "127.0.0.1:5", 403, "permission_error", []string{"Sec-Fetch-Site", "cross-site"}},
	} {
		method, target, _ := strings.Cut(c.request, " ")
		ask := func(header ...string) (int, map[string]any, http.Header) {
			w := from(t, g, c.from, method, target, "", append(append([]string{"Authorization", ""}, header...), c.header...)...)
			return w.Code, object(t, w), w.Header()
		}
		status, body, h := ask("Anthropic-Version", "2023-06-01")
		if status != c.status || body["type"] != "error" || at(body, "error", "type") != c.kind || body["request_id"] != h.Get("Request-Id") || h.Get("Request-Id") == "" {
			t.Errorf("%s: %d %v %v, want %d %s", c.request, status, body, h, c.status, c.kind)
		}
		if status, body, h := ask(); status != c.status || body["type"] != nil || at(body, "error", "type") == nil || h.Get("X-Request-Id") == "" {
			t.Errorf("%s of OpenAI's clients: %d %v %v", c.request, status, body, h)
		}
	}
}
