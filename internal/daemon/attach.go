package daemon

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
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
	warning := ""
	if at := info.Submitter; tells(info, attempt) && at != a.d.id.NodeID() {
		pieces := 0
		counted := func(c bus.Chunk) error {
			pieces++
			return piece(c)
		}
		end, told, err := a.attachFar(ctx, n, info, bus.AttachRequest{ID: id, Attempt: attempt, From: from, Far: true}, counted)
		if told || err != nil {
			return end, err
		}
		warning = a.d.brokenOff(pieces, at)
	}
	if info, err = a.await(ctx, n, id); err == nil {
		info.Warning = warning
	}
	return info, err
}

// attachFar reads output that another daemon sends, to its end; told is false where that node is lost
// before, or does not send.
func (a nativeAPI) attachFar(ctx context.Context, n *sched.Node, t bus.TaskInfo, req bus.AttachRequest, piece func(bus.Chunk) error) (end bus.TaskInfo, told bool, err error) {
	nc, from := a.d.rpc, sourceAt(n, t)
	req.Inbox = nc.NewInbox()
	data, err := bus.Marshal(req)
	if err != nil {
		return end, false, err
	}
	sub, err := nc.SubscribeSync(req.Inbox)
	if err != nil {
		return end, false, bus.AsError(err)
	}
	defer func() { _ = sub.Unsubscribe() }() // it fails only with the connection
	if err := sub.SetPendingLimits(-1, relayBytes); err != nil {
		return end, false, bus.AsError(err)
	}
	m, err := ask(ctx, nc, from.there, bus.SubjectPayloadRPC(from.at, bus.VerbAttach), data)
	if err != nil || m.Header.Get(bus.HeaderError) != "" {
		return end, false, ctx.Err()
	}
	for {
		m, err := next(ctx, sub)
		switch {
		case ctx.Err() != nil:
			return end, false, context.Cause(ctx)
		case errors.Is(err, context.DeadlineExceeded) && from.there():
			continue
		case err != nil, m.Header.Get(bus.HeaderError) != "":
			return end, false, nil
		}
		from.heard = time.Now()
		var chunk bus.Chunk
		if err := bus.Unmarshal(m.Data, &chunk); err != nil {
			return end, false, bus.Errorf(bus.CodeInternal, "read the output of task %s: %w", req.ID, err)
		}
		if chunk.End != nil {
			return *chunk.End, true, nil
		}
		if err := piece(chunk); err != nil {
			return end, false, err
		}
	}
}

// next waits for one message, for relayLook at most.
func next(ctx context.Context, sub *nats.Subscription) (*nats.Msg, error) {
	look, done := context.WithTimeout(ctx, relayLook)
	defer done()
	return sub.NextMsgWithContext(look)
}

// await waits for the end of a task whose output nobody has at present.
func (a nativeAPI) await(ctx context.Context, n *sched.Node, id bus.TaskID) (bus.TaskInfo, error) {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		info, err := n.Task(ctx, id)
		if err != nil || info.State.Terminal() {
			return info, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return info, context.Cause(ctx)
		}
	}
}
