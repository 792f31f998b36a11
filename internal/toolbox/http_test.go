package toolbox_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mycoswarm/mycoswarm/internal/toolbox"
)

// serve is a node's tools over HTTP.
func serve(t *testing.T) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		toolbox.Serve(toolbox.Config{Swarm: says("Paris")}, nodes(), w, r)
	}))
	t.Cleanup(srv.Close)
	return srv
}

// A message over HTTP that is none is answered as one is, with the id that its program waits for.
func TestMessagesThatAreNone(t *testing.T) {
	t.Parallel()
	srv := serve(t)
	for in, want := range map[string]struct {
		id   string
		code int
		says string
	}{
		`{"jsonrpc":"2.0","id":7,"method":"nothing/of/ours"}`:        {`7`, -32601, "nothing/of/ours"},
		`{"jsonrpc":"2.0","id":"a","method":"tools/call"}`:           {`"a"`, -32600, "params"},
		`{"jsonrpc":"1.0","id":8,"method":"ping"}`:                   {`8`, -32600, "2.0"},
		`{"jsonrpc":"2.0","id":1.5,"method":"ping"}`:                 {`1.5`, -32600, "whole number"},
		`{"jsonrpc":"2.0","id":1764567890123456789,"method":"ping"}`: {`1764567890123456789`, -32600, "below 2^53"},
		`{"jsonrpc":"2.0","id":10,`:                                  {`null`, -32700, ""},
		`{"jsonrpc":"2.0","id":{},"method":"ping"}`:                  {`null`, -32600, ""},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL, strings.NewReader(in))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", "application/json, text/event-stream")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Version string          `json:"jsonrpc"`
			ID      json.RawMessage `json:"id"`
			Error   struct {
				Code    int    `json:"code"`
				Message string `json:"message"`
			} `json:"error"`
		}
		err = json.NewDecoder(resp.Body).Decode(&got)
		_ = resp.Body.Close() // it is read
		if err != nil || resp.Header.Get("Content-Type") != "application/json" || resp.StatusCode < 400 || got.Version != "2.0" ||
			string(got.ID) != want.id || got.Error.Code != want.code || !strings.Contains(got.Error.Message, want.says) {
			t.Errorf("%s: %d %s %+v, %v", in, resp.StatusCode, resp.Header.Get("Content-Type"), got, err)
		}
	}
}

// A program that asks for what there is not hears that, and goes on: the SDK for Go ends its session over a refusal that is a text.
func TestSessionOutlivesAMethodThatThereIsNot(t *testing.T) {
	t.Parallel()
	c, err := (&mcp.StreamableClientTransport{Endpoint: serve(t).URL, DisableStandaloneSSE: true}).Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }() // the server knows of no session
	send := func(method string) (jsonrpc.ID, error) {
		id, err := jsonrpc.MakeID(method)
		if err != nil {
			t.Fatal(err)
		}
		return id, c.Write(t.Context(), &jsonrpc.Request{ID: id, Method: method})
	}
	if _, err := send("nothing/of/ours"); err == nil || !strings.Contains(err.Error(), `"nothing/of/ours" unsupported`) {
		t.Errorf("a method that there is not: %v", err)
	}
	id, err := send("ping")
	if err != nil {
		t.Fatalf("the call behind it: %v", err)
	}
	m, err := c.Read(t.Context())
	if resp, ok := m.(*jsonrpc.Response); err != nil || !ok || resp.ID != id || resp.Error != nil {
		t.Errorf("the call behind it: %+v, %v", m, err)
	}
}
