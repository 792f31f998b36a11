package gateway

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/gateway/batch"
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
	// Nodes lists the nodes of the swarm by name, as Status does.
	Nodes() []bus.NodeInfo
	Identity() Identity
	// Run runs an attached task to its end. It is cancelled when ctx ends.
	Run(ctx context.Context, t bus.Task) (bus.TaskInfo, error)
	// Stream is Run that hands each chunk of the output to piece, in order, but for the last, which
	// has the end. The task is cancelled where piece fails, with piece's error. Where piece is slow,
	// chunks may be missing: their Seq tells.
	Stream(ctx context.Context, t bus.Task, piece func(bus.Chunk) error) (bus.TaskInfo, error)
	// Start runs an attached task without a reader of its own, and calls ended once it has ended; where
	// ctx ends before, the task is cancelled.
	Start(ctx context.Context, t bus.Task, ended func()) error
	// Attach hands each chunk of a task's output to piece, from chunk from of an attempt on, or all
	// there is where attempt is 0, and returns the task's end. Where a later attempt has begun anew, it is
	// handed over from its beginning. Leaving it leaves the task alone.
	Attach(ctx context.Context, id bus.TaskID, attempt, from int, piece func(bus.Chunk) error) (bus.TaskInfo, error)
	// Enqueue hands over a durable task.
	Enqueue(ctx context.Context, t bus.Task) (bus.Receipt, error)
	// Task tells what became of a task.
	Task(ctx context.Context, id bus.TaskID) (bus.TaskInfo, error)
	// Cancel ends a task, wherever it runs. One that has ended stays as it is, which its TaskInfo tells.
	Cancel(ctx context.Context, id bus.TaskID) (bus.TaskInfo, error)
	// Whole puts a result into t that Run or Task has left out for its size: t.ResultBlob stands for
	// it. last tells that nobody asks for it again.
	Whole(ctx context.Context, t *bus.TaskInfo, last bool) error
	// Tasks lists the tasks that the swarm knows, newest first, without their results.
	Tasks(ctx context.Context) ([]bus.TaskInfo, error)
	// Why tells what the nodes had to offer for a task, and which got it.
	Why(ctx context.Context, id bus.TaskID) (bus.Why, error)
	// Beats are the last heartbeats of the nodes that this one hears, itself among them.
	Beats() []bus.Heartbeat
	// Probe measures the way to each node, and takes as long as the slowest.
	Probe(ctx context.Context) []bus.ProbeReply
}

// Config sets up a Gateway.
type Config struct {
	Swarm Swarm
	// Key is what the owner's requests present. Never empty.
	Key string
	// Keys are those that others present. SetKeys changes them.
	Keys []Key
	// KeyAlways wants the key of programs of this machine too, whatever they call but GET /health, the login
	// page and what that loads, and what tells that there is no OAuth.
	KeyAlways bool
	// Hosts returns the names and addresses, without a port, by which this machine may be
	// called beside those of loopback. A page on the web that resolves its own name to this
	// machine is not among them. Default: none.
	Hosts func() []string
	// Origins are the web sites and apps whose pages may call the interfaces of others, and read what is answered, as
	// config.Config has them. Default: none.
	Origins []string
	// ReattachGrace is how long a task whose client asked for that waits for it to come back, from when it
	// has dropped. Default 30 s.
	ReattachGrace time.Duration
	// BodyRoom bounds, in bytes, the bodies of all requests that are worked on, and the large results that answer them, in
	// steps of 1 MiB after the first of each. One alone may have more. Beyond it requests are refused with CodeBusy. Default
	// 512 MiB; see the function of this name.
	BodyRoom int64
	// BatchDir is the folder for files and batches; empty, or of no use: none are kept. Room tells why the disk takes no more of them; required
	// with it.
	BatchDir string
	Room     func() error
	// MCP answers a message of a program that has a model call tools, whose tasks its Caller does; nil: there are no tools.
	MCP func(*Caller, http.ResponseWriter, *http.Request)
	// Metrics answers GET /metrics; nil: there are none.
	Metrics http.Handler
	// Answered is told of each request that was answered: its route, one of Routes or what stands for all others,
	// empty where it was refused before, and the status. It must not block. Default: nothing is done.
	Answered func(route string, status int)
	// Logger gets failures of the swarm; default: discards.
	Logger *slog.Logger
}

// Gateway is the handler of all requests.
type Gateway struct {
	cfg Config
	mux http.Handler
	// owner and keys are who may come in with a key.
	owner    atomic.Pointer[holder]
	keys     atomic.Pointer[map[[sha256.Size]byte]*holder]
	setting  sync.Mutex // held while keys change
	room     *room
	held     heldTasks
	answers  answers
	calls    mcpCalls
	open     openAnswers
	stored   storedResponses
	readings readings
	batches  *batch.Store // nil: none are kept
	feed     *feed
	life     context.Context //nolint:containedctx // its own: ends with Close
	end      context.CancelCauseFunc
}

// Close cancels the tasks and the answers that wait for their clients to come back, and the requests that Server serves: each is
// told that this node stops.
func (g *Gateway) Close() { g.end(errStops) }

// route is a pattern of http.ServeMux, who may call it, and what it does.
type route struct {
	pattern string
	access  access
	do      handler
}

// handler answers a request.
type handler func(*Gateway, http.ResponseWriter, *http.Request)

// call either answers a request, or returns an error before it has.
type call func(*Gateway, http.ResponseWriter, *http.Request) error

// access is who may call a route.
type access int

const (
	forAll     access = iota // everybody: it tells only that the daemon runs
	forKey                   // who has the owner's key
	forLocal                 // who has a key, and programs of this machine
	forManager               // who has a key that says so, and programs of this machine
	forViewer                // as forManager, and browsers that have shown such a key
)

