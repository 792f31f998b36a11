package gateway_test

import (
	"context"
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/gateway"
)

// made is a key with an id, and what is presented.
func made(id string, may bus.KeyRequest) (gateway.Key, string) {
	secret := bus.KeyPrefix + id
	return gateway.Key{KeyInfo: bus.KeyInfo{ID: id, KeyRequest: may}, Hash: sha256.Sum256([]byte(secret))}, secret
}

// keyring is a gateway in front of an oracle, with keys beside the owner's.
func keyring(t *testing.T, s gateway.Swarm, keys ...gateway.Key) *gateway.Gateway {
	t.Helper()
	g, err := gateway.New(gateway.Config{Swarm: s, Key: key, Keys: keys, Metrics: figures, MCP: tools})
	if err != nil {
		t.Fatal(err)
	}
	told(t, g)
	return g
}

// manages reports whether a route is for keys that may pull and delete models, have pages fetched, and see the dashboard.
func manages(route string) bool {
	return route == "POST /api/pull" || route == "DELETE /api/delete" || strings.HasSuffix(route, "/web_fetch") || sees(route)
}

// sees reports whether a route is the dashboard's. The page on which people ask is a program like others.
func sees(route string) bool {
	return strings.HasPrefix(route, "GET /ui/") && route != "GET /ui/chat/swarm"
}

const afar = "192.0.2.1:5"

// A created key opens the interfaces of others, from anywhere and in either header, and not the swarm's
// own; its tasks tell whose they are.
func TestCreatedKeys(t *testing.T) {
	t.Parallel()
	one, secret := made("one", bus.KeyRequest{Name: "phone"})
	for _, route := range gateway.Routes() {
		body, dialect := dialectRoutes[route]
		if open(route) {
			continue
		}
		method, target := path(route)
		for _, header := range [][2]string{{"Authorization", "Bearer " + secret}, {"X-Api-Key", secret}} {
			for _, addr := range []string{afar, "127.0.0.1:5"} {
				o, _ := newOracle(t, answers)
				w := from(t, keyring(t, o, one), addr, method, target, body, "Authorization", "", header[0], header[1])
				switch {
				case (!dialect || manages(route)) && w.Code != http.StatusForbidden:
					t.Errorf("%s from %s with %s: %d, want it refused", route, addr, header[0], w.Code)
				case dialect && !manages(route) && w.Code != served(route):
					t.Errorf("%s from %s with %s: %d %s", route, addr, header[0], w.Code, w.Body)
				}
				for _, task := range o.tasks {
					if task.User != "key-one" {
						t.Errorf("%s from %s: a task of user %q", route, addr, task.User)
					}
				}
			}
		}
	}
	// One that may pulls and deletes models, too.
	admin, secretOf := made("admin", bus.KeyRequest{Admin: true})
	for route, body := range dialectRoutes {
		if method, target := path(route); manages(route) {
			o, _ := newOracle(t, answers)
			w := from(t, keyring(t, o, admin), afar, method, target, body, "Authorization", "Bearer "+secretOf)
			if w.Code != http.StatusOK || !sees(route) && (len(o.tasks) == 0 || o.tasks[0].User != "key-admin") {
				t.Errorf("%s with a key that may: %d %s, %d tasks", route, w.Code, w.Body, len(o.tasks))
			}
		}
	}
	o, _ := newOracle(t, answers)
	g := keyring(t, o, one)
	for what, w := range map[string]*httptest.ResponseRecorder{
		"the owner": from(t, g, afar, "POST", "/api/chat", hello+`}`),
		"no key":    local(t, g, "POST", "/api/chat", hello+`}`),
		"any key":   local(t, g, "POST", "/api/chat", hello+`}`, "Authorization", "Bearer ollama"),
	} {
		wantStatus(t, what, w, http.StatusOK)
	}
	for _, task := range o.tasks {
		if task.User != "" {
			t.Errorf("without a created key a task is of user %q", task.User)
		}
	}
	// One that nobody made, or another node, is of no use.
	for _, addr := range []string{afar, "127.0.0.1:5"} {
		w := from(t, g, addr, "POST", "/api/chat", hello+`}`, "Authorization", "Bearer "+bus.KeyPrefix+"two")
		if w.Code != http.StatusUnauthorized || !strings.Contains(w.Body.String(), "revoked") || !strings.Contains(w.Body.String(), "myco key create") {
			t.Errorf("an unknown key from %s: %d %s", addr, w.Code, w.Body)
		}
	}
}

// held is a swarm whose tasks run until they are cancelled, or let go.
type held struct {
	*oracle
	began chan bus.Task
	let   chan struct{}
}

func newHeld(t *testing.T) held {
	t.Helper()
	o, _ := newOracle(t, paris())
	return held{o, make(chan bus.Task, 8), make(chan struct{})}
}

func (h held) Stream(ctx context.Context, t bus.Task, out func(bus.Chunk) error) (bus.TaskInfo, error) {
	h.began <- t
	select {
	case <-ctx.Done():
		return bus.TaskInfo{}, ctx.Err()
	case <-h.let:
		return h.oracle.Stream(ctx, t, out)
	}
}

