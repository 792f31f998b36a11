package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/gateway"
)

// figures is what tells the figures of a node.
var figures = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	_, _ = io.WriteString(w, "figures 1\n") // to a recorder
})

// Who may is told by the tests of all routes: programs of this machine, and whoever has a key.
func TestMetrics(t *testing.T) {
	t.Parallel()
	_, g := newOracle(t, answers)
	w := local(t, g, "GET", "/metrics", "")
	if w.Code != http.StatusOK || w.Body.String() != "figures 1\n" || w.Header().Get("Content-Type") != "text/plain" ||
		w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %q, header %v", w.Code, w.Body, w.Header())
	}
	if w := local(t, g, "POST", "/metrics", "{}"); w.Code != http.StatusUnauthorized {
		t.Errorf("POST without a key: %d", w.Code)
	}
	if w := call(t, g, "POST", "/metrics", "{}"); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
	bare, err := gateway.New(gateway.Config{Swarm: &swarm{}, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	if w := local(t, bare, "GET", "/metrics", ""); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), `"not_found"`) {
		t.Errorf("without figures: %d %s", w.Code, w.Body)
	}
}

// Each request is counted by its route, whatever it is called with, and by how it was answered.
func TestAnsweredRequestsAreTold(t *testing.T) {
	t.Parallel()
	var told []string
	o, _ := newOracle(t, answers)
	g, err := gateway.New(gateway.Config{Swarm: o, Key: key, Answered: func(route string, status int) {
		told = append(told, fmt.Sprint(route, " ", status))
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ method, path, body, host, want string }{
		{"GET", "/health", "", "", "GET /health 200"},
		{"HEAD", "/health", "", "", "GET /health 200"},
		{"GET", "/task/abc", "", "", "GET /task/{id} 200"},
		{"GET", "/task/" + strings.Repeat("x", 100), "", "", "GET /task/{id} 400"},
		{"POST", "/api/chat", hello + `}`, "", "POST /api/chat 200"},
		{"POST", "/v1/chat/completions", hello + `,"stream":true}`, "", "POST /v1/chat/completions 200"},
		{"POST", "/v1/chat/completions", `{"model":"m"}`, "", "POST /v1/chat/completions 400"},
		{"BREW", "/v1/models", "", "", "/v1/ 405"},
		{"GET", "/any/thing", "", "", "/ 404"},
		{"GET", "/health", "", "evil.example", " 403"},
	} {
		told = nil
		var header []string
		if c.host != "" {
			header = []string{"Host", c.host}
		}
		if call(t, g, c.method, c.path, c.body, header...); len(told) != 1 || told[0] != c.want {
			t.Errorf("%s %s: told %q, want %q", c.method, c.path, told, c.want)
		}
	}
}
