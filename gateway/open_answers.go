package gateway

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/mycoswarm/mycoswarm/bus"
)

// openAnswers counts the answers that have begun, until their clients have them.
type openAnswers struct {
	mu   sync.Mutex
	n    int
	none chan struct{} // closed when there are none any more; nil where nobody waits for that
}

func (a *openAnswers) add(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.n += n; a.n == 0 && a.none != nil {
		close(a.none)
		a.none = nil
	}
}

// openAnswer is the answer to one request; it counts once it has begun.
type openAnswer struct {
	of   *openAnswers
	once sync.Once // the beginning; where there was none, the end
	is   atomic.Bool
}

// openAnswerKey finds in a request's context the openAnswer that track put there.
type openAnswerKey struct{}

// track returns r as a request whose answer counts from when markBegun is called until over is.
func (a *openAnswers) track(r *http.Request) (tracked *http.Request, over func()) {
	b := &openAnswer{of: a}
	return r.WithContext(context.WithValue(r.Context(), openAnswerKey{}, b)), func() {
		if b.once.Do(func() {}); b.is.Load() {
			a.add(-1)
		}
	}
}

// markBegun tells that a request has something of its answer: a piece, or what became of a task.
func markBegun(ctx context.Context) {
	if b, ok := ctx.Value(openAnswerKey{}).(*openAnswer); ok {
		b.once.Do(func() {
			b.is.Store(true)
			b.of.add(1)
		})
	}
}

// Begun reports whether the answer to the request of ctx has begun. A node that stops ends that within its time, with the tasks that
// it still takes.
func Begun(ctx context.Context) bool {
	b, ok := ctx.Value(openAnswerKey{}).(*openAnswer)
	return ok && b.is.Load()
}

// Settle waits until no client waits any more for the rest of an answer that has begun, or ctx ends.
func (g *Gateway) Settle(ctx context.Context) {
	a := &g.open
	for {
		a.mu.Lock()
		if a.n == 0 {
			a.mu.Unlock()
			return
		}
		if a.none == nil {
			a.none = make(chan struct{})
		}
		none := a.none
		a.mu.Unlock()
		select {
		case <-none:
		case <-ctx.Done():
			return
		}
	}
}

// stream is Swarm.Stream for a request, whose answer begins with the first piece.
func (g *Gateway) stream(r *http.Request, t bus.Task, piece func(bus.Chunk) error) (bus.TaskInfo, error) {
	info, err := g.cfg.Swarm.Stream(r.Context(), t, func(c bus.Chunk) error {
		markBegun(r.Context())
		return piece(c)
	})
	if err == nil {
		markBegun(r.Context())
	}
	return info, err
}
