package gateway

import (
	"net/http"
	"slices"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/protect"
)

// preflightFor is how many seconds a browser remembers what a page may send.
const preflightFor = "600"

// ofSites refuses what pages of web sites send, but those of this node. Those of Config.Origins may call the interfaces of others:
// they are told so before (CORS), and may read the answers.
func (g *Gateway) ofSites(mux http.Handler) http.Handler {
	if protect.Sites.Off() {
		return mux
	}
	others := http.NewCrossOriginProtection()
	others.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e := bus.Errorf(bus.CodeForbidden, "requests of other web sites are refused")
		if from := r.Header.Get("Origin"); ofOthers(r) && http.NewCrossOriginProtection().AddTrustedOrigin(from) == nil { // else it is none
			e = e.WithHint("if %s is a program of yours, allow it where this node runs: mycod --http-origin %s", from, from)
		}
		dialectOf(r).refuse(g, w, http.StatusForbidden, e)
	}))
	refused := others.Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(g.cfg.Origins) == 0 || !ofOthers(r) {
			refused.ServeHTTP(w, r)
			return
		}
		from, h := r.Header.Get("Origin"), w.Header()
		h.Add("Vary", "Origin")
		if !g.trusts(from) {
			refused.ServeHTTP(w, r)
			return
		}
		h.Set("Access-Control-Allow-Origin", from)
		h.Set("Access-Control-Expose-Headers", "*")
		if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
			mux.ServeHTTP(w, r)
			return
		}
		h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, DELETE")
		h.Set("Access-Control-Allow-Headers", r.Header.Get("Access-Control-Request-Headers")) // no cookie is among them
		h.Set("Access-Control-Max-Age", preflightFor)
		if r.Header.Get("Access-Control-Request-Private-Network") != "" {
			h.Set("Access-Control-Allow-Private-Network", "true")
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

// ofOthers reports whether a request is in an interface that others made.
func ofOthers(r *http.Request) bool { return dialectOf(r) != nativeDialect || r.URL.Path == "/" }

// trusts reports whether an origin is one of Config.Origins, by itself or by its scheme.
func (g *Gateway) trusts(from string) bool {
	scheme, _, ok := strings.Cut(from, "://")
	return ok && (slices.Contains(g.cfg.Origins, from) || slices.Contains(g.cfg.Origins, scheme+"://*"))
}
