package daemon_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/internal/config"
)

// freeAddr is an address of loopback where nobody listens, and that nobody else is given until the test ends.
func freeAddr(t *testing.T) string {
	t.Helper()
	addr, release, err := engine.Reserve(t.Context())
	check(t, err)
	t.Cleanup(func() { _ = release() })
	return addr
}

// at makes a request to another address of a node.
func at(url string) func(*http.Request) {
	return func(r *http.Request) {
		r.Host = strings.TrimPrefix(url, "http://")
		r.URL.Host = r.Host
	}
}

// A second listener answers like the first.
func TestListensAsOllama(t *testing.T) {
	t.Parallel()
	a := start(t, "a", withEngine(t, &engine.Ledger{}, nil), func(c *config.Config) { c.OllamaListen = "127.0.0.1:0" })
	url := a.Info().OllamaURL
	if url == "" || url == a.Info().HTTPURL {
		t.Fatalf("it answers at %q, and %q", url, a.Info().HTTPURL)
	}
	eventually(t, "the model is known", func() string {
		if _, body := call(t, a, "GET", "/api/tags", "", noKey, at(url)); !strings.Contains(body, engine.Model) {
			return body
		}
		return ""
	})
	status, body := call(t, a, "POST", "/api/generate", `{"model":"scripted","prompt":"<t1>","stream":false}`, noKey, at(url))
	if status != 200 || !strings.Contains(body, `"response":"done t1"`) {
		t.Errorf("a question: %d %s", status, body)
	}
	if status, body := call(t, a, "GET", "/status", "", noKey, at(url)); status != 401 {
		t.Errorf("the swarm's own interface without a key: %d %s", status, body)
	}
	// The port is taken: by Ollama, most likely.
	b := newNode(t, "b", func(c *config.Config) { c.OllamaListen = strings.TrimPrefix(url, "http://") })
	if e := b.refused(bus.CodeUnavailable); !strings.Contains(e.Message, "most likely by Ollama") || !strings.Contains(e.Hint, "OLLAMA_HOST=") || !strings.Contains(e.Hint, "--ollama-listen") {
		t.Errorf("a port that is taken: %s (%s)", e.Message, e.Hint)
	}
}

// Names that the owner allows are let in, beside the machine's own.
func TestHTTPHosts(t *testing.T) {
	t.Parallel()
	a := start(t, "a", withDemo, func(c *config.Config) { c.HTTPHosts = []string{"box.example.org"} })
	for host, ok := range map[string]bool{
		"box.example.org": true, "BOX.example.org.:7890": true, "host.docker.internal:7890": true, "localhost": true,
		"example.org": false, "x.box.example.org": false, "docker.internal": false,
	} {
		status, body := call(t, a, "GET", "/api/version", "", noKey, func(r *http.Request) { r.Host = host })
		if (status == 200) != ok || !ok && !strings.Contains(body, "mycod --http-host") {
			t.Errorf("host %q: %d %s, want it allowed: %v", host, status, body, ok)
		}
	}
}

// A node whose engine has the address of a node, its own or another's, as where Ollama's port is its own
// or OLLAMA_HOST names a node, has no engine there: it would have all models of the swarm, and ask itself.
func TestNodesAreNoEngines(t *testing.T) {
	t.Parallel()
	a := start(t, "a", withEngine(t, &engine.Ledger{}, nil))
	own, others := freeAddr(t), a.Info().HTTPURL
	b := start(t, "b", joining(a), func(c *config.Config) { c.OllamaListen, c.Engines = own, []string{"http://" + own, others} })
	settle(t, a, b)
	eventually(t, "b knows the model of a", func() string {
		if _, body := call(t, b, "GET", "/api/tags", ""); !strings.Contains(body, engine.Model) {
			return body
		}
		return ""
	})
	d, err := b.conn.Diagnose(b.ctx()) // it looks at each
	check(t, err)
	seen := 0
	for _, e := range d.Engines {
		if e.URL != "http://"+own && e.URL != others {
			continue
		}
		seen++
		if e.Kind != "" || !e.Swarm || !strings.Contains(e.Error, "a node of a swarm") {
			t.Errorf("%s is taken for an engine of kind %q: %v, %s", e.URL, e.Kind, e.Models, e.Error)
		}
	}
	s, err := b.conn.Status(b.ctx())
	check(t, err)
	if seen != 2 || len(s.Node.Models) > 0 {
		t.Errorf("%d of 2 addresses were looked at; b has the models %v", seen, s.Node.Models)
	}
}
