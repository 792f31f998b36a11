package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/gateway"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	self = bus.NodeID("myco-0123456789ab")
	key  = "secret"
)

// swarm is what the gateway acts on.
type swarm struct {
	ran, enqueued []bus.Task
	err           error
}

func (*swarm) Nodes() []bus.NodeInfo { return []bus.NodeInfo{{ID: self}} }

func (*swarm) Status() bus.Status {
	return bus.Status{Node: bus.NodeInfo{ID: self}, Nodes: []bus.NodeInfo{{ID: self}}}
}
func (*swarm) Identity() gateway.Identity { return gateway.Identity{NodeID: self, Name: "a"} }

func (s *swarm) Run(_ context.Context, t bus.Task) (bus.TaskInfo, error) {
	s.ran = append(s.ran, t)
	return bus.TaskInfo{ID: "x", State: bus.StateDone, Result: json.RawMessage(`"yes"`)}, s.err
}

func (s *swarm) Stream(ctx context.Context, t bus.Task, _ func(bus.Chunk) error) (bus.TaskInfo, error) {
	return s.Run(ctx, t)
}

func (s *swarm) Start(ctx context.Context, t bus.Task, ended func()) error {
	_, err := s.Run(ctx, t)
	ended()
	return err
}

func (s *swarm) Attach(_ context.Context, id bus.TaskID, _, _ int, _ func(bus.Chunk) error) (bus.TaskInfo, error) {
	return bus.TaskInfo{ID: id, State: bus.StateDone, Result: json.RawMessage(`"yes"`)}, s.err
}

func (s *swarm) Enqueue(_ context.Context, t bus.Task) (bus.Receipt, error) {
	s.enqueued = append(s.enqueued, t)
	return bus.Receipt{ID: "x", Accepted: true, Copies: 2}, s.err
}

func (s *swarm) Tasks(context.Context) ([]bus.TaskInfo, error) { return nil, s.err }

func (s *swarm) Cancel(_ context.Context, id bus.TaskID) (bus.TaskInfo, error) {
	return bus.TaskInfo{ID: id, State: bus.StateCancelled}, s.err
}

func (s *swarm) Why(_ context.Context, id bus.TaskID) (bus.Why, error) {
	return bus.Why{Task: id}, s.err
}

func (*swarm) Beats() []bus.Heartbeat { return nil }

func (*swarm) Probe(context.Context) []bus.ProbeReply { return nil }

func (s *swarm) Task(_ context.Context, id bus.TaskID) (bus.TaskInfo, error) {
	return bus.TaskInfo{ID: id, State: bus.StateQueued}, s.err
}

func (s *swarm) Whole(_ context.Context, t *bus.TaskInfo, _ bool) error {
	t.Result, t.ResultBlob = json.RawMessage(`"whole"`), nil
	return s.err
}

// fetching is a swarm whose results are large, and stay on their way until they are let go.
type fetching struct {
	*swarm
	size    int64
	fetches chan bool // last
	let     chan struct{}
}

func (f fetching) Task(_ context.Context, id bus.TaskID) (bus.TaskInfo, error) {
	return bus.TaskInfo{ID: id, State: bus.StateDone, ResultBlob: &bus.Blob{SHA256: strings.Repeat("0", 64), Size: f.size}}, nil
}

func (f fetching) Run(ctx context.Context, _ bus.Task) (bus.TaskInfo, error) {
	return f.Task(ctx, "run")
}

func (f fetching) Whole(ctx context.Context, t *bus.TaskInfo, last bool) error {
	f.fetches <- last
	<-f.let
	return f.swarm.Whole(ctx, t, last)
}

