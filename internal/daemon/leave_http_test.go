package daemon_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
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
	overBus := make(chan error, 1)
	go func() {
		for _, err := range b.conn.Submit(b.ctx(), bus.Task{Type: bus.TypeInference, Model: "scripted", Payload: []byte(`{"prompt":"<q2>"}`)}) {
			if err != nil {
				overBus <- err
				return
			}
		}
		overBus <- nil
	}()
	if _, err := ledger.Wait(t.Context(), func(runs []engine.Run) bool { return len(runs) == 2 }); err != nil {
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
	select {
	case err := <-overBus:
		if !errors.Is(err, &bus.Error{Code: bus.CodeUnavailable}) || !strings.Contains(err.Error(), "has left its swarm") {
			t.Errorf("over the bus: %v", err)
		}
	case <-b.ctx().Done():
		t.Error("the question over the bus does not end")
	}
}
