//go:build e2e && linux

package e2e_test

import (
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// envOllama names a built Ollama; without it the test builds one, which takes minutes.
const envOllama = "MYCO_TEST_OLLAMA"

// ollamaBinary returns a real Ollama.
func ollamaBinary(t *testing.T) string {
	t.Helper()
	if bin := os.Getenv(envOllama); bin != "" {
		return bin
	}
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "mycoswarm-e2e", "bin")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	harness.Run(ctx, t, root, os.Environ(), []string{"bash", "e2e/build-ollama.sh", dir}, "")
	return filepath.Join(dir, "ollama")
}

// ollamaServer is a real Ollama that runs.
type ollamaServer struct {
	url  string
	home string   // with its folder "models"
	env  []string // for its command
	bin  string
}

// launchOllama starts a real Ollama without models.
func launchOllama(t *testing.T) ollamaServer {
	t.Helper()
	o := ollamaServer{bin: ollamaBinary(t), home: t.TempDir()}
	addr := freeAddr(t)
	o.url = "http://" + addr
	o.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + o.home, "OLLAMA_HOST=" + addr,
		"OLLAMA_MODELS=" + filepath.Join(o.home, "models"), "OLLAMA_KEEP_ALIVE=10m",
	}
	server := harness.Launch(t, filepath.Join(o.home, "ollama.log"), o.env, []string{o.bin, "serve"}, "")
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	harness.Poll(t, harness.Patience, "Ollama comes up", func() string {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, o.url+"/api/version", nil)
		if err != nil {
			return err.Error()
		}
		resp, err := client.Do(req)
		if err != nil {
			return fmt.Sprintf("%v\n%s", err, server.Log(20))
		}
		resp.Body.Close()
		return ""
	})
	return o
}

