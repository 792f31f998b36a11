package gateway_test

import (
	"net/http"
	"testing"
)

// Whatever the body is, a task that reaches the swarm is a valid one, and the rest is refused.
func FuzzTask(f *testing.F) {
	for _, s := range []string{
		`{"type":"ping"}`, `{"type":"inference","model":"m","lane":"batch","priority":3,"payload":{"prompt":"x"},"deadline_ms":5}`,
		`{"id":"../x","type":"ping"}`, `{"type":"ping","node":"*"}`, `{"type":"a.b"}`, `{"type":"ping"} {}`, `[]`, "null", "", `{"type":"ping","timeout":-1}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		s, g := setup(t)
		for _, path := range []string{"/task", "/task?durable=1"} {
			w := call(t, g, http.MethodPost, path, string(body))
			took := len(s.ran)
			if path != "/task" {
				took = len(s.enqueued)
			}
			if ok := w.Code == http.StatusOK || w.Code == http.StatusAccepted; ok != (took == 1) || !ok && w.Code != http.StatusBadRequest && w.Code != http.StatusRequestEntityTooLarge {
				t.Errorf("%s %q: status %d, %d tasks", path, body, w.Code, took)
			}
		}
		for _, task := range append(s.ran, s.enqueued...) {
			if err := task.Validate(); err != nil {
				t.Errorf("%q became a task that is not valid: %v", body, err)
			}
		}
	})
}
