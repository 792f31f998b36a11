package daemon_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/internal/config"
)

// noKey leaves the key out, as programs of this machine do.
func noKey(r *http.Request) { r.Header.Del("Authorization") }

// withEngine gives a node an engine that follows a script.
func withEngine(t *testing.T, ledger *engine.Ledger, script func(engine.Request) engine.Script) func(*config.Config) {
	t.Helper()
	e, err := engine.Start(t.Context(), "127.0.0.1:0", engine.Config{Name: "e", Ledger: ledger, Script: script})
	check(t, err)
	t.Cleanup(func() { check(t, e.Stop()) })
	return func(c *config.Config) { c.Engines = []string{e.URL()} }
}

// dialectSwarm is a node with an engine, and one without, which is returned first.
func dialectSwarm(t *testing.T, ledger *engine.Ledger, script func(engine.Request) engine.Script) (asked, answers *node) {
	t.Helper()
	answers = start(t, "a", withEngine(t, ledger, script))
	asked = start(t, "b", joining(answers))
	settle(t, answers, asked)
	eventually(t, "the model is known", func() string {
		_, body := call(t, asked, "GET", "/v1/models", "", noKey)
		if !strings.Contains(body, engine.Model) {
			return body
		}
		return ""
	})
	return asked, answers
}

// Programs that speak Ollama's or OpenAI's interface are answered by another node.
func TestDialectsAcrossNodes(t *testing.T) {
	t.Parallel()
	b, a := dialectSwarm(t, &engine.Ledger{}, nil)
	for path, c := range map[string]struct {
		body string
		says []string
	}{
		"/api/chat":            {`{"model":"scripted","messages":[{"role":"user","content":"<t1>"}]}`, []string{`"content":"done "`, `"content":"t1"`, `"done":true`}},
		"/api/generate":        {`{"model":"scripted","prompt":"<t2>","stream":false}`, []string{`"response":"done t2"`, `"done":true`}},
		"/v1/chat/completions": {`{"model":"scripted","messages":[{"role":"user","content":"<t3>"}],"stream":true}`, []string{`"content":"t3"`, "data: [DONE]\n\n"}},
		"/v1/responses":        {`{"model":"scripted","input":"<t5>","stream":true}`, []string{`"delta":"t5"`, "event: response.completed\n"}},
		"/v1/messages":         {`{"model":"scripted","max_tokens":9,"messages":[{"role":"user","content":"<t6>"}]}`, []string{`"text":"done t6"`, `"stop_reason":"end_turn"`}},
		"/v1/completions":      {`{"model":"scripted","prompt":"<t4>"}`, []string{`"text":"done t4"`}},
		"/api/embed":           {`{"model":"scripted","input":["four","x"]}`, []string{`[[4,1],[1,1]]`}},
		"/api/embeddings":      {`{"model":"scripted","prompt":"four"}`, []string{`[4,1]`}},
		"/v1/embeddings":       {`{"model":"scripted","input":"four"}`, []string{`"embedding":[4,1]`}},
	} {
		var node string
		status, body := call(t, b, "POST", path, c.body, noKey, func(r *http.Request) { r.Header.Set("Accept", "*/*") })
		for _, s := range c.says {
			if status != 200 || !strings.Contains(body, s) {
				t.Errorf("%s: %d %s, want %q", path, status, body, s)
			}
		}
		resp := open(t, b, path, c.body)
		node = resp.Header.Get("X-Myco-Node")
		resp.Body.Close()
		if node != string(a.id()) {
			t.Errorf("%s: answered by %q, want %s", path, node, a.id())
		}
	}
	status, body := call(t, b, "POST", "/api/chat", `{"model":"missing","messages":[{"role":"user","content":"x"}]}`, noKey)
	if status != 404 || !strings.Contains(body, "a: "+engine.Model) {
		t.Errorf("a model that is missing: %d %s, want it told who has what", status, body)
	}
	status, body = call(t, b, "POST", "/v1/embeddings", `{"model":"missing","input":"x"}`, noKey)
	if status != 404 || !strings.Contains(body, "model_not_found") {
		t.Errorf("vectors of a model that is missing: %d %s", status, body)
	}
	// The node that is chosen answers, or nobody does.
	for name, c := range map[string]struct {
		model, header string
		status        int
	}{
		"a": {"scripted", "a", 200}, "its id": {"scripted", string(a.id()), 200}, "behind the model": {"scripted@a", "", 200}, "both": {"scripted@a", "a", 200},
		"without the model": {"scripted", "b", 404}, "without the model, behind it": {"scripted@b", "", 404}, "nobody": {"scripted", "nobody", 404},
	} {
		status, body := call(t, b, "POST", "/v1/completions", `{"model":"`+c.model+`","prompt":"<t7>"}`, noKey, func(r *http.Request) { r.Header.Set("X-Myco-Node", c.header) })
		if status != c.status || status == 404 && !strings.Contains(body, "Next: ") {
			t.Errorf("%s: %d %s, want %d", name, status, body, c.status)
		}
	}
}

