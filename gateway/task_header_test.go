package gateway_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Each answer names the task that gave it, which tells why it was that node: in a header, and where its id is of no further use,
// by that.
func TestAnswersNameTheirTask(t *testing.T) {
	t.Parallel()
	const asked = `"model":"m","messages":[{"role":"user","content":"?"}]`
	for _, c := range []struct{ target, body, head string }{
		{"/v1/chat/completions", `{` + asked + `}`, "chatcmpl-"},
		{"/v1/chat/completions", `{"stream":true,` + asked + `}`, "chatcmpl-"},
		{"/v1/chat/completions", `{"n":2,` + asked + `}`, "chatcmpl-"},
		{"/v1/completions", `{"model":"m","prompt":"?"}`, "cmpl-"},
		{"/v1/messages", `{"max_tokens":9,` + asked + `}`, "msg_"},
		{"/v1/messages", `{"max_tokens":9,"stream":true,` + asked + `}`, "msg_"},
		{"/v1/responses", `{"model":"m","input":"?"}`, ""},
		{"/v1/responses", `{"model":"m","input":"?","stream":true}`, ""},
		{"/api/chat", `{` + asked + `}`, ""},
		{"/api/chat", `{"stream":false,` + asked + `}`, ""},
		{"/api/generate", `{"model":"m","prompt":"?"}`, ""},
		{"/v1/embeddings", `{"model":"vec","input":"?"}`, ""},
	} {
		say := paris()
		if strings.Contains(c.target, "embed") {
			say = func(bus.Task, func(bus.Chunk) error) (any, error) {
				return bus.EmbedResult{Vectors: [][]float32{{1}}}, nil
			}
		}
		o, g := newOracle(t, say)
		w := local(t, g, http.MethodPost, c.target, c.body)
		id := w.Header().Get("X-Myco-Task")
		if w.Code != http.StatusOK || id == "" || !slices.ContainsFunc(o.tasks, func(t bus.Task) bool { return string(t.ID) == id }) {
			t.Errorf("%s %s: %d, of task %q, want one of %v", c.target, c.body, w.Code, id, o.tasks)
		}
		if c.head != "" && !strings.Contains(w.Body.String(), `"`+c.head+id+`"`) {
			t.Errorf("%s: the answer is not called %s%s: %s", c.target, c.head, id, w.Body)
		}
		if c.target == "/v1/responses" && strings.Contains(w.Body.String(), id) {
			t.Errorf("a response is got by its id, which is that of a task: %s", w.Body)
		}
		seen := map[bus.TaskID]bool{}
		for _, one := range o.tasks {
			if seen[one.ID] && one.ID != "" {
				t.Errorf("%s: two tasks have the id %s", c.target, one.ID)
			}
			seen[one.ID] = true
		}
	}
}
