package gateway

import (
	"net/http"

	"github.com/mycoswarm/mycoswarm/bus"
)

// mcpKeyRoutes are where programs look that come to /mcp without a key. They take it that who wants one wants OAuth: they ask for
// descriptions of that (RFC 9728, RFC 8414), and where there are none they register themselves, as the Model Context Protocol of
// 2025-03-26 has it. What they are told there is what their user reads. Were they told in other words than OAuth's that the key is
// missing, that would be an error about these words.
var mcpKeyRoutes = []route{
	{"GET /.well-known/{path...}", forAll, (*Gateway).noMetadata},
	{"POST /register", forAll, (*Gateway).noRegistration},
}

// noMetadata is for any description of this host: there is none.
func (g *Gateway) noMetadata(w http.ResponseWriter, r *http.Request) {
	g.turnAway(w, r, http.StatusNotFound, bus.Errorf(bus.CodeNotFound, "there is no %s: this node has no OAuth", r.URL.Path).
		WithHint("%s", noKey(forLocal, false).Hint))
}

// noRegistration tells in OAuth's words (RFC 6749) what a program needs instead. Programs do not try again after this error.
func (g *Gateway) noRegistration(w http.ResponseWriter, r *http.Request) {
	readOn(r, r.Body, 0) // as in turnAway
	g.write(w, http.StatusForbidden, map[string]string{
		"error":             "access_denied",
		"error_description": "this node has no OAuth, and " + sentence(noKey(forLocal, false)),
	})
}
