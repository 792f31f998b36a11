package toolbox

import (
	"net/http"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Serve answers one request of a client that speaks over HTTP, for whom the tools are those that cfg allows, and its
// swarm has. The caller has looked at who asks, and where from, and has bounded the body. Calls end with the request.
func Serve(cfg Config, nodes []bus.NodeInfo, w http.ResponseWriter, r *http.Request) {
	b := New(r.Context(), cfg)
	b.Offer(nodes)
	mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return b.server }, &mcp.StreamableHTTPOptions{
		Stateless: true, MaxRequestBodyBytes: -1, DisableLocalhostProtection: true, PropagateRequestCancellation: true,
	}).ServeHTTP(w, r)
}
