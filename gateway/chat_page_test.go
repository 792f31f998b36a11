package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// The page on which people ask is told who answers: no model that makes vectors alone, none of a node that takes no
// work, and the one that would be chosen.
func TestChatPage(t *testing.T) {
	t.Parallel()
	o, g := newOracle(t, answers)
	o.nodes = []bus.NodeInfo{
		{ID: self, Name: "laptop", State: bus.NodeReady, Models: []bus.ModelInfo{{Name: "tiny", Demo: true}}, Embedders: []bus.ModelInfo{{Name: "vec"}}},
		{ID: other, Name: "tower", State: bus.NodeReady, Models: []bus.ModelInfo{
			{Name: "small", SizeBytes: 1, Can: bus.Answers}, {Name: "large", SizeBytes: 2, Can: bus.Answers | bus.Sees},
		}},
		{ID: "myco-000000000000", Name: "attic", State: bus.NodeDraining, Models: []bus.ModelInfo{{Name: "drained", SizeBytes: 3}}},
	}
	w := local(t, g, http.MethodGet, "/ui/chat/swarm", "")
	want := `{"name":"","models":[{"name":"large","sees":true},{"name":"small"},{"name":"tiny","demo":true}],"choice":"large",` +
		`"nodes":{"myco-000000000000":"attic","` + string(self) + `":"laptop","` + string(other) + `":"tower"}}`
	if got := strings.TrimSpace(w.Body.String()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}

	w = local(t, g, http.MethodGet, "/ui/chat", "")
	if w.Code != http.StatusOK || !strings.Contains(w.Header().Get("Content-Security-Policy"), "require-trusted-types-for 'script'") {
		t.Errorf("the page: %d, %v", w.Code, w.Header())
	}
	if strings.Contains(w.Body.String(), "tower") {
		t.Error("the page tells everybody of the swarm")
	}
}