// begin makes a request with a key, and returns when its task runs.
func (h held) begin(t *testing.T, g http.Handler, secret string) <-chan *httptest.ResponseRecorder {
	t.Helper()
	ended := make(chan *httptest.ResponseRecorder, 1)
	go func() {
		ended <- from(t, g, afar, "POST", "/v1/chat/completions", hello+`}`, "Authorization", "Bearer "+secret)
	}()
	select {
	case <-h.began:
	case w := <-ended:
		t.Fatalf("the request ends: %d %s", w.Code, w.Body)
	case <-time.After(limit):
		t.Fatal("the request makes no task")
	}
	return ended
}

func awaitEnd(t *testing.T, what string, ended <-chan *httptest.ResponseRecorder) *httptest.ResponseRecorder {
	t.Helper()
	select {
	case w := <-ended:
		return w
	case <-time.After(limit):
		t.Fatalf("%s goes on", what)
		return nil
	}
}

// A key that is revoked lets nobody in, and ends what it let in. Others are left alone.
func TestKeyIsRevoked(t *testing.T) {
	t.Parallel()
	h := newHeld(t)
	one, first := made("one", bus.KeyRequest{})
	two, second := made("two", bus.KeyRequest{})
	g := keyring(t, h, one, two)
	a, b := h.begin(t, g, first), h.begin(t, g, second)
	g.SetKeys([]gateway.Key{two})
	w := awaitEnd(t, "a request of the key that was revoked", a)
	if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "revoked") || !strings.Contains(w.Body.String(), "permission_error") {
		t.Errorf("a request under way: %d %s", w.Code, w.Body)
	}
	for _, addr := range []string{afar, "127.0.0.1:5"} {
		for _, header := range [][2]string{{"Authorization", "Bearer " + first}, {"X-Api-Key", first}} {
			w := from(t, g, addr, "GET", "/api/tags", "", "Authorization", "", header[0], header[1])
			wantStatus(t, "the key that was revoked, from "+addr, w, http.StatusUnauthorized)
		}
	}
	close(h.let)
	wantStatus(t, "a request of the other", awaitEnd(t, "a request of the other", b), http.StatusOK)
	wantStatus(t, "the other", from(t, g, afar, "GET", "/api/tags", "", "Authorization", "Bearer "+second), http.StatusOK)
}

// limited are a request of each dialect, and what its clients look for in a refusal.
var limited = map[string][]string{
	"/api/chat":            {`{"error":"this key `},
	"/v1/chat/completions": {`"rate_limit_exceeded"`, `"rate_limit_error"`, `"message":"this key `},
	"/v1/messages":         {`"type":"rate_limit_error"`, `"type":"error"`, `"message":"this key `},
}

// A key makes as many requests a minute as it may; then its client is told when to come again.
func TestRateOfAKey(t *testing.T) {
	t.Parallel()
	for target, says := range limited {
		o, _ := newOracle(t, answers)
		slow, secret := made("slow", bus.KeyRequest{PerMinute: 2})
		other, free := made("free", bus.KeyRequest{})
		g := keyring(t, o, slow, other)
		post := func(secret string) *httptest.ResponseRecorder {
			return from(t, g, afar, "POST", target, hello+`,"max_tokens":9}`, "Authorization", "Bearer "+secret)
		}
		for range 2 {
			wantStatus(t, target, post(secret), http.StatusOK)
		}
		g.SetKeys([]gateway.Key{slow, other}) // what was used stays used
		w := post(secret)
		wantStatus(t, target+" beyond the limit", w, http.StatusTooManyRequests)
		if s, err := strconv.Atoi(w.Header().Get("Retry-After")); err != nil || s < 1 || s > 30 {
			t.Errorf("%s: Retry-After is %q, want 1 to 30 s", target, w.Header().Get("Retry-After"))
		}
		for _, s := range append(says, "2 requests a minute") {
			if !strings.Contains(w.Body.String(), s) {
				t.Errorf("%s: %s, want %s", target, w.Body, s)
			}
		}
		wantStatus(t, "another key", post(free), http.StatusOK)
		wantStatus(t, "a list", from(t, g, afar, "GET", "/api/tags", "", "Authorization", "Bearer "+secret), http.StatusOK)
		if len(o.tasks) != 3 {
			t.Errorf("%s: %d tasks, want 3", target, len(o.tasks))
		}
	}
}

// A key has as many requests under way as it may.
func TestConcurrencyOfAKey(t *testing.T) {
	t.Parallel()
	h := newHeld(t)
	narrow, secret := made("narrow", bus.KeyRequest{Concurrent: 1})
	g := keyring(t, h, narrow)
	first := h.begin(t, g, secret)
	for target, says := range limited {
		second := make(chan *httptest.ResponseRecorder, 1)
		go func() {
			second <- from(t, g, afar, "POST", target, hello+`,"max_tokens":9}`, "Authorization", "Bearer "+secret)
		}()
		w := awaitEnd(t, "a second request at one time", second)
		wantStatus(t, target, w, http.StatusTooManyRequests)
		if w.Header().Get("Retry-After") != "1" || !strings.Contains(w.Body.String(), "1 request under way") || !strings.Contains(w.Body.String(), says[0]) {
			t.Errorf("%s: %v %s", target, w.Header(), w.Body)
		}
	}
	close(h.let)
	wantStatus(t, "the first", awaitEnd(t, "the first", first), http.StatusOK)
	wantStatus(t, "the next", from(t, g, afar, "POST", "/api/chat", hello+`}`, "Authorization", "Bearer "+secret), http.StatusOK)
}
