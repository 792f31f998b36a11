package daemon_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/internal/config"
)

// between is a server in front of the one at target, which may turn requests away, and changes answers.
func between(t *testing.T, target string, turnsAway func(*http.Request) int, change func(*http.Response) error) string {
	t.Helper()
	u, err := url.Parse(target)
	check(t, err)
	on := httputil.NewSingleHostReverseProxy(u)
	on.Transport, on.ModifyResponse = &http.Transport{DisableKeepAlives: true}, change
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status := turnsAway(r); status != 0 {
			w.WriteHeader(status)
			return
		}
		on.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// said gathers what a daemon says.
type said struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// The engine of a node wants a key: here another swarm is that engine, behind a proxy which hides that it is one, with a
// key as its users have them. Whatever the daemons say, over what they call the key and what becomes of it, has no key.
func TestEngineWantsAKey(t *testing.T) {
	t.Parallel()
	other := start(t, "other", wantsKeys, withEngine(t, &engine.Ledger{}, nil))
	eventually(t, "the other swarm knows its model", func() string {
		if _, body := call(t, other, "GET", "/v1/models", ""); !strings.Contains(body, engine.Model) {
			return body
		}
		return ""
	})
	key, err := other.conn.CreateKey(other.ctx(), bus.KeyRequest{Name: "swarm"})
	check(t, err)
	front := between(t, other.Info().HTTPURL, func(r *http.Request) int {
		if !strings.HasPrefix(r.URL.Path, "/v1/") {
			return http.StatusNotFound
		}
		return 0
	}, func(r *http.Response) error {
		r.Header.Del(bus.HeaderGateway)
		return nil
	})

	var all said
	file := filepath.Join(t.TempDir(), "engine-keys")
	a := newNode(t, "a", func(c *config.Config) { c.Engines, c.EngineKeys = []string{front}, file })
	a.launch(slog.New(slog.NewTextHandler(&all, &slog.HandlerOptions{Level: slog.LevelDebug})))
	a.up()
	b := start(t, "b", joining(a))
	settle(t, a, b)
	nc := raw(t, b)
	_, err = nc.Subscribe(bus.SubjectAll, func(m *nats.Msg) { fmt.Fprintf(&all, "%s %v %s\n", m.Subject, m.Header, m.Data) })
	check(t, err)
	check(t, nc.Flush())

	finds := func(what, inError, inHint string) {
		t.Helper()
		eventually(t, "doctor finds that "+what, func() string {
			d, err := a.conn.Diagnose(a.ctx())
			check(t, err)
			fmt.Fprintf(&all, "%+v\n", d)
			if e := d.Engines[0]; e.URL != front || !strings.Contains(e.Error, inError) || !strings.Contains(e.Hint, inHint) || !strings.Contains(e.Hint, file) {
				return fmt.Sprintf("%+v", e)
			}
			return ""
		})
		eventually(t, "its model is not offered", func() string {
			_, body := call(t, b, "GET", "/v1/models", "")
			if strings.Contains(body, engine.Model) {
				return body
			}
			return ""
		})
	}
	answers := func() {
		t.Helper()
		eventually(t, "it answers", func() string {
			_, body := call(t, b, "POST", "/v1/chat/completions", `{"model":"`+engine.Model+`","messages":[{"role":"user","content":"x"}]}`)
			fmt.Fprintln(&all, body)
			if !strings.Contains(body, `"choices"`) {
				return body
			}
			return ""
		})
	}
	writeKey := func(k string) {
		t.Helper()
		check(t, os.WriteFile(file, []byte(front+"/v1 "+k+"\n"), 0o600))
	}
	finds("a key is missing", "refuses requests with status 401", "if it wants a key")
	writeKey(bus.KeyPrefix + "0123456789")
	finds("the key is wrong", "in spite of its key (status 401)", "put a key that it takes")
	writeKey(key.Key)
	answers()
	_, err = other.conn.RevokeKey(other.ctx(), key.ID)
	check(t, err)
	task := inference(t)
	task.ID, task.Model = "meanwhile", engine.Model
	_, err = b.conn.Enqueue(b.ctx(), task)
	check(t, err)
	finds("the key was revoked", "in spite of its key (status 401)", "put a key that it takes")
	again, err := other.conn.CreateKey(other.ctx(), bus.KeyRequest{})
	check(t, err)
	writeKey(again.Key)
	answers()
	eventually(t, "what waited is done", func() string {
		i, err := b.conn.Task(b.ctx(), task.ID)
		check(t, err)
		if i.State != bus.StateDone {
			return fmt.Sprintf("%s: %+v", i.State, i.Error)
		}
		return ""
	})

	for _, n := range []*node{a, b} {
		for _, path := range []string{"/status", "/identity", "/peers", "/metrics", "/v1/models", "/api/tags", "/api/ps"} {
			_, body := call(t, n, "GET", path, "")
			fmt.Fprintln(&all, path, body)
		}
		tasks, err := n.conn.Tasks(n.ctx())
		check(t, err)
		check(t, json.NewEncoder(&all).Encode(tasks))
	}
	check(t, a.stop())
	words := all.String()
	for _, k := range []string{key.Key, again.Key} {
		if k = strings.TrimPrefix(k, bus.KeyPrefix); len(k) < 8 || strings.Contains(words, k) {
			i := strings.Index(words, k)
			t.Errorf("a key is told: %s", words[max(0, i-300):i])
		}
	}
	for _, want := range []string{"engine refuses requests, and is left out", front, `try="if it wants a key: `} {
		if !strings.Contains(words, want) {
			t.Errorf("the log does not say %q", want)
		}
	}
}

// A key that one node's engine takes no more fails no question that another node can answer, also where that engine shows
// its models to everybody, and so goes on being asked.
func TestWrongKeyFailsNoQuestion(t *testing.T) {
	t.Parallel()
	var ledger engine.Ledger
	var c config.Config
	withEngine(t, &ledger, nil)(&c)
	var refuses atomic.Value // the first that is asked, from then on
	guarded := func(name string) func(*config.Config) {
		at := between(t, c.Engines[0], func(r *http.Request) int {
			if r.URL.Path == "/api/chat" && (refuses.CompareAndSwap(nil, name) || refuses.Load() == name) {
				return http.StatusUnauthorized
			}
			return 0
		}, nil)
		return func(c *config.Config) { c.Engines = []string{at} }
	}
	a := start(t, "a", guarded("a"))
	eventually(t, "the model of a", func() string {
		_, body := call(t, a, "GET", "/v1/models", "")
		if !strings.Contains(body, engine.Model) {
			return body
		}
		return ""
	})
	b := start(t, "b", joining(a), guarded("b"))
	settle(t, a, b)
	eventually(t, "b has it, too", func() string {
		s, err := b.conn.Status(b.ctx())
		check(t, err)
		if len(s.Node.Models) == 0 {
			return "no model"
		}
		return ""
	})
	for range 3 {
		status, body := call(t, a, "POST", "/v1/chat/completions", `{"model":"`+engine.Model+`","messages":[{"role":"user","content":"x"}]}`)
		if status != 200 {
			t.Fatalf("%d %s", status, body)
		}
	}
	if refuses.Load() == nil {
		t.Error("no engine was asked: the test saw nothing")
	}
}
