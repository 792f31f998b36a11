package bus

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/semaphore"
)

// Conn is a connection to the daemon of this machine. Its methods may be called concurrently.
//
// A daemon that goes away ends what is under way with CodeUnavailable; the Conn finds it again
// when it is back, and only then do further calls succeed.
//
// The errors of its methods are Errors, but for what a handler says to Serve. Beside those that a method
// names they have CodeUnavailable where the daemon cannot be reached or the Conn is closed, CodeTimeout where
// it does not answer in time, CodeForbidden where the credentials may not do that, and CodeCancelled or
// CodeTimeout once ctx ends, whose cause errors.Is finds; a cause that is an Error itself has its own code.
type Conn struct {
	dialer *dialer
	log    *slog.Logger
	nc     atomic.Pointer[nats.Conn] // replaced by redial
	dials  sync.WaitGroup            // redial, and what aside does
	open   context.Context           // until Close
	shut   context.CancelFunc        // ends open
	room   *semaphore.Weighted       // unanswered

	mu    sync.Mutex
	node  NodeID
	life  context.Context // of the present link; its cause tells why it ended
	end   context.CancelCauseFunc
	back  chan struct{} // closed when the next link is up, or none will be
	cut   func()        // ends a dial for the next link
	over  bool
	calls map[*pending]struct{}
	idle  []*nats.Subscription // inboxes of streams that ended, for the next ones
}

// pending is a request that waits for its reply.
type pending struct {
	subject string
	cancel  context.CancelCauseFunc
}

func newConn(d *dialer) *Conn {
	c := &Conn{
		dialer: d, log: d.log, room: semaphore.NewWeighted(unanswered),
		back: make(chan struct{}), calls: map[*pending]struct{}{},
	}
	c.open, c.shut = context.WithCancel(context.Background())
	c.life, c.end = context.WithCancelCause(context.Background())
	return c
}

// options are those of every connection of a client. Nothing is buffered while the daemon is
// away: a request that has failed must not arrive later. What becomes of a connection is heard once
// known is closed, if it is this Conn's by then.
func (c *Conn) options(known <-chan struct{}) []nats.Option {
	ours := func(nc *nats.Conn) bool {
		<-known
		return c.nc.Load() == nc
	}
	return []nats.Option{
		nats.IgnoreDiscoveredServers(),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectWait/2, reconnectWait/2),
		nats.ReconnectBufSize(-1),
		nats.PingInterval(5 * time.Second),
		nats.MaxPingsOutstanding(3),
		nats.NoCallbacksAfterClientClose(),
		nats.DisconnectErrHandler(func(nc *nats.Conn, err error) {
			if ours(nc) {
				c.down(cmp.Or(err, nc.LastError()))
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			if ours(nc) {
				c.up(NodeID(nc.ConnectedServerName()))
			}
		}),
		nats.ClosedHandler(func(nc *nats.Conn) {
			if ours(nc) {
				c.abandoned(nc.LastError())
			}
		}),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) { c.async(sub, err) }),
	}
}

// up begins a link to node, which nats.go does not name where it has lost that link again.
func (c *Conn) up(node NodeID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || node == "" {
		return
	}
	if c.node != "" && node != c.node {
		// Its users may not listen where this connection does.
		go c.Close()
		return
	}
	c.node = node
	if c.life.Err() != nil {
		c.life, c.end = context.WithCancelCause(context.Background())
		c.log.Info("daemon is back", "node", c.node)
	}
	close(c.back)
	c.back = make(chan struct{})
}

// down ends a link; nats.go looks for the daemon from here on.
func (c *Conn) down(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.log.Warn("daemon is gone", "node", c.node, "error", err)
	}
	c.end(c.gone(err))
}

// closed ends the last link, and a dial for the next one.
func (c *Conn) closed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	c.over = true
	c.shut()
	if c.life.Err() != nil && c.cut != nil {
		c.cut()
	}
	c.end(c.gone(nil))
	c.life, c.end = context.WithCancelCause(context.Background()) // the last one may have ended before, for another reason
	c.end(c.gone(nil))
	close(c.back)
}

// gone is the error of a link that was lost to err, or closed where that is nil.
func (c *Conn) gone(err error) *Error {
	switch {
	case err == nil:
		return Errorf(CodeUnavailable, "the connection to the daemon is closed")
	case errors.Is(err, nats.ErrStaleConnection): // its process may be there, and another would not start beside it
		return Errorf(CodeUnavailable, "the daemon does not answer any more: %w", err).WithHint("myco doctor")
	}
	e := Errorf(CodeUnavailable, "the connection to the daemon is lost: %w", err).WithHint("%s", c.dialer.start())
	if errors.Is(err, io.EOF) { // which tells a program more than a person
		e.Message = "the connection to the daemon is lost: it was stopped, or has ended"
	}
	return e
}