// open makes a request whose answer is read as it comes.
func open(t *testing.T, n *node, path, body string, change ...func(*http.Request)) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(n.ctx(), "POST", n.Info().HTTPURL+path, strings.NewReader(body))
	check(t, err)
	req.Header.Set("Content-Type", "application/json")
	for _, c := range change {
		c(req)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	check(t, err)
	return resp
}

// A client that leaves in the middle of an answer ends the work of the engine, two nodes away.
func TestClientThatLeavesEndsTheWork(t *testing.T) {
	t.Parallel()
	var ledger engine.Ledger
	b, _ := dialectSwarm(t, &ledger, func(engine.Request) engine.Script {
		return engine.Script{Words: []string{"first"}, Ending: engine.Hang}
	})
	resp := open(t, b, "/api/chat", `{"model":"scripted","messages":[{"role":"user","content":"x"}]}`)
	first, err := bufio.NewReader(resp.Body).ReadBytes('\n')
	check(t, err)
	var piece struct{ Message bus.Message }
	if err := json.Unmarshal(first, &piece); err != nil || piece.Message.Content != "first" {
		t.Errorf("the first piece is %s, %v", first, err)
	}
	resp.Body.Close()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	_, err = ledger.Wait(ctx, func(runs []engine.Run) bool { return len(runs) == 1 && runs[0].Outcome == engine.Left })
	check(t, err)
}

// A task whose client asked to come back waits for it as long as the daemon is told to.
func TestReattachGrace(t *testing.T) {
	t.Parallel()
	var ledger engine.Ledger
	n := start(t, "a", withEngine(t, &ledger, func(engine.Request) engine.Script {
		return engine.Script{Words: []string{"first"}, Ending: engine.Hang}
	}), func(c *config.Config) { c.ReattachGrace = 10 * time.Millisecond })
	eventually(t, "the model is known", func() string {
		_, body := call(t, n, "GET", "/v1/models", "", noKey)
		if !strings.Contains(body, engine.Model) {
			return body
		}
		return ""
	})
	key, err := os.ReadFile(filepath.Join(n.cfg.DataDir, bus.HTTPKeyFile))
	check(t, err)
	resp := open(t, n, "/task?events=1&reattach=1", `{"type":"inference","model":"scripted:latest","payload":{"prompt":"x"}}`, bearer(strings.TrimSpace(string(key))))
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	_, err = ledger.Wait(ctx, func(runs []engine.Run) bool { return len(runs) == 1 })
	check(t, err)
	left := time.Now()
	resp.Body.Close()
	_, err = ledger.Wait(ctx, func(runs []engine.Run) bool { return runs[0].Outcome == engine.Left })
	check(t, err)
	if after := time.Since(left); after > 25*time.Second { // the default is 30 s
		t.Errorf("it was cancelled after %v, want 10 ms", after)
	}
}

// A node without an engine has models pulled and deleted by another, for keys that may.
func TestPullAndDeleteAcrossNodes(t *testing.T) {
	t.Parallel()
	b, a := dialectSwarm(t, &engine.Ledger{}, nil)
	key, err := b.conn.CreateKey(b.ctx(), bus.KeyRequest{})
	check(t, err)
	admin, err := b.conn.CreateKey(b.ctx(), bus.KeyRequest{Admin: true})
	check(t, err)
	for _, c := range []struct {
		method, path, body string
		who                func(*http.Request)
		status             int
		says               string
	}{
		{"POST", "/api/pull", `{"model":"new"}`, noKey, 200, `{"status":"pulling manifest"}` + "\n" + `{"status":"success"}`},
		{"POST", "/api/pull", `{"model":"new","stream":false}`, bearer(admin.Key), 200, `{"status":"success"}`},
		{"POST", "/api/pull", `{"model":"new"}`, bearer(key.Key), 403, "--admin"},
		{"DELETE", "/api/delete", `{"model":"scripted"}`, bearer(key.Key), 403, "--admin"},
		{"DELETE", "/api/delete", `{"model":"scripted"}`, noKey, 403, "is on a"},
		{"DELETE", "/api/delete", `{"model":"scripted:latest"}`, bearer(admin.Key), 200, `"nodes":["a"]`},
		{"DELETE", "/api/delete", `{"model":"missing"}`, bearer(admin.Key), 404, "not found"},
	} {
		if status, body := call(t, b, c.method, c.path, c.body, c.who); status != c.status || !strings.Contains(body, c.says) {
			t.Errorf("%s %s: %d %s, want %d, %s", c.path, c.body, status, body, c.status, c.says)
		}
	}
	// Where the model is, no key is needed, as with an Ollama there.
	if status, body := call(t, a, "DELETE", "/api/delete", `{"model":"scripted:latest"}`, noKey); status != 200 || !strings.Contains(body, `"nodes":["a"]`) {
		t.Errorf("here, without a key: %d %s", status, body)
	}
}
