package daemon

import (
	"context"

	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Attach implements gateway.Swarm. The output of another node's task comes through that node's daemon.
func (a nativeAPI) Attach(ctx context.Context, id bus.TaskID, attempt, from int, piece func(bus.Chunk) error) (bus.TaskInfo, error) {
	n, err := a.d.current()
	if err != nil {
		return bus.TaskInfo{}, err
	}
	out, err := n.AttachAt(id, attempt, from)
	switch {
	case err == nil:
		return read(ctx, out, piece)
	case !isNotFound(err):
		return bus.TaskInfo{}, err
	}
	info, err := n.Task(ctx, id)
	if err != nil {
		return bus.TaskInfo{}, err
	}
	r := a.d.newRelay(n, bus.AttachRequest{ID: id, Attempt: attempt, From: from}, func(_ *nats.Msg, c bus.Chunk) error { return piece(c) })
	end, _, err := r.run(ctx, info)
	if err != nil {
		return bus.TaskInfo{}, err
	}
	return *end.End, nil
}
