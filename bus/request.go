package bus

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
)

// rpcLimit is how long a daemon may take to answer one request, unless the context says less.
const rpcLimit = 30 * time.Second

// unanswered bounds, in bytes, what one Conn has asked for and has no answer to. The server cuts whoever leaves 64 MiB
// unread, and the daemon, which reads what all programs say, is one: then none of them would have an answer.
// Requests of up to small bytes, such as offers, which expire, and cancels, do not wait behind others.
const (
	unanswered = 4 << 20
	small      = 16 << 10
)

// A daemon that has just started, or was cut off for a moment, listens to no request yet: one is made again for as long.
const (
	listensLate  = time.Second
	listensEvery = 50 * time.Millisecond
)

// call makes one request to the daemon and decodes its reply into T.
func call[T any](ctx context.Context, c *Conn, subject string, req any) (T, error) {
	return callWithin[T](ctx, c, rpcLimit, subject, req)
}

func callWithin[T any](ctx context.Context, c *Conn, limit time.Duration, subject string, req any) (T, error) {
	var reply T
	body, err := Marshal(req)
	if err != nil {
		return reply, Errorf(CodeInvalid, "encode the request: %w", err)
	}
	leave, err := c.enter(ctx, len(body))
	if err != nil {
		return reply, err
	}
	defer leave()
	ctx, cancel := c.within(ctx, limit)
	defer cancel(nil)
	nc, err := c.link(ctx)
	if err != nil {
		return reply, err
	}
	if most := nc.MaxPayload(); int64(len(body)) > most {
		return reply, Errorf(CodeTooLarge, "the request has %d bytes, the limit is %d", len(body), most)
	}
	defer c.pend(subject, cancel)()
	m, err := c.request(ctx, &nats.Msg{Subject: subject, Data: body})
	if err != nil {
		return reply, err
	}
	if m, err = c.unfold(ctx, m); err != nil {
		return reply, err
	}
	return reply, decode(m, &reply)
}

// enter waits until there is room for a request of size bytes, which leave gives back.
func (c *Conn) enter(ctx context.Context, size int) (leave func(), err error) {
	if size <= small {
		return func() {}, nil
	}
	ctx, cancel := c.bound(ctx)
	defer cancel(nil)
	n := min(int64(size), unanswered)
	if err := c.room.Acquire(ctx, n); err != nil {
		return nil, endOf(ctx)
	}
	return func() { c.room.Release(n) }, nil
}

// request sends m, and returns its answer.
func (c *Conn) request(ctx context.Context, m *nats.Msg) (*nats.Msg, error) {
	for began := time.Now(); ; {
		r, err := c.nc.Load().RequestMsgWithContext(ctx, m)
		switch {
		case err == nil:
			return r, nil
		case !errors.Is(err, nats.ErrNoResponders) || time.Since(began) > listensLate:
			return nil, c.requestError(ctx, err)
		}
		select {
		case <-time.After(listensEvery):
		case <-ctx.Done():
			return nil, endOf(ctx)
		}
	}
}

// pend notes a request, to be ended where the server refuses it, until done is called.
func (c *Conn) pend(subject string, cancel context.CancelCauseFunc) (done func()) {
	p := &pending{subject: subject, cancel: cancel}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls[p] = struct{}{}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.calls, p)
	}
}

// requestError tells why a request got no reply.
func (c *Conn) requestError(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return endOf(ctx)
	case errors.Is(err, nats.ErrNoResponders):
		return Errorf(CodeUnavailable, "the daemon does not answer this request: %w", err).
			WithHint("myco version, and compare it with: mycod --version")
	case errors.Is(err, nats.ErrTimeout):
		return Errorf(CodeTimeout, "the daemon did not answer: %w", err)
	}
	return c.lost(err)
}

// decode reads a reply of the daemon: an Error, or what was asked for.
func decode(m *nats.Msg, into any) error {
	if m.Header.Get(HeaderError) != "" {
		e := &Error{}
		if err := Unmarshal(m.Data, e); err != nil || e.Code == "" {
			return Errorf(CodeInternal, "the daemon failed with status %s", m.Header.Get(HeaderError))
		}
		return e
	}
	if err := Unmarshal(m.Data, into); err != nil {
		return Errorf(CodeInternal, "decode the daemon's reply: %w", err)
	}
	return nil
}
