package gateway_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/gateway"
)

// tools stand for those of a swarm: the type of task that a message names is done, and what came of it told in an event.
func tools(c *gateway.Caller, w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(r.Body)
	var m struct{ Do, Model string }
	if err == nil {
		err = json.Unmarshal(data, &m)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	t := bus.Task{Type: m.Do, Model: m.Model, Payload: json.RawMessage(`{"prompt":"hi"}`)}
	info, err := c.Do(r.Context(), t, func(bus.Chunk) {})
	if err != nil {
		info.Error = bus.AsError(err)
		w.WriteHeader(info.Error.Code.HTTPStatus())
	}
	out, _ := json.Marshal(map[string]any{"manages": c.Manages(), "owns": c.Owns(), "state": info.State, "error": info.Error, "accept": r.Header.Get("Accept"), "nodes": len(c.Nodes())}) // strings
	if err != nil {
		_, _ = w.Write(out) // to a recorder
		return
	}
	fmt.Fprintf(w, "data: %s\n\n", out)
}

// toolAnswer is what tools tell.
type toolAnswer struct {
	Manages, Owns bool
	State         bus.TaskState
	Error         *bus.Error
	Accept        string
	Nodes         int
}

func toolsSay(t *testing.T, w *httptest.ResponseRecorder) (a toolAnswer) {
	t.Helper()
	event := w.Body.Bytes()
	if err := json.Unmarshal(event[max(0, bytes.IndexByte(event, '{')):], &a); err != nil || (w.Code == http.StatusOK) != (a.Error == nil) {
		t.Fatalf("%v in %d %s", err, w.Code, w.Body)
	}
	return a
}

// Who may have what done is a matter of the key, as on the other routes, and the tasks are that key's.
func TestToolsAreTheCallers(t *testing.T) {
	t.Parallel()
	phone, secret := made("phone", bus.KeyRequest{})
	admin, adminSecret := made("admin", bus.KeyRequest{Admin: true})
	for name, c := range map[string]struct {
		addr, auth, user string
		manages, owns    bool
	}{
		"a program of this machine": {"127.0.0.1:5", "", "", true, false},
		"a key":                     {afar, secret, "key-phone", false, false},
		"a key of this machine":     {"127.0.0.1:5", secret, "key-phone", false, false},
		"a key that manages":        {afar, adminSecret, "key-admin", true, false},
		"the owner":                 {afar, key, "", true, true},
	} {
		for typ, allowed := range map[string]bool{bus.TypeInference: true, bus.TypeSearch: true, bus.TypeFetch: c.manages, "words": c.owns, bus.TypePull: c.owns, bus.TypeFile: c.owns} {
			o, _ := newOracle(t, answers)
			g := keyring(t, o, phone, admin)
			a := toolsSay(t, from(t, g, c.addr, "POST", "/mcp", `{"do":"`+typ+`"}`, "Authorization", "Bearer "+c.auth, "X-Myco-Node", "b"))
			if a.Manages != c.manages || a.Owns != c.owns || a.Nodes != 3 || !strings.Contains(a.Accept, "text/event-stream") {
				t.Errorf("%s: %+v", name, a)
			}
			if (len(o.tasks) == 1) != allowed || !allowed && (a.Error == nil || a.Error.Code != bus.CodeForbidden || a.Error.Hint == "") {
				t.Errorf("%s, %s: %d tasks, %+v, allowed: %v", name, typ, len(o.tasks), a, allowed)
			}
			for _, task := range o.tasks {
				if task.User != c.user || task.Node != other {
					t.Errorf("%s, %s: the task is %+v", name, typ, task)
				}
			}
		}
	}
}

// A message is one JSON object of up to 4 MiB, and errors before there is a tool are in the words of JSON-RPC.
func TestToolMessages(t *testing.T) {
	t.Parallel()
	_, g := newOracle(t, answers)
	for name, c := range map[string]struct {
		body string
		code int
		says string
	}{
		"several at once": {`[{"do":"inference"}]`, http.StatusBadRequest, "want one message"},
		"nothing":         {``, http.StatusBadRequest, "missing request body"},
		"no JSON":         {`{"do":`, http.StatusBadRequest, "not JSON"},
		"too deep":        {`{"do":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`, http.StatusBadRequest, "not JSON"},
		"too long":        {`{"do":"` + strings.Repeat("x", 4<<20) + `"}`, http.StatusRequestEntityTooLarge, "4 MiB"},
		"in a few":        {`{"do":"inference"}`, http.StatusOK, `"state":"done"`},
	} {
		w := local(t, g, "POST", "/mcp", c.body)
		if w.Code != c.code || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s: %d %s, want %d with %q", name, w.Code, w.Body, c.code, c.says)
		}
		var e struct {
			JSONRPC string
			Error   struct {
				Code    int
				Message string
			}
		}
		if err := json.Unmarshal(w.Body.Bytes(), &e); c.code != http.StatusOK && (err != nil || e.JSONRPC != "2.0" || e.Error.Code >= 0 || e.Error.Message == "") {
			t.Errorf("%s: %v in %s", name, err, w.Body)
		}
	}
	// Clients ask for a stream of their own, or end a session: that is refused, and no call for a key.
	for _, method := range []string{"GET", "DELETE"} {
		if w := local(t, g, method, "/mcp", ""); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "POST" {
			t.Errorf("%s: %d %v %s", method, w.Code, w.Header(), w.Body)
		}
	}
	if w := local(t, g, "POST", "/mcp/", `{}`); w.Code == http.StatusOK {
		t.Errorf("with a slash: %d %s", w.Code, w.Body)
	}
	without, err := gateway.New(gateway.Config{Swarm: &oracle{swarm: &swarm{}, say: answers}, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	if w := local(t, without, "POST", "/mcp", `{}`); w.Code != http.StatusNotFound {
		t.Errorf("without tools: %d %s", w.Code, w.Body)
	}
}

// A key that is revoked ends what it has under way, and says so.
func TestToolsEndWithTheirKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		phone, secret := made("phone", bus.KeyRequest{})
		c := crowded{&swarm{}, time.Hour, 0, nil, make(chan bus.TaskID, 8), false}
		g, err := gateway.New(gateway.Config{Swarm: c, Key: key, Keys: []gateway.Key{phone}, MCP: tools})
		if err != nil {
			t.Fatal(err)
		}
		over := make(chan *httptest.ResponseRecorder)
		go func() {
			over <- from(t, g, afar, "POST", "/mcp", `{"do":"inference"}`, "Authorization", "Bearer "+secret)
		}()
		<-c.ids
		g.SetKeys(nil)
		if a := toolsSay(t, <-over); a.Error == nil || !strings.Contains(a.Error.Message, "revoked") {
			t.Errorf("%+v", a)
		}
	})
}

// A client whose call waits is told so in comments, and is let go where it takes nothing for a minute.
func TestToolsThatWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for waits, told := range map[time.Duration]int{900 * time.Millisecond: 0, 5 * time.Second: 1, 25 * time.Second: 3} {
			c := crowded{&swarm{}, waits, 0, nil, make(chan bus.TaskID, 8), false}
			g, err := gateway.New(gateway.Config{Swarm: c, Key: key, MCP: tools})
			if err != nil {
				t.Fatal(err)
			}
			w := local(t, g, "POST", "/mcp", `{"do":"inference"}`)
			if n := strings.Count(w.Body.String(), ": waiting, 3 in the queue, about 4s\n\n"); n != told || toolsSay(t, w).State != bus.StateDone {
				t.Errorf("for %v: told %d times, want %d:\n%s", waits, n, told, w.Body)
			}
		}
	})
}
