package gateway

import (
	"net/http"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// metricsRoutes are for programs that watch nodes, as Prometheus does. Any key opens them: they tell no more of the
// swarm than its models, and who watches should not hold a key that may do more.
var metricsRoutes = []route{
	{"GET /metrics", forLocal, bodiless((*Gateway).metrics)},
}

// statusRecorder is a response that remembers its status.
type statusRecorder struct {
	http.ResponseWriter

	status int // 0 before it is written
}

// WriteHeader implements http.ResponseWriter.
func (a *statusRecorder) WriteHeader(status int) {
	if a.status == 0 && status >= http.StatusOK { // those below announce another
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (a *statusRecorder) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// unwrapped is the server's own response: http.MaxBytesReader tells no other that its connection is to be closed.
func unwrapped(w http.ResponseWriter) http.ResponseWriter {
	switch w := w.(type) {
	case *statusRecorder:
		return w.ResponseWriter
	case *scribe:
		return unwrapped(w.conn)
	}
	return w
}

// metrics tells figures of this node.
func (g *Gateway) metrics(w http.ResponseWriter, r *http.Request) {
	if g.cfg.Metrics == nil {
		g.fail(w, http.StatusNotFound, bus.Errorf(bus.CodeNotFound, "this node tells no figures"))
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	control := http.NewResponseController(w)
	// What does not support it has no limit: a recorder in a test.
	_ = control.SetWriteDeadline(time.Now().Add(writeLimit))
	g.cfg.Metrics.ServeHTTP(w, r)
	_ = control.SetWriteDeadline(time.Time{}) // as above
}
