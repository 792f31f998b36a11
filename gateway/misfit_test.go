package gateway_test

import (
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// What does not fit is told in the words of JSON, with the name of its field, and nothing of this program.
func TestMisfits(t *testing.T) {
	t.Parallel()
	chat := func(more string) string { return hello + more + `}` }
	claude := func(more string) string {
		return `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"}]` + more + `}`
	}
	for _, c := range []struct{ path, body, says, param string }{
		{"/api/chat", `{"model":7}`, "model: want a text, there is a number", ""},
		{"/api/chat", `[1]`, "read the request, want a JSON object: there is a list", ""},
		{"/api/chat", `{"model":"m","messages":"hi"}`, "messages: want a list, there is a text", ""},
		{"/api/chat", `{"model":"m","messages":[{"role":"user","content":[{"type":"text"}]}]}`, "messages.content: want a text, there is a list", ""},
		{"/api/chat", `{"model":"m","messages":[{"role":"assistant","tool_calls":[{"function":{"name":7}}]}]}`, "messages.tool_calls.function.name: want a text, there is a number", ""},
		{"/api/chat", `{"model":"m","messages":[{"role":"user","content":"x","images":["!"]}]}`, "messages: an image is not in base64", ""},
		{"/api/chat", `{"model":"m","messages":[{"role":"user","content":"x","images":[7]}]}`, "messages.images: want a text in base64, there is a number", ""},
		{"/api/chat", chat(`,"stream":"yes"`), "stream: want true or false, there is a text", ""},
		{"/api/chat", chat(`,"options":[1]`), "options: want an object, there is a list", ""},
		{"/api/chat", chat(`,"options":{"temperature":"hot"}`), "options.temperature: want a number", ""},
		{"/api/chat", chat(`,"format":7`), `format: 7: want "json", or a JSON schema`, ""},
		{"/api/chat", chat(`,"think":7`), "think: 7: want true, false, or how much", ""},
		{"/api/generate", `{"model":"m","prompt":["a"]}`, "prompt: want a text, there is a list", ""},
		{"/api/generate", `{"model":"m","prompt":"a","context":"x"}`, `context: "x": want a list of tokens`, ""},
		{"/api/generate", `{"images":1,"raw":1,"suffix":1,"template":1,"system":1,"prompt":1,"think":1,"stream":1,"model":1}`, "model: want a text, there is a number", ""}, // the first of all that do not fit
		{"/api/show", `{"model":["x"]}`, "model: want a text, there is a list", ""},
		{"/v1/chat/completions", `{"model":"m","messages":[7]}`, "messages: want an object, there is a number", "messages"},
		{"/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":{"a":1}}]}`, "messages[0]: the content is neither a text nor a list of parts", "messages[0]"},
		{"/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":7}]}]}`, "messages[0]: content.text: want a text, there is a number", "messages[0]"},
		{"/v1/chat/completions", chat(`,"temperature":"hot"`), "temperature: want a number, there is a text", "temperature"},
		{"/v1/chat/completions", chat(`,"seed":1.5`), "seed: want a whole number, there is 1.5", "seed"},
		{"/v1/chat/completions", chat(`,"n":"x"`), "n: want a whole number, there is a text", "n"},
		{"/v1/chat/completions", chat(`,"n":33`), "n: 33 answers are wanted: want 1 to 16", "n"},
		{"/v1/chat/completions", chat(`,"top_p":"x"`), "top_p: want a number", "top_p"},
		{"/v1/chat/completions", chat(`,"stream_options":true`), "stream_options: want an object, there is a truth value", "stream_options"},
		{"/v1/chat/completions", chat(`,"stream_options":{"include_usage":1}`), "stream_options.include_usage: want true or false, there is a number", "stream_options"},
		{"/v1/chat/completions", chat(`,"tool_choice":7`), "tool_choice: want none, auto, required, or an object", "tool_choice"},
		{"/v1/chat/completions", chat(`,"functions":[{}]`), "functions is not handed through by this node yet", "functions"},
		{"/v1/chat/completions", chat(`,"response_format":"json"`), "response_format: want an object, there is a text", "response_format"},
		{"/v1/completions", `{"model":"m","prompt":"a","logprobs":true}`, "logprobs: want a whole number, there is a truth value", "logprobs"},
		{"/v1/embeddings", `{"model":"vec","input":"x","encoding_format":"hex"}`, `encoding_format: "hex": want float or base64`, "encoding_format"},
		{"/v1/responses", `{"model":"m","input":[7]}`, "input: want an object, there is a number", "input"},
		{"/v1/responses", `{"model":"m","input":[{"role":"user","content":7}]}`, "input[0]: the content is neither a text nor a list of parts", "input[0]"},
		{"/v1/responses", `{"model":"m","input":"x","max_output_tokens":-4}`, "max_output_tokens: want at least 1", "max_output_tokens"},
		{"/v1/responses", `{"model":"m","input":"x","truncation":"perhaps"}`, `truncation: "perhaps": want auto or disabled`, "truncation"},
		{"/v1/messages", claude(`,"system":7`), "system: want a text, or a list of blocks", ""},
		{"/v1/messages", claude(`,"thinking":"yes"`), "thinking: want an object, there is a text", ""},
		{"/v1/messages", claude(`,"stop_sequences":"x"`), "stop_sequences: want a list, there is a text", ""},
		{"/v1/messages", claude(`,"top_k":"x"`), "top_k: want a number", ""},
		{"/v1/messages", `{"model":"m","max_tokens":"9","messages":[]}`, "max_tokens: want a whole number, there is a text", ""},
	} {
		o, g := newOracle(t, paris())
		w := local(t, g, "POST", c.path, c.body)
		e := object(t, w)["error"]
		says, ollama := e.(string)
		if !ollama {
			says, _ = at(e, "message").(string)
		}
		param, _ := at(e, "param").(string)
		if w.Code != 400 || says != c.says || param != c.param || len(o.tasks) > 0 {
			t.Errorf("%s %s: %d %s, want %q about %q", c.path, c.body, w.Code, w.Body, c.says, c.param)
		}
		if strings.Contains(w.Body.String(), "Go ") {
			t.Errorf("%s %s: %s", c.path, c.body, w.Body)
		}
	}
}

