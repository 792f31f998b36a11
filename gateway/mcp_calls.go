package gateway

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"sync"

	"github.com/mycoswarm/mycoswarm/bus"
)

const (
	// headerSession names the session of a program, which it is given with the answer to initialize. It is for one thing:
	// a program may cancel a call by a message of its own, and go on reading the answer, as the versions of the protocol before
	// 2026-07-28 have it and the SDK for TypeScript does. From that version on there are no sessions, and who cancels hangs up.
	headerSession = "Mcp-Session-Id"
	// cancelMost is how long a message may be that cancels a call for a key that has reached its limits, in bytes.
	cancelMost = 16 << 10
	// callIDMost is how long the id of a call may be that can be cancelled so, and the name of its session, in bytes.
	callIDMost = 256
)

// errGivenUp is why a call ends that its program has cancelled.
var errGivenUp = bus.Errorf(bus.CodeCancelled, "the program has cancelled this call")

// mcpMessage is what of a message tells which call it is, or cancels.
type mcpMessage struct {
	Method string          `json:"method"`
	ID     json.RawMessage `json:"id"`
	Params struct {
		RequestID json.RawMessage `json:"requestId"`
	} `json:"params"`
}

func readMCP(data []byte) (m mcpMessage) {
	_ = json.Unmarshal(data, &m) // what is of another type is none of these: who has the tools tells so
	return m
}

// cancels reports whether the message cancels a call.
func (m mcpMessage) cancels() bool { return m.Method == "notifications/cancelled" && m.ID == nil }

// mcpCall names a call: by who has made it, in which session, and how it is called there.
type mcpCall struct {
	who     *holder // nil: a program of this machine, without a key
	session string
	id      any // a string, or a float64
}

// callOf names the call of a request of who that has an id; ok is false where it cannot be cancelled by another message.
func callOf(who *holder, r *http.Request, id json.RawMessage) (c mcpCall, ok bool) {
	c = mcpCall{who: who, session: r.Header.Get(headerSession)}
	if c.session == "" || len(c.session) > callIDMost || len(id) > callIDMost || json.Unmarshal(id, &c.id) != nil {
		return c, false
	}
	switch c.id.(type) {
	case string, float64:
		return c, true
	}
	return c, false
}

// mcpCalls are the calls under way that may be cancelled by another message. There is nothing of a session but these: each is
// within the limits of requests, and goes with its own.
type mcpCalls struct {
	mu  sync.Mutex
	all map[mcpCall]context.CancelCauseFunc
}

// enter takes in the call that a request makes with message m, until over is called, or ends the one that it cancels. The
// context is that of the request, and ends where the call is cancelled.
func (c *mcpCalls) enter(r *http.Request, m mcpMessage) (ctx context.Context, over func()) {
	ctx, cancel := context.WithCancelCause(r.Context())
	end := func() { cancel(nil) }
	id := m.ID
	if m.cancels() {
		id = m.Params.RequestID
	}
	call, ok := callOf(holderOf(r), r, id)
	if !ok {
		return ctx, end
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	other := c.all[call]
	switch {
	case m.cancels() && other != nil:
		other(errGivenUp)
		return ctx, end
	case m.cancels(), other != nil: // of two of one name the first has it
		return ctx, end
	case c.all == nil:
		c.all = map[mcpCall]context.CancelCauseFunc{}
	}
	c.all[call] = cancel
	return ctx, func() {
		c.mu.Lock()
		delete(c.all, call)
		c.mu.Unlock()
		end()
	}
}

// newSession names a session. Nobody guesses it.
func newSession() string { return rand.Text() }

// has reports whether a call is under way.
func (c *mcpCalls) has(call mcpCall) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all[call] != nil
}

// cancelsCall reports whether a request with h's key cancels a call of /mcp that is under way, which is no request to the limits of
// the key: the call may be the one that has reached them. What cancels nothing is a request. It can be read as before.
func (g *Gateway) cancelsCall(h *holder, r *http.Request) bool {
	if r.Pattern != mcpRoute || r.Header.Get(headerSession) == "" || r.ContentLength < 1 || r.ContentLength > cancelMost {
		return false
	}
	in := r.Body
	data, err := io.ReadAll(io.LimitReader(in, cancelMost))
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(data), in), in}
	m := readMCP(data)
	if err != nil || !m.cancels() {
		return false
	}
	call, ok := callOf(h, r, m.Params.RequestID)
	return ok && g.calls.has(call)
}
