package toolbox

import (
	"bytes"
	"io"
	"net/http"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Serve answers one request of a client that speaks over HTTP, for whom the tools are those that cfg allows, and its
// swarm has. The caller has looked at who asks, and where from, and has bounded the body. Calls end with the request.
func Serve(cfg Config, nodes []bus.NodeInfo, w http.ResponseWriter, r *http.Request) {
	message, err := io.ReadAll(r.Body)
	if err == nil {
		err = CheckID(message)
	}
	out := &refusing{ResponseWriter: w, message: message}
	if err != nil {
		http.Error(out, err.Error(), http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(message))
	b := New(r.Context(), cfg)
	b.Offer(nodes)
	mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return b.server }, &mcp.StreamableHTTPOptions{
		Stateless: true, MaxRequestBodyBytes: -1, DisableLocalhostProtection: true, PropagateRequestCancellation: true,
	}).ServeHTTP(out, r)
}

// refusing is an answer to a message, in which a text that tells why that is refused becomes an error of JSON-RPC, as clients
// read it: one of the SDK for Go ends its session over a text.
type refusing struct {
	http.ResponseWriter
	message []byte
	status  int // of a text that is to come; else 0
}

// WriteHeader implements http.ResponseWriter.
func (r *refusing) WriteHeader(status int) {
	if status >= http.StatusBadRequest && strings.HasPrefix(r.Header().Get("Content-Type"), "text/plain") {
		r.status = status
		return
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (r *refusing) Write(p []byte) (int, error) {
	if r.status == 0 {
		return r.ResponseWriter.Write(p)
	}
	r.Header().Set("Content-Type", "application/json")
	r.ResponseWriter.WriteHeader(r.status)
	r.status = 0
	_, err := r.ResponseWriter.Write(Refusal(r.message, strings.TrimSpace(string(p))))
	return len(p), err
}

// Unwrap is for http.ResponseController.
func (r *refusing) Unwrap() http.ResponseWriter { return r.ResponseWriter }