// A large result is fetched once there is room for it: whoever comes after that is told to come again.
func TestResultsHaveRoom(t *testing.T) {
	t.Parallel()
	f := fetching{&swarm{}, bus.MaxPayload, make(chan bool, 2), make(chan struct{})}
	g, err := gateway.New(gateway.Config{Swarm: f, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	get := func() *httptest.ResponseRecorder { return call(t, g, http.MethodGet, "/task/abc", "") }
	post := func() *httptest.ResponseRecorder { return call(t, g, http.MethodPost, "/task", `{"type":"ping"}`) }
	got := make(chan *httptest.ResponseRecorder)
	for last, ask := range map[bool]func() *httptest.ResponseRecorder{false: get, true: post} {
		go func() { got <- ask() }()
		if was := <-f.fetches; was != last {
			t.Errorf("the result is fetched for the last time: %v, want %v", was, last)
		}
	}
	for _, w := range []*httptest.ResponseRecorder{get(), post()} {
		wants(t, "a third result", w, http.StatusTooManyRequests, bus.CodeBusy)
		if w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "GET /task/") {
			t.Errorf("no word of what to do: %v %s", w.Header(), w.Body)
		}
	}
	close(f.let)
	for range 2 {
		if w := <-got; w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"whole"`) || strings.Contains(w.Body.String(), "result_blob") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
	if w := get(); w.Code != http.StatusOK {
		t.Errorf("once there is room again: %d %s", w.Code, w.Body)
	}
}

func newGateway(t *testing.T, s gateway.Swarm) http.Handler {
	t.Helper()
	g, err := gateway.New(gateway.Config{Swarm: s, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return g
}

func setup(t *testing.T) (*swarm, http.Handler) {
	t.Helper()
	s := &swarm{}
	g, err := gateway.New(gateway.Config{Swarm: s, Key: key, Hosts: func() []string { return []string{"Box", "10.0.0.7", "other.example.org"} }})
	if err != nil {
		t.Fatal(err)
	}
	return s, g
}

func call(t *testing.T, h http.Handler, method, target, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "http://127.0.0.1"+target, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// wants checks status and code of an error.
func wants(t *testing.T, what string, w *httptest.ResponseRecorder, status int, code bus.Code) {
	t.Helper()
	var body struct {
		Error *bus.Error `json:"error"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body.Error == nil {
		t.Errorf("%s: body %q is no error: %v", what, w.Body, err)
		return
	}
	if w.Code != status || body.Error.Code != code {
		t.Errorf("%s: status %d, code %s, want %d, %s", what, w.Code, body.Error.Code, status, code)
	}
}

func TestReads(t *testing.T) {
	t.Parallel()
	_, g := setup(t)
	for _, path := range []string{"/status", "/identity", "/peers"} {
		w := call(t, g, http.MethodGet, path, "")
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), string(self)) || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if w := call(t, g, http.MethodGet, "/health", "", "Authorization", ""); w.Code != http.StatusOK {
		t.Errorf("health: %d", w.Code)
	}
	if w := call(t, g, http.MethodGet, "/task/abc", ""); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"abc"`) {
		t.Errorf("task: %d %s", w.Code, w.Body)
	}
	wants(t, "no such path", call(t, g, http.MethodGet, "/nothing", ""), http.StatusNotFound, bus.CodeNotFound)
	wants(t, "bad id", call(t, g, http.MethodGet, "/task/a.b", ""), http.StatusBadRequest, bus.CodeInvalid)
}

func TestSubmit(t *testing.T) {
	t.Parallel()
	s, g := setup(t)
	w := call(t, g, http.MethodPost, "/task", `{"type":"ping"}`)
	if w.Code != http.StatusOK || len(s.ran) != 1 || s.ran[0].Type != "ping" || !strings.Contains(w.Body.String(), `"done"`) {
		t.Errorf("attached: %d %s, ran %+v", w.Code, w.Body, s.ran)
	}
	w = call(t, g, http.MethodPost, "/task?durable=1", `{"type":"ping"}`)
	if w.Code != http.StatusAccepted || len(s.enqueued) != 1 || !strings.Contains(w.Body.String(), `"accepted":true`) {
		t.Errorf("durable: %d %s, enqueued %+v", w.Code, w.Body, s.enqueued)
	}
	invalid := func(what, target, body string, header ...string) {
		t.Helper()
		wants(t, what, call(t, g, http.MethodPost, target, body, header...), http.StatusBadRequest, bus.CodeInvalid)
	}
	invalid("no JSON", "/task", "hello")
	invalid("two tasks", "/task", `{"type":"ping"}{"type":"ping"}`)
	invalid("unknown field", "/task", `{"type":"ping","nodde":"x"}`)
	invalid("no type", "/task", `{}`)
	invalid("two models", "/task", `{"type":"inference","model":"a","payload":{"model":"b","prompt":"hi"}}`)
	invalid("durable what", "/task?durable=perhaps", `{"type":"ping"}`)
	invalid("a form", "/task", `{"type":"ping"}`, "Content-Type", "text/plain")
	long := `{"type":"ping","payload":"` + strings.Repeat("x", bus.MaxPayload+128<<10) + `"}`
	wants(t, "long body", call(t, g, http.MethodPost, "/task", long), http.StatusRequestEntityTooLarge, bus.CodeTooLarge)
	wants(t, "long body of spaces", call(t, g, http.MethodPost, "/task", strings.Repeat(" ", bus.MaxPayload+128<<10)+`{"type":"ping"}`),
		http.StatusRequestEntityTooLarge, bus.CodeTooLarge)
	if len(s.ran)+len(s.enqueued) != 2 {
		t.Errorf("ran %+v, enqueued %+v: want nothing of what was refused", s.ran, s.enqueued)
	}
	s.err = bus.Errorf(bus.CodeNoWorker, "nobody")
	wants(t, "nobody can", call(t, g, http.MethodPost, "/task", `{"type":"ping"}`), http.StatusServiceUnavailable, bus.CodeNoWorker)
	s.err = bus.Errorf(bus.CodeBusy, "7 tasks are open")
	w = call(t, g, http.MethodPost, "/task?durable=1", `{"type":"ping"}`)
	wants(t, "too many", w, http.StatusTooManyRequests, bus.CodeBusy)
	if w.Header().Get("Retry-After") == "" {
		t.Error("a client that is told to wait is not told for how long")
	}
	s.err = errors.New("fault")
	wants(t, "fault", call(t, g, http.MethodPost, "/task", `{"type":"ping"}`), http.StatusInternalServerError, bus.CodeInternal)
}

// A request that says that it is too long is refused before its body comes.
func TestLongRequestIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	_, g := setup(t)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost/task", failing{t})
	r.ContentLength = 1 << 40
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Set("Content-Type", "application/json")
	for _, path := range []string{"/task", "/api/chat", "/api/tags", "/v1/embeddings"} {
		r.URL.Path = path
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		if w.Code != http.StatusRequestEntityTooLarge || !strings.Contains(w.Body.String(), "(256 MiB)") {
			t.Errorf("a body of a terabyte for %s: %d %s", path, w.Code, w.Body)
		}
	}
}

// failing is a body that must not be read.
type failing struct{ t *testing.T }

func (f failing) Read([]byte) (int, error) {
	f.t.Error("the body is read")
	return 0, io.EOF
}

func TestWhoMayCall(t *testing.T) {
	t.Parallel()
	s, g := setup(t)
	for _, auth := range []string{"", "Bearer", "Bearer ", "Bearer wrong", "Basic secret", "secret"} {
		wants(t, "key "+auth, call(t, g, http.MethodGet, "/status", "", "Authorization", auth), http.StatusUnauthorized, bus.CodeForbidden)
	}
	for host, ok := range map[string]bool{
		"localhost:7890": true, "LOCALHOST": true, "127.0.0.1:1": true, "127.9.9.9": true, "[::1]:7890": true, "10.0.0.7:7890": true,
		"box": true, "box.local:7890": true, "box.local.": true,
		"other.example.org:7890": true, "OTHER.example.org.": true,
		"evil.example": false, "10.0.0.8": false, "x.other.example.org": false, "other.example.org.evil.example": false, "box.evil.example": false, "localhost.evil.example": false, "": false,
	} {
		if w := call(t, g, http.MethodGet, "/status", "", "Host", host); (w.Code == http.StatusOK) != ok {
			t.Errorf("host %q: %d, want allowed %v", host, w.Code, ok)
		} else if !ok && !strings.Contains(w.Body.String(), "mycod --http-host") {
			t.Errorf("host %q is refused without a word of the setting: %s", host, w.Body)
		}
	}
	for site, ok := range map[string]bool{"same-origin": true, "none": true, "cross-site": false, "same-site": false} {
		w := call(t, g, http.MethodPost, "/task", `{"type":"ping"}`, "Sec-Fetch-Site", site)
		if (w.Code == http.StatusOK) != ok {
			t.Errorf("Sec-Fetch-Site %s: %d, want allowed %v", site, w.Code, ok)
		}
	}
	if len(s.ran) != 2 {
		t.Errorf("%d tasks ran, want 2", len(s.ran))
	}
}

func TestNewWantsAKey(t *testing.T) {
	t.Parallel()
	if _, err := gateway.New(gateway.Config{Swarm: &swarm{}}); !errors.Is(err, &bus.Error{Code: bus.CodeInvalid}) {
		t.Errorf("without a key: %v, want CodeInvalid", err)
	}
}

// Who calls a path of the swarm's own interface with the wrong method is told the right one.
func TestWrongMethod(t *testing.T) {
	t.Parallel()
	_, g := setup(t)
	for _, c := range []struct{ method, target, allow string }{
		{"DELETE", "/status", "GET, HEAD"},
		{"POST", "/health", "GET, HEAD"},
		{"OPTIONS", "/peers", "GET, HEAD"},
		{"PUT", "/identity", "GET, HEAD"},
		{"GET", "/task", "POST"},
		{"PUT", "/task/x", "GET, HEAD, DELETE"},
		{"DELETE", "/tasks", "GET, HEAD"},
		{"DELETE", "/task/x/why", "GET, HEAD"},
		{"POST", "/task/x/events", "GET, HEAD"},
		{"POST", "/", "GET, HEAD"},
		{"POST", "/ui/", "GET, HEAD"},
		{"DELETE", "/ui/login", "POST"},
	} {
		w := call(t, g, c.method, c.target, "")
		wants(t, c.method+" "+c.target, w, http.StatusMethodNotAllowed, bus.CodeInvalid)
		if w.Header().Get("Allow") != c.allow || !strings.Contains(w.Body.String(), ` `+c.target+`"`) {
			t.Errorf("%s %s: Allow %q, %s; want %q, and it as the hint", c.method, c.target, w.Header().Get("Allow"), w.Body, c.allow)
		}
	}
	for _, target := range []string{"/none", "/status/x", "/task/x/none"} {
		if w := call(t, g, "DELETE", target, ""); w.Code != http.StatusNotFound || w.Header().Get("Allow") != "" {
			t.Errorf("DELETE %s: %d, Allow %q, want 404", target, w.Code, w.Header().Get("Allow"))
		}
	}
	if w := from(t, g, "127.0.0.1:5", "DELETE", "/status", "", "Authorization", ""); w.Code != http.StatusUnauthorized {
		t.Errorf("without the key: %d", w.Code)
	}
}
