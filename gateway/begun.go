package gateway

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/mycoswarm/mycoswarm/bus"
)

// answering counts the requests whose answers have begun, until their clients have them.
type answering struct {
	mu   sync.Mutex
	n    int
	none chan struct{} // closed when there are none any more; nil where nobody waits for that
}

func (a *answering) add(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.n += n; a.n == 0 && a.none != nil {
		close(a.none)
		a.none = nil
	}
}

// begun is one of them, once it has begun.
type begun struct {
	of   *answering
	once sync.Once // the beginning; where there was none, the end
	is   atomic.Bool
}

// begunKey finds in a request's context what counted put there.
type begunKey struct{}

// counted returns r as a request that counts from when its answer begins until over is called.
func (a *answering) counted(r *http.Request) (counted *http.Request, over func()) {
	b := &begun{of: a}
	return r.WithContext(context.WithValue(r.Context(), begunKey{}, b)), func() {
		if b.once.Do(func() {}); b.is.Load() {
			a.add(-1)
		}
	}
}

// begins tells that a request has something of its answer: a piece, or what became of a task.
func begins(ctx context.Context) {
	if b, ok := ctx.Value(begunKey{}).(*begun); ok {
		b.once.Do(func() {
			b.is.Store(true)
			b.of.add(1)
		})
	}
}

// Begun reports whether the answer to the request of ctx has begun. A node that stops ends that within its time, with the tasks that
// it still takes.
func Begun(ctx context.Context) bool {
	b, ok := ctx.Value(begunKey{}).(*begun)
	return ok && b.is.Load()
}

// Settle waits until no client waits any more for the rest of an answer that has begun, or ctx ends.
func (g *Gateway) Settle(ctx context.Context) {
	a := &g.begun
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
		begins(r.Context())
		return piece(c)
	})
	if err == nil {
		begins(r.Context())
	}
	return info, err
}