// create gives it the demo model under the name tinylm.
func (o ollamaServer) create(t *testing.T) {
	t.Helper()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{
		"internal/engine/demo/tinylm.gguf": "tinylm.gguf",
		"e2e/testdata/Modelfile":           "Modelfile",
	} {
		b, err := os.ReadFile(filepath.Join(root, from))
		if err == nil {
			err = os.WriteFile(filepath.Join(o.home, to), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if r := harness.Run(t.Context(), t, o.home, o.env, []string{o.bin, "create", "tinylm", "-f", "Modelfile"}, ""); r.Code != 0 {
		t.Fatalf("%s", r)
	}
}

// age sets an hour between the times at which its models were written: of models of one second, it tells
// each time in another order.
func (o ollamaServer) age(t *testing.T) {
	t.Helper()
	at := time.Now()
	err := filepath.WalkDir(filepath.Join(o.home, "models", "manifests"), func(path string, f fs.DirEntry, err error) error {
		if err != nil || f.IsDir() {
			return err
		}
		at = at.Add(-time.Hour)
		return os.Chtimes(path, at, at)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// startOllama starts a real Ollama that has the demo model under the name tinylm, and
// returns its URL.
func startOllama(t *testing.T) string {
	t.Helper()
	o := launchOllama(t)
	o.create(t)
	return o.url
}

// freeAddr is an address of loopback where nobody listens, and that nobody else is given until the test ends.
func freeAddr(t *testing.T) string {
	t.Helper()
	addr, release, err := engine.Reserve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = release() })
	return addr
}

// A question on a node without an engine is answered by a real Ollama on another, in the
// same words as by the built-in engine, since the model is the same file.
func TestRealOllamaAnswersAcrossNodes(t *testing.T) {
	url := startOllama(t)
	s := harness.New(t, programs)
	a := s.Found(t, "a", "--engine", url)
	b := s.Join(t, a, "b")
	harness.Settle(t, a, b)
	awaitModel(t, b, "a", "tinylm", true)
	for range 2 { // the first loads the model
		got := ask(t, b, "-m", "tinylm", "What is the capital of France?")
		if got.NodeID != a.Info.NodeID || strings.TrimSpace(got.Text) != "The capital of France is Paris." || got.Demo || got.Model != "tinylm:latest" {
			t.Errorf("answer %+v, want Paris, by tinylm:latest on a", got)
		}
	}
	// With no model named, the only one there is answers.
	if got := ask(t, b, "What is the capital of France?"); got.Model != "tinylm:latest" {
		t.Errorf("answer %+v, want tinylm:latest's", got)
	}
	awaitLoaded(t, b, "a", true)
}

// awaitLoaded waits until n's table shows whether tinylm is loaded on a node.
func awaitLoaded(t *testing.T, n *harness.Node, on string, want bool) {
	t.Helper()
	harness.Poll(t, harness.Patience, fmt.Sprintf("the table shows the model as loaded: %v", want), func() string {
		models := n.View(t).Node(on).Models
		for _, m := range models {
			if m.Name == "tinylm:latest" && m.Loaded == want {
				return ""
			}
		}
		return fmt.Sprintf("%+v", models)
	})
}

// A model is loaded before anybody asks it, and let go of, by the word of another node.
func TestRealOllamaLoadsAndUnloads(t *testing.T) {
	url := startOllama(t)
	s := harness.New(t, programs)
	a := s.Found(t, "a", "--engine", url)
	b := s.Join(t, a, "b")
	harness.Settle(t, a, b)
	awaitModel(t, b, "a", "tinylm", true)
	for _, want := range []struct {
		args   []string
		out    string
		loaded bool
	}{
		{[]string{"load", "tinylm", "--keep-alive", "20m"}, "tinylm is loaded on a\n", true},
		{[]string{"unload", "tinylm"}, "tinylm is not loaded any more on a\n", false},
		{[]string{"load", "tinylm", "--node", "a"}, "tinylm is loaded on a\n", true},
	} {
		if r := b.Myco(t, want.args...); r.Code != 0 || r.Stdout != want.out {
			t.Fatalf("%v: exit code %d, %q, %s", want.args, r.Code, r.Stdout, r.Stderr)
		}
		awaitLoaded(t, b, "a", want.loaded)
	}
	if r := b.Myco(t, "unload", "other"); r.Code != 3 || !strings.Contains(r.Stderr, "model 'other' is not loaded by an Ollama") {
		t.Errorf("exit code %d: %s", r.Code, r.Stderr)
	}
	if r := b.Myco(t, "load", "other"); r.Code != 3 || !strings.Contains(r.Stderr, `no node has model "other"`) {
		t.Errorf("exit code %d: %s", r.Code, r.Stderr)
	}
}

// A model is removed past the swarm on the one node that has it, a moment before a question for it: who asked over HTTP, and
// reads no stream, is told soon, in the words of a model that no node has. A durable task waits until it is there again.
func TestRealOllamaModelIsRemovedByHand(t *testing.T) {
	t.Parallel()
	o := launchOllama(t)
	o.create(t)
	s := harness.New(t, programs)
	a := s.Found(t, "a", "--engine", o.url)
	b := s.Join(t, a, "b")
	harness.Settle(t, a, b)
	awaitModel(t, b, "a", "tinylm", true)
	if r := harness.Run(t.Context(), t, o.home, o.env, []string{o.bin, "rm", "tinylm"}, ""); r.Code != 0 {
		t.Fatalf("%s", r)
	}
	began := time.Now()
	r := httpDo(t, b, http.MethodPost, "/api/chat", `{"model":"tinylm","stream":false,"messages":[{"role":"user","content":"hi"}]}`)
	if r.status != http.StatusNotFound || !strings.Contains(r.body, `model 'tinylm' not found: no node has model \"tinylm:latest\" (a: no model`) {
		t.Errorf("a question for a model that was removed: %d %s, after %v", r.status, r.body, time.Since(began))
	}
	kept := b.Myco(t, "ask", "--detach", "-m", "tinylm", "What is the capital of France?")
	if kept.Code != 0 {
		t.Fatalf("%s", kept)
	}
	o.create(t)
	id := strings.Fields(kept.Stdout)[0]
	harness.Poll(t, harness.Patience, "the durable task runs once the model is there again", func() string {
		if r := b.Myco(t, "task", "show", id, "--json"); !strings.Contains(r.Stdout, `"state":"done"`) && !strings.Contains(r.Stdout, `"state": "done"`) {
			return r.String()
		}
		return ""
	})
}
