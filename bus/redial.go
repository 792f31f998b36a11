package bus

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// connect connects to the daemon at target, and begins a link.
func (c *Conn) connect(ctx context.Context, target string, limit time.Duration) error {
	d := c.dialer
	key, err := nats.NkeyOptionFromSeed(d.creds)
	if err != nil {
		return Errorf(CodeForbidden, "cannot use the credentials in %s: %w", d.creds, err).
			WithHint("run this as the user that runs mycod, or set %s and %s", EnvURL, EnvCreds)
	}
	known := make(chan struct{})
	defer close(known)
	s := &socket{dialer: d}
	nc, err := nats.Connect(target, append(c.options(known), key,
		nats.Name(d.name), nats.SetCustomDialer(s), nats.Timeout(limit))...)
	if err != nil {
		return d.explain(ctx, target, err)
	}
	if err := nats.CustomInboxPrefix(UserInbox(NodeID(nc.ConnectedServerName())))(&nc.Opts); err != nil {
		nc.Close()
		return Errorf(CodeUnavailable, "what listens at %s is not mycod: %w", target, err)
	}
	s.nc.Store(nc)
	c.begin(nc)
	return nil
}

// begin makes nc the connection of c.
func (c *Conn) begin(nc *nats.Conn) {
	c.mu.Lock()
	over := c.over
	if !over {
		c.nc.Store(nc)
	}
	c.mu.Unlock()
	if over {
		nc.Close()
		return
	}
	c.up(nc)
}

// abandoned looks for the daemon where nats.go has stopped to: it closes a connection for good at any
// error of the server that it does not know, such as that of a client that took too long to present its
// credentials, and when these are refused twice in a row, as they are while they are being rotated.
func (c *Conn) abandoned(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	c.log.Warn("the connection to the daemon was given up, and is made anew", "node", c.node, "error", err)
	c.end(gone(err))
	back := c.back
	c.dials.Go(func() { c.redial(back) })
}

// redial connects to the daemon when it is there again, unless c is closed, and back with it, before.
func (c *Conn) redial(back <-chan struct{}) {
	tick := time.NewTicker(reconnectWait)
	defer tick.Stop()
	said := ""
	for {
		select {
		case <-back:
			return
		case <-tick.C:
		}
		target, _, err := c.dialer.target()
		if err == nil {
			err = c.connect(context.Background(), target, connectLimit)
		}
		if err == nil {
			return
		}
		if err.Error() != said {
			said = err.Error()
			c.log.Warn("the daemon is not back yet", "error", err)
		}
	}
}

// socket opens the connections below one of nats.go: at first, and again each time it was lost, since a
// daemon that starts anew may listen elsewhere.
type socket struct {
	*dialer
	nc atomic.Pointer[nats.Conn] // nil until the first link is up
}

// Dial opens the TCP connection to wherever the daemon listens now, to be used with the
// credentials that it takes now: they may have been rotated.
func (s *socket) Dial(network, address string) (net.Conn, error) {
	if nc := s.nc.Load(); nc != nil {
		key, err := nats.NkeyOptionFromSeed(s.creds)
		if err == nil {
			// nats.go calls this with the connection locked, and reads the key after.
			err = key(&nc.Opts)
		}
		if err != nil {
			return nil, fmt.Errorf("read the credentials: %w", err)
		}
	}
	if s.url == "" {
		target, _, err := s.target()
		if err != nil {
			return nil, err
		}
		u, err := url.Parse(target)
		if err != nil {
			return nil, fmt.Errorf("parse bus_url: %w", err)
		}
		address = u.Host
	}
	nd := net.Dialer{Timeout: connectLimit}
	return nd.DialContext(context.Background(), network, address)
}
