package gateway

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/protect"
)

// Identity is who a node is.
type Identity struct {
	NodeID bus.NodeID `json:"node_id"`
	Name   string     `json:"name"`
	// Fingerprint is the hex SHA-256 of the node's public key.
	Fingerprint string        `json:"fingerprint"`
	Swarm       bus.SwarmInfo `json:"swarm"`
	// Founder tells that the node holds the swarm's key.
	Founder bool   `json:"founder"`
	Version string `json:"version"`
}

// Swarm is what requests act on. Its methods are called concurrently.
type Swarm interface {
	Status() bus.Status
	Identity() Identity
	// Run runs an attached task to its end. It is cancelled when ctx ends.
	Run(ctx context.Context, t bus.Task) (bus.TaskInfo, error)
	// Enqueue hands over a durable task.
	Enqueue(ctx context.Context, t bus.Task) (bus.Receipt, error)
	// Task tells what became of a task.
	Task(ctx context.Context, id bus.TaskID) (bus.TaskInfo, error)
	// Whole puts a result into t that Run or Task has left out for its size: t.ResultBlob stands for
	// it. last tells that nobody asks for it again.
	Whole(ctx context.Context, t *bus.TaskInfo, last bool) error
}

// Config sets up a Gateway.
type Config struct {
	Swarm Swarm
	// Key is what a request has to present. Never empty.
	Key string
	// Hosts returns the names and addresses, without a port, by which this machine may be
	// called beside those of loopback. A page on the web that resolves its own name to this
	// machine is not among them. Default: none.
	Hosts func() []string
	// Logger gets failures of the swarm; default: discards.
	Logger *slog.Logger
}

// Gateway is the handler of all requests.
type Gateway struct {
	cfg Config
	mux http.Handler
	key atomic.Pointer[keyed]
	// room is for the bodies of large requests, and for large results.
	room *semaphore.Weighted
}

// routes are what a Gateway serves. One without a function is open: it tells only that the daemon runs.
var routes = []struct {
	pattern string
	do      func(*Gateway, *http.Request) (int, any, error)
}{
	{"GET /health", nil},
	{"GET /status", (*Gateway).status},
	{"GET /identity", (*Gateway).identity},
	{"GET /peers", (*Gateway).peers},
	{"POST /task", (*Gateway).submit},
	{"GET /task/{id}", (*Gateway).task},
}

// Routes lists the patterns that a Gateway serves, as http.ServeMux spells them. Whatever is not
// among them is not found, with the key.
func Routes() []string {
	out := make([]string, len(routes))
	for i, r := range routes {
		out[i] = r.pattern
	}
	return out
}

// New makes a Gateway. A Config without key or Swarm is an Error with CodeInvalid.
func New(cfg Config) (*Gateway, error) {
	if cfg.Key == "" || cfg.Swarm == nil {
		return nil, bus.Errorf(bus.CodeInvalid, "gateway: no key or no swarm")
	}
	if cfg.Hosts == nil {
		cfg.Hosts = func() []string { return nil }
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	g := &Gateway{cfg: cfg, room: semaphore.NewWeighted(bodyRoom)}
	g.SetKey(cfg.Key)
	mux := http.NewServeMux()
	for _, r := range routes {
		if r.do == nil {
			mux.HandleFunc(r.pattern, g.health)
			continue
		}
		mux.Handle(r.pattern, g.authorized(g.json(func(req *http.Request) (int, any, error) { return r.do(g, req) })))
	}
	mux.Handle("/", g.authorized(g.json(func(r *http.Request) (int, any, error) {
		return 0, nil, bus.Errorf(bus.CodeNotFound, "there is no %s %s", r.Method, r.URL.Path).WithHint("GET /status")
	})))
	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		g.fail(w, http.StatusForbidden, bus.Errorf(bus.CodeForbidden, "requests of other web sites are refused"))
	}))
	checked := origin.Handler(mux)
	if protect.Sites.Off() {
		checked = mux
	}
	g.mux = g.knownHost(checked)
	return g, nil
}

// ServeHTTP implements http.Handler.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) { g.mux.ServeHTTP(w, r) }