// routes are what a Gateway serves, by the file that does.
var routes = slices.Concat(nativeRoutes, ollamaRoutes, openAIRoutes, embedRoutes, webRoutes, anthropicRoutes,
	answerRoutes, storedRoutes, fileRoutes, batchRoutes, pullRoutes, mcpRoutes, mcpKeyRoutes, dashboardRoutes, chatRoutes, metricsRoutes)

// Routes lists the patterns that a Gateway serves, as http.ServeMux spells them. Whatever is not
// among them is not found: with the key, or below the prefix of a dialect as its routes are called.
func Routes() []string {
	out := make([]string, len(routes))
	for i, r := range routes {
		out[i] = r.pattern
	}
	return out
}

// Keyless lists those of Routes that need no key of programs on this machine, besides GET /health.
func Keyless() []string {
	var out []string
	for _, r := range routes {
		if r.access == forLocal || r.access == forManager || r.access == forViewer {
			out = append(out, r.pattern)
		}
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
	if cfg.Answered == nil {
		cfg.Answered = func(string, int) {}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	g := &Gateway{cfg: cfg, room: newRoom(cmp.Or(cfg.BodyRoom, bodyRoom*step)), feed: newFeed(time.Now)}
	g.readings.most = int(min(readMost, g.room.steps*step/2))
	g.held.grace = cmp.Or(cfg.ReattachGrace, 30*time.Second)
	g.life, g.end = context.WithCancelCause(context.Background())
	g.SetKey(cfg.Key)
	g.SetKeys(cfg.Keys)
	g.openBatches(cfg.BatchDir, cfg.Room)
	mux := http.NewServeMux()
	for _, r := range routes {
		h := g.allowed(r.access, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { r.do(g, w, req) }))
		if r.pattern == rootRoute {
			h = leadBrowsers(h)
		}
		mux.Handle(r.pattern, h)
	}
	for _, d := range dialects {
		mux.Handle(d.prefix, g.allowed(forLocal, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			dialectOf(r).handle(noSuchCall(mux))(g, w, r)
		})))
	}
	for path, d := range unprefixed {
		mux.Handle(path, g.allowed(forLocal, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { d.handle(noSuchCall(mux))(g, w, r) })))
	}
	mux.Handle("/", g.allowed(forKey, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { native(noRoute(mux))(g, w, r) })))
	g.mux = g.knownHost(g.ofSites(mux))
	return g, nil
}

// ServeHTTP implements http.Handler.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	limitRest(w, r)
	w.Header().Set(bus.HeaderGateway, "true")
	r, over := g.open.track(r)
	defer over()
	a := &statusRecorder{ResponseWriter: w}
	g.mux.ServeHTTP(a, r)
	g.cfg.Answered(r.Pattern, cmp.Or(a.status, http.StatusOK))
}

// Server returns an HTTP server for g with limits on slow and large requests. A reply has no
// limit in time: a task takes as long as it takes.
func (g *Gateway) Server() *http.Server {
	header := 10 * time.Second
	if protect.SlowClients.Off() {
		header = 0
	}
	return &http.Server{
		Handler: g, BaseContext: func(net.Listener) context.Context { return g.life }, ReadHeaderTimeout: header, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
}

// knownHost refuses requests to names that are not this machine's: a web site may have its own
// name point here.
func (g *Gateway) knownHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !g.known(r.Host) && !protect.Hosts.Off() {
			dialectOf(r).refuse(g, w, http.StatusForbidden, bus.Errorf(bus.CodeForbidden, "this machine is not called %q", r.Host).
				WithHint("use 127.0.0.1, or the machine's own name; or allow this one where it runs: mycod --http-host NAME"))
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

// ofThisMachine reports whether a request comes over loopback. A proxy on this machine makes those of
// others look so: most tell whom they speak for.
func ofThisMachine(r *http.Request) bool {
	for _, name := range []string{"X-Forwarded-For", "Forwarded", "X-Real-Ip"} {
		if len(r.Header.Values(name)) > 0 {
			return false
		}
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && from.Addr().Unmap().IsLoopback()
}

// retryAfter is how many seconds a client should wait where a limit is reached.
const retryAfter = "1"

// fail answers with an error in the swarm's own interface.
func (g *Gateway) fail(w http.ResponseWriter, status int, e *bus.Error) {
	nativeDialect.refuse(g, w, status, e)
}

func (g *Gateway) write(w http.ResponseWriter, status int, body any) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	data, err := json.Marshal(body)
	if err != nil {
		g.cfg.Logger.Warn("encode a reply", "err", err)
		status, data = http.StatusInternalServerError, []byte("{}")
	}
	w.WriteHeader(status)
	if err := writeAll(w, append(data, '\n')); err != nil {
		g.cfg.Logger.Debug("write a reply", "err", err) // the client left
	}
}

// writeAll writes data step by step. A client that takes none of it for writeLimit is let go: what it
// was to get has room that others wait for.
func writeAll(w http.ResponseWriter, data []byte) error {
	if kept, ok := w.(*scribe); ok { // which has room for all of it, or tells none
		_, err := kept.Write(data)
		return err
	}
	control := http.NewResponseController(w)
	for len(data) > 0 {
		n := min(len(data), step)
		// What does not support it has no limit: a recorder in a test.
		_ = control.SetWriteDeadline(time.Now().Add(writeLimit))
		if _, err := w.Write(data[:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	// The server may wait for the rest of a request before it sends a short answer.
	_ = control.SetWriteDeadline(time.Time{}) // as above
	return nil
}