// So it is in the swarm's own interface.
func TestWhatIsNoTask(t *testing.T) {
	t.Parallel()
	for body, says := range map[string]string{
		`[1]`:                               "read the task, want a JSON object: there is a list",
		`{"type":7}`:                        "read the task: type: want a text, there is a number",
		`{"type":"ping","timeout_ns":"1m"}`: "read the task: timeout_ns: want a whole number, there is a text",
		`{"type":"ping","nodde":"x"}`:       `read the task: unknown field "nodde"`,
		"":                                  "missing request body",
	} {
		_, g := newOracle(t, paris())
		w := call(t, g, "POST", "/task", body)
		if told, _ := at(object(t, w)["error"], "message").(string); w.Code != 400 || told != says {
			t.Errorf("%s: %d %s, want %q", body, w.Code, w.Body, says)
		}
	}
}

// Who calls by hand is told what to send instead, of mistakes that are made at first.
func TestMistakesTellWhatIsNext(t *testing.T) {
	t.Parallel()
	phone, secret := made("phone", bus.KeyRequest{})
	o, _ := newOracle(t, answers)
	g, _ := batching(t, o, t.TempDir(), phone)
	const form = "application/x-www-form-urlencoded" // as curl has it where it is not told
	for name, c := range map[string]struct {
		target, body, auth, media string
		code                      int
		says                      []string
	}{
		"a chat as a form":     {"/v1/chat/completions", `{"model":"m"}`, key, form, 400, []string{"want application/json. Next: send the header Content-Type: application/json"}},
		"a call as a form":     {"/mcp", `{}`, key, form, 400, []string{"send the header Content-Type: application/json"}},
		"a task as a form":     {"/task", `{"type":"ping"}`, key, form, 400, []string{`"hint":"send the header Content-Type: application/json"`}},
		"a prompt beside":      {"/task", `{"type":"inference","prompt":"hi"}`, key, "application/json", 400, []string{"the fields of a task are type, payload", "as a prompt, goes into the payload"}},
		"another one's task":   {"/task", `{"type":"ping"}`, secret, "application/json", 403, []string{"opens the interfaces of Ollama, OpenAI and Anthropic, and /mcp, and not the swarm's own", "send the owner's key"}},
		"a batch, without one": {"/v1/batches?limit=1", "", "", "application/json", 403, []string{"files and batches are listed for who has a key"}},
	} {
		method := "POST"
		if c.body == "" {
			method = "GET"
		}
		w := from(t, g, "127.0.0.1:5", method, c.target, c.body, "Authorization", "Bearer "+c.auth, "Content-Type", c.media)
		for _, says := range c.says {
			if w.Code != c.code || !strings.Contains(w.Body.String(), says) {
				t.Errorf("%s: %d %s, want %d and %q", name, w.Code, w.Body, c.code, says)
			}
		}
	}
}
