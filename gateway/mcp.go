package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// mcpRoutes serve programs that have a model call tools, by the Model Context Protocol. What the tools are is not known here.
var mcpRoutes = []route{{mcpRoute, forLocal, mcpDialect.handle((*Gateway).mcp)}}

const mcpRoute = "POST /mcp"

// mcpMost is how long a message may be, in bytes: what holds more is a document, and those are not sent.
const mcpMost = 4 << 20

// mcpDialect spells errors as JSON-RPC does.
var mcpDialect = &dialect{prefix: "/mcp", failure: func(_ string, status int, e *bus.Error, _ string) any {
	code := -32000 // of the server's own
	if status == http.StatusBadRequest {
		code = -32600 // no valid request
	}
	return map[string]any{"jsonrpc": "2.0", "id": nil, "error": map[string]any{"code": code, "message": sentence(e), "data": e}}
}}

// mcp hands one message to who has the tools.
func (g *Gateway) mcp(w http.ResponseWriter, r *http.Request) error {
	if err := mcpDialect.wantJSON(r); err != nil {
		return wrong{err: err}
	}
	in, _ := r.Body.(*body)
	tooLong := bus.Errorf(bus.CodeTooLarge, "the message has more than %d bytes (%d MiB)", mcpMost, mcpMost>>20)
	if r.ContentLength > mcpMost && r.Header.Get("Expect") != "" { // it waits for an answer before it sends that
		return wrong{err: tooLong}
	}
	data, err := io.ReadAll(io.LimitReader(in, mcpMost+1))
	switch {
	case err != nil:
		return wrong{err: bus.AsError(err)}
	case len(data) > mcpMost:
		in.discard() // as in drain
		return wrong{err: tooLong}
	case len(data) == 0:
		return wrong{err: bus.Errorf(bus.CodeInvalid, "missing request body")}
	case !json.Valid(data): // which also bounds how deep it goes
		return wrong{err: bus.Errorf(bus.CodeInvalid, "the message is not JSON")}
	case bytes.TrimSpace(data)[0] != '{': // many in one would count as one request of a key
		return wrong{err: bus.Errorf(bus.CodeInvalid, "want one message, a JSON object, in each request")}
	}
	if err := in.whole(); err != nil {
		return err
	}
	if g.cfg.MCP == nil {
		return wrong{err: bus.Errorf(bus.CodeNotFound, "this node offers no tools")}
	}
	m := readMCP(data)
	ctx, over := g.calls.enter(r, m)
	defer over()
	if m.Method == "initialize" {
		w.Header().Set(headerSession, newSession())
	}
	message := r.Clone(ctx)
	message.Body = io.NopCloser(bytes.NewReader(data))
	message.Header.Set("Accept", "application/json, "+eventStream) // what curl and others leave out
	out := &events{ResponseWriter: w, control: http.NewResponseController(w), asked: time.Now()}
	g.cfg.MCP(&Caller{g, r.WithContext(context.WithValue(ctx, waitKey{}, out.waiting))}, out, message)
	_ = out.control.SetWriteDeadline(time.Time{}) // as in stream.text
	return nil
}

// events is an answer in server-sent events, each of which is one Write. Its client takes each within writeLimit, or is let
// go, and hears in comments between them that it waits, as it does in other dialects.
type events struct {
	http.ResponseWriter
	control *http.ResponseController
	asked   time.Time

	mu sync.Mutex // of what is written
}

// Write implements io.Writer.
func (e *events) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	_ = e.control.SetWriteDeadline(time.Now().Add(writeLimit)) // as in stream.text
	return e.ResponseWriter.Write(p)
}

// FlushError is for http.ResponseController.
func (e *events) FlushError() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.control.Flush()
}

// waiting tells the client that its task waits at a position, or where that is 0 that it runs, if that takes long.
func (e *events) waiting(position int, wait time.Duration) error {
	if position == 0 && time.Since(e.asked) <= waitsEvery {
		return nil
	}
	if _, err := e.Write([]byte(": " + waitingText(position, wait) + "\n\n")); err != nil {
		return bus.Errorf(bus.CodeCancelled, "tell that the answer waits: %w", err)
	}
	return e.FlushError()
}

// Caller is who has sent a message over MCP, and what it may have the swarm do. Its methods are called concurrently.
type Caller struct {
	g *Gateway
	r *http.Request
}

// may reports whether the caller may do what a route of that access is for.
func (c *Caller) may(a access) bool {
	if h := holderOf(c.r); h != nil {
		return h.may(a)
	}
	return a != forKey // a program of this machine
}

// Manages reports whether it may have pages fetched, and see the nodes, as on the dashboard.
func (c *Caller) Manages() bool { return c.may(forManager) }

// Owns reports whether it may have tasks of any type done, as by POST /task.
func (c *Caller) Owns() bool { return c.may(forKey) }

// Nodes lists the nodes of the swarm by name.
func (c *Caller) Nodes() []bus.NodeInfo { return c.g.cfg.Swarm.Nodes() }

// Status tells of the nodes, and what they have.
func (c *Caller) Status(context.Context) (bus.Status, error) { return c.g.cfg.Swarm.Status(), nil }

// Task tells how far a task is.
func (c *Caller) Task(ctx context.Context, id bus.TaskID) (bus.TaskInfo, error) {
	return c.g.cfg.Swarm.Task(ctx, id)
}

// Do has a task done as the caller's own, on the node that the header of its request names, if it names one, and returns
// what became of it. It is cancelled where ctx, the request, or the caller's key ends.
func (c *Caller) Do(ctx context.Context, t bus.Task, piece func(bus.Chunk)) (info bus.TaskInfo, err error) {
	within, cancel := context.WithCancelCause(c.r.Context())
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })()
	r := c.r.WithContext(within)
	allowed := c.Owns()
	switch t.Type {
	case bus.TypeInference, bus.TypeSearch:
		allowed = true
	case bus.TypeFetch:
		allowed = c.Manages()
	}
	if !allowed {
		return info, bus.Errorf(bus.CodeForbidden, "this key may have no tasks of the type %s done", t.Type).WithHint("use the owner's key, the content of %s", bus.HTTPKeyFile)
	}
	if t.Node == "" {
		if t.Node, err = c.g.pin(r, ""); err != nil {
			return info, err
		}
	}
	each := func(ch bus.Chunk) error {
		piece(ch)
		return nil
	}
	if t.Model != "" {
		info, err = c.g.run(r, t.Model, t, each)
	} else {
		info, err = c.g.runTask(r, t, each)
	}
	if why := ended(r); why != nil {
		err = why
	}
	return info, err
}