// Server returns an HTTP server for h with limits on slow and large requests. A reply has no
// limit in time: a task takes as long as it takes.
func Server(h http.Handler) *http.Server {
	header := 10 * time.Second
	if protect.SlowClients.Off() {
		header = 0
	}
	return &http.Server{
		Handler: h, ReadHeaderTimeout: header, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
}

// knownHost refuses requests to names that are not this machine's: a web site may have its own
// name point here.
func (g *Gateway) knownHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !g.known(r.Host) && !protect.Hosts.Off() {
			g.fail(w, http.StatusForbidden, bus.Errorf(bus.CodeForbidden, "this machine is not called %q", r.Host).
				WithHint("use 127.0.0.1, or the machine's own name"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (g *Gateway) known(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsLoopback() || host == "localhost" {
		return true
	}
	return slices.ContainsFunc(g.cfg.Hosts(), func(name string) bool {
		name = strings.ToLower(strings.TrimSuffix(name, "."))
		return host == name || host == name+".local"
	})
}

// authorized refuses requests without the key.
func (g *Gateway) authorized(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := g.key.Load()
		key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !protect.HTTPKey.Off() && (!ok || subtle.ConstantTimeCompare([]byte(strings.TrimSpace(key)), []byte(now.key)) != 1) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="mycoswarm"`)
			g.fail(w, http.StatusUnauthorized, bus.Errorf(bus.CodeForbidden, "the key is missing or wrong").
				WithHint("send the header Authorization: Bearer KEY, with the content of %s in the data directory", bus.HTTPKeyFile))
			return
		}
		ctx, cancel := context.WithCancelCause(r.Context())
		defer cancel(nil)
		defer context.AfterFunc(now.ctx, func() { cancel(errReplaced) })()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// json makes a handler of a function that returns a status and a body.
func (g *Gateway) json(do func(*http.Request) (int, any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, body := 0, any(nil)
		done, err := g.limitBody(w, r)
		if err == nil {
			defer done()
			status, body, err = do(r)
			if _, rest := io.Copy(io.Discard, r.Body); rest != nil { // what nobody has read is held to the limits too
				err = rest
			}
		}
		if err != nil {
			if cause := context.Cause(r.Context()); errors.Is(cause, errReplaced) {
				err = cause
			}
			e := bus.AsError(err)
			if e.Code == bus.CodeInternal {
				g.cfg.Logger.Warn("answer HTTP", "path", r.URL.Path, "err", err)
			}
			g.fail(w, e.Code.HTTPStatus(), e)
			return
		}
		g.write(w, status, body)
	})
}

// retryAfter is how many seconds a client should wait where a limit is reached.
const retryAfter = "1"

func (g *Gateway) fail(w http.ResponseWriter, status int, e *bus.Error) {
	if e.Code == bus.CodeBusy {
		w.Header().Set("Retry-After", retryAfter)
	}
	g.write(w, status, struct {
		Error *bus.Error `json:"error"`
	}{e})
}

func (g *Gateway) write(w http.ResponseWriter, status int, body any) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		g.cfg.Logger.Debug("write a reply", "err", err) // the client left
	}
}

func (g *Gateway) health(w http.ResponseWriter, _ *http.Request) {
	g.write(w, http.StatusOK, map[string]string{"status": "ok"})
}

func (g *Gateway) status(*http.Request) (int, any, error) {
	return http.StatusOK, g.cfg.Swarm.Status(), nil
}

func (g *Gateway) identity(*http.Request) (int, any, error) {
	return http.StatusOK, g.cfg.Swarm.Identity(), nil
}

func (g *Gateway) peers(*http.Request) (int, any, error) {
	return http.StatusOK, g.cfg.Swarm.Status().Nodes, nil
}

func (g *Gateway) task(r *http.Request) (int, any, error) {
	id := bus.TaskID(r.PathValue("id"))
	if err := id.Validate(); err != nil {
		return 0, nil, err
	}
	info, err := g.cfg.Swarm.Task(r.Context(), id)
	if err == nil {
		err = g.whole(r, &info, false)
	}
	return http.StatusOK, info, err
}

func (g *Gateway) submit(r *http.Request) (int, any, error) {
	t, err := readTask(r)
	if err != nil {
		return 0, nil, err
	}
	switch durable := r.URL.Query().Get("durable"); durable {
	case "1", "true":
		receipt, err := g.cfg.Swarm.Enqueue(r.Context(), t)
		return http.StatusAccepted, receipt, err
	case "", "0", "false":
		info, err := g.cfg.Swarm.Run(r.Context(), t)
		if err == nil {
			err = g.whole(r, &info, true)
		}
		return http.StatusOK, info, err
	default:
		return 0, nil, bus.Errorf(bus.CodeInvalid, "durable=%q: want 0 or 1", durable)
	}
}

// whole puts a large result into t, once there is room for it.
func (g *Gateway) whole(r *http.Request, t *bus.TaskInfo, last bool) error {
	if t.ResultBlob == nil {
		return nil
	}
	if in, ok := r.Body.(*body); ok {
		if err := in.answered(t.ResultBlob.Size); err != nil {
			return bus.AsError(err).WithHint("the result is kept, ask again: GET /task/%s", t.ID)
		}
	}
	return g.cfg.Swarm.Whole(r.Context(), t, last)
}

// readTask reads a task from a request's body.
func readTask(r *http.Request) (t bus.Task, err error) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); (err != nil || media != "application/json") && !protect.ContentType.Off() {
		return t, bus.Errorf(bus.CodeInvalid, "the content type is %q, want application/json", r.Header.Get("Content-Type"))
	}
	in, _ := r.Body.(*body)
	dec := json.NewDecoder(in)
	err = dec.Decode(&t)
	if names := t.Unknown(); err == nil && len(names) > 0 { // who writes one by hand has misspelled it
		err = fmt.Errorf("unknown field %q", names[0])
	}
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("there is something after the task")
		}
	}
	var refused *bus.Error
	switch {
	case errors.As(err, &refused):
		return t, refused
	case err != nil:
		return t, bus.Errorf(bus.CodeInvalid, "read the task: %w", err)
	}
	if err := in.whole(); err != nil {
		return t, err
	}
	return t, t.Validate()
}
