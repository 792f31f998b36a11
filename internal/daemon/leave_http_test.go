package daemon_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/e2e/engine"
)

// A question that another node answers ends when the node that was asked leaves the swarm: no end of it would come.
func TestLeavingEndsQuestions(t *testing.T) {
	t.Parallel()
	var ledger engine.Ledger
	gate := make(chan struct{})
	defer close(gate)
	b, _ := dialectSwarm(t, &ledger, func(engine.Request) engine.Script { return engine.Script{Gate: gate} })
	type answer struct {
		status int
		body   string
	}
	answered := make(chan answer, 1)
	go func() {
		status, body := call(t, b, "POST", "/v1/completions", `{"model":"scripted","prompt":"<q>"}`, noKey)
		answered <- answer{status, body}
	}()
	if _, err := ledger.Wait(t.Context(), func(runs []engine.Run) bool { return len(runs) == 1 }); err != nil {
		t.Fatal(err)
	}
	if _, err := b.conn.Leave(b.ctx()); err != nil {
		t.Fatal(err)
	}
	var a answer
	select {
	case a = <-answered:
	case <-b.ctx().Done():
		t.Fatal("the question does not end")
	}
	if a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, "has left its swarm") {
		t.Errorf("%d %s", a.status, a.body)
	}
}
