//go:build e2e && linux

package e2e_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

var registryPath = regexp.MustCompile(`^/v2/([\w-]+)/([\w-]+)/(manifests|blobs)/([\w:.-]+)$`)

// registry serves the models of an Ollama as a registry does from which others pull. Ollama wants to be
// sent elsewhere for the content: here to another name of loopback.
func registry(t *testing.T, o ollamaServer) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m := registryPath.FindStringSubmatch(r.URL.Path)
		if m == nil {
			http.NotFound(w, r)
			return
		}
		path := filepath.Join(o.home, "models", "manifests", "registry.ollama.ai", m[1], m[2], m[4])
		if m[3] == "blobs" {
			path = filepath.Join(o.home, "models", "blobs", strings.ReplaceAll(m[4], ":", "-"))
			if r.Method == http.MethodGet && r.URL.Query().Get("direct") == "" {
				_, port, _ := strings.Cut(r.Host, ":")
				http.Redirect(w, r, "http://localhost:"+port+r.URL.Path+"?direct=1", http.StatusTemporaryRedirect)
				return
			}
		}
		f, err := os.Open(path)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil || info.IsDir() {
			http.NotFound(w, r)
			return
		}
		http.ServeContent(w, r, "", info.ModTime(), f)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// awaitTags waits until n lists a model over HTTP, or does not.
func awaitTags(t *testing.T, n *harness.Node, model string, want bool) {
	t.Helper()
	harness.Poll(t, harness.Patience, n.Name+" lists the model", func() string {
		if r := httpDo(t, n, http.MethodGet, "/api/tags", ""); strings.Contains(r.body, `"`+model+`"`) != want {
			return r.body
		}
		return ""
	})
}

// A model is pulled at a node without an engine, by a real Ollama on another, answers, and is deleted
// again: over HTTP, and by Ollama's own command.
func TestPullThroughTheSwarm(t *testing.T) {
	t.Parallel()
	source := launchOllama(t)
	source.create(t)
	from := registry(t, source)
	engine := launchOllama(t)
	s := harness.New(t, programs)
	a := s.Found(t, "a", "--engine", engine.url)
	b := s.Join(t, a, "b")
	harness.Settle(t, a, b)
	harness.Poll(t, harness.Patience, "b knows that a can pull", func() string {
		var status bus.Status
		if err := json.Unmarshal([]byte(httpDo(t, b, http.MethodGet, "/status", "").body), &status); err != nil {
			return err.Error()
		}
		for _, n := range status.Nodes {
			if n.Name == "a" && strings.Contains(strings.Join(n.Types, " "), bus.TypePull) && n.ModelRoom > 0 {
				return ""
			}
		}
		return "not yet"
	})
	noKey := func(r *http.Request) { r.Header.Del("Authorization") }
	model := strings.TrimPrefix(from, "http://") + "/library/tinylm:latest"
	pull := `{"model":"` + from + `/library/tinylm:latest","insecure":true`

	r := httpDo(t, b, http.MethodPost, "/api/pull", pull+`}`, noKey)
	lines := strings.Split(strings.TrimSpace(r.body), "\n")
	if r.status != http.StatusOK || lines[0] != `{"status":"pulling manifest"}` || lines[len(lines)-1] != `{"status":"success"}` ||
		!strings.Contains(r.body, `"digest":"sha256:`) || r.header.Get("X-Myco-Node") != string(a.Info.NodeID) {
		t.Fatalf("pull: %d %v %s", r.status, r.header, r.body)
	}
	awaitTags(t, b, model, true)
	if got := ask(t, b, "-m", model, "What is the capital of France?"); got.NodeID != a.Info.NodeID || strings.TrimSpace(got.Text) != "The capital of France is Paris." {
		t.Errorf("answer %+v, want Paris, by a", got)
	}
	if r := httpDo(t, b, http.MethodPost, "/api/pull", pull+`,"stream":false}`, noKey); r.status != http.StatusOK || strings.TrimSpace(r.body) != `{"status":"success"}` {
		t.Errorf("pull what is there, not streamed: %d %s", r.status, r.body)
	}
	missing := `{"model":"` + from + `/library/missing","insecure":true`
	if r := httpDo(t, b, http.MethodPost, "/api/pull", missing+`}`); !strings.Contains(r.body, `{"error":"`) || strings.Contains(r.body, "success") {
		t.Errorf("pull what is missing: %d %s", r.status, r.body)
	}
	if r := httpDo(t, b, http.MethodPost, "/api/pull", missing+`,"stream":false}`); r.status != http.StatusNotFound {
		t.Errorf("pull what is missing, not streamed: %d %s", r.status, r.body)
	}

	if r := httpDo(t, b, http.MethodDelete, "/api/delete", `{"model":"`+model+`"}`, noKey); r.status != http.StatusForbidden || !strings.Contains(r.body, "is on a") {
		t.Errorf("delete on another node without a key: %d %s", r.status, r.body)
	}
	if r := httpDo(t, b, http.MethodDelete, "/api/delete", `{"model":"`+model+`"}`); r.status != http.StatusOK || !strings.Contains(r.body, `"nodes":["a"]`) {
		t.Errorf("delete: %d %s", r.status, r.body)
	}
	awaitTags(t, b, model, false)
	if r := httpDo(t, b, http.MethodDelete, "/api/delete", `{"model":"`+model+`"}`); r.status != http.StatusNotFound {
		t.Errorf("delete what is gone: %d %s", r.status, r.body)
	}

	// Ollama's own command, at either node.
	env := append(os.Environ(), "HOME="+engine.home, "OLLAMA_HOST="+b.Info.HTTPURL)
	if r := harness.Run(t.Context(), t, engine.home, env, []string{engine.bin, "pull", "--insecure", from + "/library/tinylm"}, ""); r.Code != 0 || !strings.Contains(r.Stderr, "success") {
		t.Errorf("ollama pull: %s", r)
	}
	awaitTags(t, a, model, true)
	env = append(os.Environ(), "HOME="+engine.home, "OLLAMA_HOST="+a.Info.HTTPURL)
	if r := harness.Run(t.Context(), t, engine.home, env, []string{engine.bin, "rm", model}, ""); r.Code != 0 {
		t.Errorf("ollama rm: %s", r)
	}
	awaitTags(t, a, model, false)

	// And our own.
	if r := b.Myco(t, "pull", "--insecure", "--node", "a", from+"/library/tinylm"); r.Code != 0 || !strings.Contains(r.Stdout, "is on a") || !strings.Contains(r.Stderr, "pulling manifest") {
		t.Errorf("myco pull: %s", r)
	}
	awaitTags(t, b, model, true)
	var gone struct{ Nodes []string }
	if b.JSON(t, &gone, "rm", model); len(gone.Nodes) != 1 || gone.Nodes[0] != "a" {
		t.Errorf("myco rm: %+v", gone)
	}
	awaitTags(t, b, model, false)
	if r := b.Myco(t, "rm", model); r.Code != 3 {
		t.Errorf("myco rm of what is gone: %s", r)
	}
	if r := b.Myco(t, "pull", "--node", "b", "tinylm"); r.Code != 3 || !strings.Contains(r.Stderr, "node b has no Ollama") {
		t.Errorf("myco pull where there is no Ollama: %s", r)
	}
}
