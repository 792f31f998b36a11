package gateway

import (
	"context"

	"github.com/mycoswarm/mycoswarm/bus"
)

// keyed is a key, and the time for which it is good.
type keyed struct {
	key string
	ctx context.Context // ends when another takes its place
	end context.CancelFunc
}

var errReplaced = bus.Errorf(bus.CodeForbidden, "the key of this request was replaced").
	WithHint("read %s in the data directory again", bus.HTTPKeyFile)

// SetKey says what a request has to present from now on. Requests under way with the key before
// are cancelled. An empty key changes nothing.
func (g *Gateway) SetKey(key string) {
	if key == "" {
		return
	}
	next := &keyed{key: key}
	next.ctx, next.end = context.WithCancel(context.Background())
	if old := g.key.Swap(next); old != nil {
		old.end()
	}
}
