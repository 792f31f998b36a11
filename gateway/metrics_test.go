package gateway_test

import (
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
