package daemon_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
)

// keyed sends a key with each request.
type keyed struct {
	key string
	*http.Transport
}

func (k keyed) RoundTrip(r *http.Request) (*http.Response, error) {
	if k.key != "" {
		r.Header.Set("Authorization", "Bearer "+k.key)
	}
	return k.Transport.RoundTrip(r)
}

// echoes does tasks of the type echo.
type echoes struct{}

func (echoes) Capability(context.Context) (bus.Capability, error) {
	return bus.Capability{Type: "echo", Slots: 1}, nil
}

func (echoes) Handle(_ context.Context, t *bus.Task, _ bus.Emit) (any, error) { return t.Payload, nil }

// A program that cancels a call by a message of its own, and goes on reading the answer, as the SDK for TypeScript does, ends what the
// model writes for it.
func TestToolCallIsCancelled(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	defer close(gate)
	var ledger engine.Ledger
	b, _ := dialectSwarm(t, &ledger, func(engine.Request) engine.Script { return engine.Script{Gate: gate} })
	session := ""
	say := func(message string) (status int, body string) {
		t.Helper()
		return call(t, b, "POST", "/mcp", message, func(r *http.Request) { r.Header.Set("Mcp-Session-Id", session) })
	}
	// What call returns has no headers.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.Info().HTTPURL+"/mcp",
		strings.NewReader(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`))
	check(t, err)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	check(t, err)
	check(t, resp.Body.Close())
	if session = resp.Header.Get("Mcp-Session-Id"); session == "" {
		t.Fatalf("no session in %d %v", resp.StatusCode, resp.Header)
	}
	answered := make(chan string, 1)
	go func() {
		_, body := say(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ask","arguments":{"prompt":"<q>","model":"scripted"}}}`)
		answered <- body
	}()
	if _, err := ledger.Wait(t.Context(), func(runs []engine.Run) bool { return len(runs) == 1 }); err != nil {
		t.Fatal(err)
	}
	if status, body := say(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`); status != http.StatusAccepted {
		t.Errorf("who cancels is told %d %s", status, body)
	}
	if _, err := ledger.Wait(t.Context(), func(runs []engine.Run) bool { return runs[0].Outcome == engine.Left }); err != nil {
		t.Fatal(err)
	}
	if body := <-answered; strings.Contains(body, `"result"`) {
		t.Errorf("the call that was cancelled is answered: %s", body)
	}
}

// A program calls tools of a node over HTTP, and another answers. Which tools there are is a matter of its key.
func TestToolsAcrossNodes(t *testing.T) {
	t.Parallel()
	b, a := dialectSwarm(t, &engine.Ledger{}, nil)
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- a.conn.Serve(ctx, echoes{}) }()
	eventually(t, "the program is known", func() string {
		if _, body := call(t, b, "GET", "/peers", ""); !strings.Contains(body, `"echo"`) {
			return body
		}
		return ""
	})
	owner, err := os.ReadFile(filepath.Join(b.cfg.DataDir, bus.HTTPKeyFile))
	check(t, err)
	phone, err := b.conn.CreateKey(b.ctx(), bus.KeyRequest{})
	check(t, err)
	for key, want := range map[string][]string{
		"":                               {"ask", "fetch", "list_models", "list_nodes"},
		phone.Key:                        {"ask", "list_models"},
		strings.TrimSpace(string(owner)): {"ask", "fetch", "list_models", "list_nodes", "run_plugin"},
	} {
		wire := &http.Transport{}
		c, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), &mcp.StreamableClientTransport{
			Endpoint: b.Info().HTTPURL + "/mcp", HTTPClient: &http.Client{Transport: keyed{key, wire}},
		}, nil)
		check(t, err)
		list, err := c.ListTools(t.Context(), nil)
		check(t, err)
		var names []string
		for _, tool := range list.Tools {
			names = append(names, tool.Name)
		}
		if !slices.Equal(names, want) {
			t.Errorf("with the key %q the tools are %v, want %v", key, names, want)
		}
		calls := map[string]map[string]any{"ask": {"prompt": "<t1>", "model": "scripted"}}
		says := map[string]string{"ask": "done t1", "run_plugin": `{"n":1}`}
		if slices.Contains(names, "run_plugin") {
			calls["run_plugin"] = map[string]any{"type": "echo", "payload": map[string]any{"n": 1}}
		}
		for tool, args := range calls {
			res, err := c.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: args})
			check(t, err)
			if text := res.Content[0].(*mcp.TextContent).Text; res.IsError || text != says[tool] {
				t.Errorf("with the key %q %s says %q, failed %v", key, tool, text, res.IsError)
			}
		}
		check(t, c.Close())
		wire.CloseIdleConnections()
	}
	stop()
	check(t, <-served)
}
