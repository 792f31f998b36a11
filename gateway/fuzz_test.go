package gateway_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/gateway"
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

// Whatever a body is, in whichever dialect: what reaches the swarm is a valid request, what is refused
// is refused in the dialect's own words, and what comes back is JSON.
func FuzzDialects(f *testing.F) {
	for _, s := range []string{
		hello + `}`, hello + `,"stream":false,"options":{"temperature":"x","stop":["a"],"num_predict":1e9},"format":{},"think":"max"}`,
		`{"model":"m","prompt":"p","suffix":"s","context":[1],"images":["aGk="],"raw":true}`, `{"model":"vec","input":["a","b"],"encoding_format":"base64"}`,
		`{"model":"m","messages":[{"role":"assistant","content":[{"type":"image_url","image_url":{"url":"data:;base64,"}}],"tool_calls":[{"id":"1","function":{"name":"f","arguments":"{}"}}]}]}`,
		`{"model":"m","messages":[{"role":"tool","content":null}],"tools":[],"tool_choice":{},"response_format":{"type":"json_schema"}}`,
		`{"model":"m","messages":null,"keep_alive":"0","stream":null}`, `{"model":"m","n":1,"stream_options":{},"reasoning":{"effort":"low"}}`,
		`{"name":"m","insecure":true,"stream":false}`, `{"model":"m","name":7}`,
		`{"model":"m","input":[{"type":"reasoning","summary":[{"text":"t"}]},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":[{"type":"input_image","image_url":"data:;base64,"}]}],"tools":[{"type":"function","name":"f"}],"tool_choice":{"type":"function","name":"f"},"text":{"format":{"type":"json_schema"}},"stream":true}`,
		`{"model":"m","max_tokens":1,"system":[{"type":"text","text":"s"}],"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":[{"type":"image","source":{"type":"base64","data":""}}]}]}],"thinking":{"type":"enabled"},"tool_choice":{"type":"any"},"tools":[{"name":"f","input_schema":{}}],"stream":true}`,
		`{"model":"m","max_tokens":1,"messages":[{"role":"assistant","content":[{"type":"server_tool_use","id":"a","name":"web_search","input":{}},{"type":"web_search_tool_result","tool_use_id":"a","content":[{"type":"web_search_result","url":"u","encrypted_content":"aGk="}]},{"type":"web_fetch_tool_result","tool_use_id":"a","content":{"type":"web_fetch_result","content":{"source":{"type":"text","data":"x"}}}}]}],"tools":[{"type":"web_search_20250305","name":"web_search","max_uses":1}]}`,
		"[]", "null", "", "{}", "{} {}", `{"model":"` + strings.Repeat("m", 300) + `","prompt":"x"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, route := range gateway.Keyless() {
			method, target := path(route)
			if method == http.MethodGet || target == "/api/show" {
				continue
			}
			o, g := newOracle(t, answers)
			w := local(t, g, method, target, string(body))
			if (w.Code == http.StatusOK) != (len(o.tasks) == 1) {
				t.Errorf("%s %q: status %d, %d tasks", target, body, w.Code, len(o.tasks))
			}
			for line := range strings.SplitSeq(strings.TrimSpace(w.Body.String()), "\n") {
				line = strings.TrimPrefix(line, "data: ")
				if strings.HasPrefix(line, "event: ") {
					continue
				}
				if line != "" && line != "[DONE]" && !json.Valid([]byte(line)) {
					t.Errorf("%s %q is answered with %q", target, body, line)
				}
			}
			for _, task := range o.tasks {
				var req bus.InferenceRequest
				var embed bus.EmbedRequest
				if task.Validate() != nil || json.Unmarshal(task.Payload, &req) != nil && json.Unmarshal(task.Payload, &embed) != nil {
					t.Errorf("%s %q became %+v", target, body, task)
				}
				if task.Type == bus.TypeInference && req.Validate() != nil {
					t.Errorf("%s %q became a request that is not valid: %v", target, body, req.Validate())
				}
			}
			if w.Code != http.StatusOK && object(t, w)["error"] == nil {
				t.Errorf("%s %q: %d %s", target, body, w.Code, w.Body)
			}
		}
	})
}
