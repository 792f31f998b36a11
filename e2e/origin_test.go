//go:build e2e && linux

package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// A page of another site asks a node that trusts it, in a real browser, and reads the answer as it is written; a node that does
// not is not asked, and neither tells it anything by its own interface.
func TestPageThatIsTrusted(t *testing.T) {
	t.Parallel()
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<!doctype html><title>a chat</title>") // to a browser that may be gone
	}))
	t.Cleanup(site.Close)
	s := harness.New(t, programs)
	var ledger engine.Ledger
	eng := startEngine(t, s, engine.Config{Name: "a", Ledger: &ledger, Script: func(engine.Request) engine.Script { return engine.Script{Words: []string{"It ", "is ", "read."}} }})
	a := s.Found(t, "a", "--engine", eng.URL(), "--http-origin", site.URL)
	b := s.Join(t, a, "b")
	harness.Settle(t, a, b)
	for _, asked := range []*harness.Node{a, b} {
		awaitModel(t, asked, "a", engine.Model, true)
	}
	x := openPage(t, site.URL)
	ask := func(n *harness.Node, path, body string) string {
		t.Helper()
		return eval[string](x, fmt.Sprintf(`fetch(%q, {method: "POST", headers: {"Content-Type": "application/json", "Authorization": "Bearer any", "X-Stainless-OS": "x"}, body: %q})
			.then(r => r.text()).catch(e => "refused: " + e)`, n.Info.HTTPURL+path, body))
	}
	chat := fmt.Sprintf(`{"model":%q,"stream":true,"messages":[{"role":"user","content":"Is it?"}]}`, engine.Model)
	if got := ask(a, "/v1/chat/completions", chat); !strings.Contains(got, `"read."`) || !strings.Contains(got, "[DONE]") {
		t.Errorf("at a node that trusts it: %s", got)
	}
	before := len(ledger.Runs())
	for what, got := range map[string]string{
		"at a node that does not trust it": ask(b, "/v1/chat/completions", chat),
		"by the swarm's own interface":     ask(a, "/task", `{"type":"ping","payload":{}}`),
	} {
		if !strings.HasPrefix(got, "refused: TypeError") {
			t.Errorf("%s: %s", what, got)
		}
	}
	if after := len(ledger.Runs()); after != before {
		t.Errorf("the engine was asked %d times more", after-before)
	}
}