// async handles what the server says outside a request. A refused publish has no reply, so its
// request ends here.
func (c *Conn) async(sub *nats.Subscription, err error) {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		attrs := []any{"error", err}
		if sub != nil {
			attrs = append(attrs, "subject", sub.Subject)
		}
		c.log.Warn("daemon connection", attrs...)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for p := range c.calls {
		if strings.Contains(err.Error(), `"`+p.subject+`"`) {
			p.cancel(Errorf(CodeForbidden, "these credentials may not do this: %w", err).
				WithHint("set %s to the daemon's file %s", EnvCreds, UserCreds))
		}
	}
}

// NodeID returns the id of the daemon's node.
func (c *Conn) NodeID() NodeID {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.node
}

// Close ends the connection. The daemon cancels the attached tasks of a closed connection.
func (c *Conn) Close() {
	c.closed()
	c.dials.Wait()
	c.nc.Load().Close()
}

// bound returns ctx limited to the life of the present link.
func (c *Conn) bound(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	c.mu.Lock()
	life := c.life
	c.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	if life.Err() != nil { // context.AfterFunc tells of it a moment later
		cancel(context.Cause(life))
	}
	stop := context.AfterFunc(life, func() { cancel(context.Cause(life)) })
	return ctx, func(cause error) {
		stop()
		cancel(cause)
	}
}

// within returns ctx limited to the life of the present link, and to how long the daemon may take to answer.
func (c *Conn) within(ctx context.Context, limit time.Duration) (context.Context, context.CancelCauseFunc) {
	ctx, over := context.WithTimeoutCause(ctx, limit, Errorf(CodeTimeout, "the daemon did not answer in %v", limit).WithHint("myco doctor"))
	ctx, cancel := c.bound(ctx)
	return ctx, func(cause error) {
		cancel(cause)
		over()
	}
}

// link returns the connection unless ctx, which bound or within made, has ended: nats.go holds its lock for as long as it
// dials, and who asks it for anything meanwhile waits with it.
func (c *Conn) link(ctx context.Context) (*nats.Conn, error) {
	if ctx.Err() != nil {
		return nil, endOf(ctx)
	}
	return c.nc.Load(), nil
}

// linked returns the connection while it has a link, for what belongs to none in particular.
func (c *Conn) linked() (*nats.Conn, error) {
	c.mu.Lock()
	life := c.life
	c.mu.Unlock()
	return c.link(life)
}

// aside calls f, which asks nats.go to forget something: beside its caller while there is no link, since it may wait for a
// dial then. Close ends that.
func (c *Conn) aside(f func()) {
	c.mu.Lock()
	wait := c.life.Err() == nil || c.over
	if !wait {
		c.dials.Go(f)
	}
	c.mu.Unlock()
	if wait {
		f()
	}
}

// Returned waits until a daemon that went away is back. The error has CodeUnavailable where the Conn is closed, which
// a daemon that is back as another node does too; else it is ctx's.
func (c *Conn) Returned(ctx context.Context) error {
	for {
		c.mu.Lock()
		life, back, over := c.life, c.back, c.over
		c.mu.Unlock()
		switch {
		case over:
			return context.Cause(life)
		case life.Err() == nil:
			return nil
		}
		select {
		case <-back:
		case <-ctx.Done():
			return endOf(ctx)
		}
	}
}

// lost tells why the present link did not carry something, which failed with err. What nats.go says of a link that has ended
// is not why; and who has closed c may learn of it in this way first.
func (c *Conn) lost(err error) *Error {
	c.mu.Lock()
	life := c.life
	c.mu.Unlock()
	switch {
	case life.Err() != nil:
		return AsError(context.Cause(life))
	case errors.Is(err, nats.ErrConnectionClosed): // by what the server said
		return c.gone(cmp.Or(c.nc.Load().LastError(), err))
	case errors.Is(err, nats.ErrReconnectBufExceeded): // it keeps nothing while it looks for the daemon
		return c.gone(cmp.Or(c.nc.Load().LastError(), nats.ErrDisconnected))
	}
	return c.gone(err)
}

// flush waits until the server has taken what was sent, subscriptions above all.
func (c *Conn) flush(ctx context.Context) error {
	ctx, cancel := c.within(ctx, rpcLimit)
	defer cancel(nil)
	nc, err := c.link(ctx)
	if err != nil {
		return err
	}
	if err := nc.FlushWithContext(ctx); err != nil {
		return c.requestError(ctx, err)
	}
	return nil
}
