package daemon_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/internal/config"
)

// Questions over HTTP that wait for a node when it is drained end with an error that tells so, streamed or not; what runs
// there is answered.
func TestDrainEndsQuestionsThatWait(t *testing.T) {
	t.Parallel()
	var ledger engine.Ledger
	gate := make(chan struct{})
	a := start(t, "a", withEngine(t, &ledger, func(engine.Request) engine.Script { return engine.Script{Gate: gate} }),
		func(c *config.Config) { c.Slots = 1 })
	b := start(t, "b", joining(a))
	settle(t, a, b)
	eventually(t, "the model is known", func() string {
		if _, body := call(t, b, "GET", "/v1/models", "", noKey); !strings.Contains(body, engine.Model) {
			return body
		}
		return ""
	})
	type answer struct {
		status int
		body   string
	}
	ask := func(path, body string) <-chan answer {
		answered := make(chan answer, 1)
		go func() {
			status, body := call(t, b, "POST", path, body, noKey)
			answered <- answer{status, body}
		}()
		return answered
	}
	runs := ask("/v1/completions", `{"model":"scripted","prompt":"<q>"}`)
	if _, err := ledger.Wait(t.Context(), func(runs []engine.Run) bool { return len(runs) == 1 }); err != nil {
		t.Fatal(err)
	}
	wait := []<-chan answer{
		ask("/v1/chat/completions", `{"model":"scripted","messages":[{"role":"user","content":"<w>"}]}`),
		ask("/v1/messages", `{"model":"scripted","max_tokens":9,"messages":[{"role":"user","content":"<x>"}],"stream":true}`),
		ask("/api/chat", `{"model":"scripted","messages":[{"role":"user","content":"<y>"}]}`),
	}
	eventually(t, "they wait", func() string {
		all, err := b.conn.Tasks(b.ctx())
		check(t, err)
		n := 0
		for _, i := range all {
			if i.State == bus.StateQueued {
				n++
			}
		}
		if n != len(wait) {
			return fmt.Sprint(n)
		}
		return ""
	})
	_, err := b.conn.Drain(b.ctx(), a.id(), false)
	check(t, err)
	for i, c := range wait {
		select {
		case got := <-c:
			if i != 1 && got.status != http.StatusServiceUnavailable || !strings.Contains(got.body, "node a is draining") || !strings.Contains(got.body, "myco drain a --off") {
				t.Errorf("question %d: %d %s", i, got.status, got.body)
			}
		case <-b.ctx().Done():
			t.Fatal("a question does not end")
		}
	}
	close(gate)
	if got := <-runs; got.status != http.StatusOK {
		t.Errorf("what ran there: %d %s", got.status, got.body)
	}
}
