package daemon_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/config"
)

// raw connects with the user's credentials and without package bus.
func raw(t *testing.T, n *node) *nats.Conn {
	t.Helper()
	key, err := nats.NkeyOptionFromSeed(filepath.Join(n.cfg.DataDir, bus.UserCreds))
	check(t, err)
	nc, err := nats.Connect(n.Info().BusURL, key, nats.CustomInboxPrefix(bus.UserInbox(n.id())), nats.NoReconnect(), nats.Timeout(limit))
	check(t, err)
	t.Cleanup(nc.Close)
	return nc
}

// daemonInbox is where a daemon may wait for the answer of another: users hear of it, under swarm.>.
const daemonInbox = "_INBOX.of-a-daemon.1"

// The user's credential reaches the daemon's RPC and nothing behind it.
func TestUserStaysInItsRoom(t *testing.T) {
	t.Parallel()
	n := start(t, "a", withDemo)
	nc := raw(t, n)
	refused := make(chan error, 16)
	nc.SetErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err })
	for what, try := range map[string]func() error{
		"read content":    func() error { _, err := nc.SubscribeSync("payload.>"); return err },
		"write a task":    func() error { return nc.Publish(bus.SubjectOutbox(n.id(), bus.NoCustodian, "x"), nil) },
		"fake a beat":     func() error { return nc.Publish(bus.SubjectHeartbeat(n.id()), nil) },
		"fetch a payload": func() error { return nc.Publish(bus.SubjectBlob(n.id(), "get"), nil) },
		"send a roster":   func() error { return nc.Publish(bus.SubjectRoster, nil) },
		"other's daemon":  func() error { return nc.Publish(bus.SubjectPayloadRPC("myco-000000000000", bus.VerbInvite), nil) },
	} {
		check(t, try())
		check(t, nc.Flush())
		select {
		case err := <-refused:
			if !errors.Is(err, nats.ErrPermissionViolation) {
				t.Errorf("%s: %v, want it refused", what, err)
			}
		case <-time.After(limit):
			t.Errorf("%s: not refused", what)
		}
	}

	// The daemon may publish anywhere: it does not let a client say where.
	task := inference(t)
	for _, inbox := range []string{bus.SubjectHeartbeat(n.id()), daemonInbox} {
		b, err := json.Marshal(bus.SubmitRequest{Task: task, Inbox: inbox})
		check(t, err)
		m, err := nc.Request(bus.SubjectPayloadRPC(n.id(), bus.VerbSubmit), b, limit)
		check(t, err)
		if !strings.Contains(string(m.Data), string(bus.CodeInvalid)) || m.Header.Get(bus.HeaderError) != "400" {
			t.Errorf("output to %s: header %v, %s", inbox, m.Header, m.Data)
		}
	}
	events, err := nc.SubscribeSync("swarm.node.elsewhere")
	check(t, err)
	check(t, nc.PublishRequest(bus.SubjectRPC(n.id(), bus.VerbPing), "swarm.node.elsewhere", nil))
	if _, err := n.conn.Ping(n.ctx()); err != nil {
		t.Fatal(err)
	}
	if m, err := events.NextMsg(200 * time.Millisecond); err == nil {
		t.Errorf("the daemon answered to %s: %s", m.Subject, m.Data)
	}
}

// call makes an HTTP request to a node.
func call(t *testing.T, n *node, method, path, body string, change ...func(*http.Request)) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(n.ctx(), method, n.Info().HTTPURL+path, bytes.NewBufferString(body))
	check(t, err)
	key, err := os.ReadFile(filepath.Join(n.cfg.DataDir, bus.HTTPKeyFile))
	check(t, err)
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(key)))
	req.Header.Set("Content-Type", "application/json")
	for _, c := range change {
		c(req)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	check(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	check(t, err)
	return resp.StatusCode, string(b)
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	n := start(t, "a", withDemo)
	noKey := func(r *http.Request) { r.Header.Del("Authorization") }
	if status, body := call(t, n, "GET", "/health", "", noKey); status != 200 {
		t.Errorf("health: %d %s", status, body)
	}
	for _, path := range []string{"/status", "/identity", "/peers", "/task/x", "/nothing"} {
		if status, _ := call(t, n, "GET", path, "", noKey); status != 401 {
			t.Errorf("%s without a key: %d, want 401", path, status)
		}
	}
	for _, path := range []string{"/status", "/identity", "/peers"} {
		if status, body := call(t, n, "GET", path, ""); status != 200 || !strings.Contains(body, string(n.id())) {
			t.Errorf("%s: %d %s, want the node's id", path, status, body)
		}
	}
	task := inference(t)
	body, err := json.Marshal(task)
	check(t, err)
	var info bus.TaskInfo
	status, text := call(t, n, "POST", "/task", string(body))
	check(t, json.Unmarshal([]byte(text), &info))
	if status != 200 {
		t.Errorf("task: %d %s", status, text)
	}
	paris(t, info, n)

	task.ID = "durable"
	body, err = json.Marshal(task)
	check(t, err)
	if status, text := call(t, n, "POST", "/task?durable=1", string(body)); status != 202 || !strings.Contains(text, `"accepted":true`) {
		t.Errorf("durable task: %d %s", status, text)
	}
	eventually(t, "the durable task is done", func() string {
		if status, text = call(t, n, "GET", "/task/durable", ""); !strings.Contains(text, `"done"`) {
			return text
		}
		return ""
	})
	if status, text := call(t, n, "GET", "/task/unknown", ""); status != 404 || !strings.Contains(text, `"error"`) {
		t.Errorf("unknown task: %d %s", status, text)
	}
}

func TestNATSContextIsTheObservers(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "nats")
	n := start(t, "a", func(c *config.Config) { c.ContextDir = dir })
	b, err := os.ReadFile(filepath.Join(dir, "context", "myco.json"))
	check(t, err)
	var c struct {
		URL, NKey string
		Inbox     string `json:"inbox_prefix"`
	}
	check(t, json.Unmarshal(b, &c))
	if c.URL != n.Info().BusURL || c.NKey != filepath.Join(n.cfg.DataDir, bus.ObserverCred) || c.Inbox != bus.ObserverInbox(n.id()) {
		t.Errorf("context %s", b)
	}
	selected, err := os.ReadFile(filepath.Join(dir, "context.txt"))
	if err != nil || string(selected) != "myco" {
		t.Errorf("selected %q, %v: want myco, as none was", selected, err)
	}
	check(t, n.stop())
	check(t, os.WriteFile(filepath.Join(dir, "context.txt"), []byte("mine"), 0o600))
	n.run()
	if selected, err := os.ReadFile(filepath.Join(dir, "context.txt")); err != nil || string(selected) != "mine" {
		t.Errorf("selected %q, %v: the user's choice was changed", selected, err)
	}
}

// Two daemons of one user, on directories of their own, do not take the context from each other.
func TestNATSContextOfARunningDaemonStays(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "nats")
	here := func(c *config.Config) { c.ContextDir = dir }
	url := func(name string) string {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(dir, "context", name+".json"))
		if errors.Is(err, os.ErrNotExist) {
			return ""
		}
		check(t, err)
		var c struct{ URL string }
		check(t, json.Unmarshal(b, &c))
		return c.URL
	}
	a, b := start(t, "a", here), start(t, "b", here)
	second := string(b.Info().NodeID)
	if url("myco") != a.Info().BusURL || url(second) != b.Info().BusURL {
		t.Errorf("contexts of %s and %s, want those of %s and %s", url("myco"), url(second), a.Info().BusURL, b.Info().BusURL)
	}
	check(t, a.stop())
	check(t, b.stop())
	if url(second) != "" {
		t.Error("the second context outlives its daemon")
	}
	// What a daemon that was killed leaves behind is no daemon.
	check(t, os.WriteFile(filepath.Join(a.cfg.DataDir, bus.DaemonFile), []byte("{}"), 0o600))
	b.run()
	if url("myco") != b.Info().BusURL {
		t.Errorf("context of %s, want that of the one daemon that runs, %s", url("myco"), b.Info().BusURL)
	}
}

// A daemon that is killed while it writes a file leaves a part of it.
func TestPartsOfFilesGo(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	check(t, a.stop())
	for _, name := range []string{bus.DaemonFile, bus.UserCreds, bus.HTTPKeyFile} {
		check(t, os.WriteFile(filepath.Join(a.cfg.DataDir, "."+name+".1"), nil, 0o600))
	}
	a.run()
	if parts, err := filepath.Glob(filepath.Join(a.cfg.DataDir, ".*")); err != nil || len(parts) > 0 {
		t.Errorf("a start left %v, error %v", parts, err)
	}
}
