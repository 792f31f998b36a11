package bus

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// connect connects to the daemon at target, and begins a link, unless ctx ends before.
func (c *Conn) connect(ctx context.Context, target string) error {
	d := c.dialer
	limit := d.limit
	if t, ok := ctx.Deadline(); ok {
		limit = max(min(limit, time.Until(t)), time.Millisecond)
	}
	key, err := nats.NkeyOptionFromSeed(d.creds)
	if err != nil {
		return Errorf(CodeForbidden, "cannot use the credentials in %s: %w", d.creds, err).
			WithHint("run this as the user that runs mycod, or set %s and %s", EnvURL, EnvCreds)
	}
	known := make(chan struct{})
	defer close(known)
	s := &socket{dialer: d, first: ctx, open: c.open}
	stop := context.AfterFunc(ctx, s.cut)
	nc, err := nats.Connect(target, append(c.options(known), key,
		nats.Name(d.name), nats.SetCustomDialer(s), nats.Timeout(limit))...)
	if !stop() && err == nil { // it was cut, or is about to be
		nc.Close()
		return endOf(ctx)
	}
	if err != nil {
		return d.explain(ctx, target, err)
	}
	node := NodeID(nc.ConnectedServerName())
	if node == "" { // the link is lost already
		nc.Close()
		return d.explain(ctx, target, nats.ErrDisconnected)
	}
	if err := nats.CustomInboxPrefix(UserInbox(node))(&nc.Opts); err != nil {
		nc.Close()
		return Errorf(CodeUnavailable, "what listens at %s is not mycod: %w", target, err)
	}
	s.nc.Store(nc)
	c.begin(nc, node, s.cut)
	return nil
}

// begin makes nc, to node, the connection of c; cut ends a dial of it.
func (c *Conn) begin(nc *nats.Conn, node NodeID, cut func()) {
	c.mu.Lock()
	over := c.over
	if !over {
		c.nc.Store(nc)
		c.cut = cut
	}
	c.mu.Unlock()
	if over {
		nc.Close()
		return
	}
	c.up(node)
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
	c.end(c.gone(err))
	back := c.back
	c.dials.Go(func() { c.redial(back) })
}

// redial connects to the daemon when it is there again, unless c is closed, and back with it, before.
func (c *Conn) redial(back <-chan struct{}) {
	tick := time.NewTicker(reconnectWait)
	defer tick.Stop()
	said := ""
	var r refusal
	for {
		select {
		case <-back:
			return
		case <-tick.C:
		}
		found := c.dialer.found()
		if !r.over(found, time.Now()) {
			continue
		}
		target, _, err := c.dialer.target()
		if err == nil {
			err = c.connect(c.open, target)
		}
		if err == nil || c.open.Err() != nil {
			return
		}
		r.note(err, found, time.Now())
		if err.Error() != said {
			said = err.Error()
			c.log.Warn("the daemon is not back yet", "error", err)
		}
	}
}

// refusal is how long a client lets a daemon be that refuses its credentials: from reconnectWait on twice as
// long each time, refusalMost and half as much again for chance at most. It does not wait where it finds other
// files: the daemon has started anew, or somebody has put the credentials right.
type refusal struct {
	found [sha256.Size]byte
	pause time.Duration
	until time.Time
}

// over reports whether to try now, with these files.
func (r *refusal) over(found [sha256.Size]byte, now time.Time) bool {
	return found != r.found || !now.Before(r.until)
}

// note takes in how a try went wrong.
func (r *refusal) note(err error, found [sha256.Size]byte, now time.Time) {
	switch {
	case AsError(err).Code != CodeForbidden:
		*r = refusal{}
		return
	case found != r.found:
		r.pause = 0
	}
	r.found, r.pause = found, min(max(2*r.pause, reconnectWait), refusalMost)
	r.until = now.Add(r.pause + rand.N(r.pause/2))
}

// found tells one state of the files that a client connects by from another.
func (d *dialer) found() [sha256.Size]byte {
	info, _ := os.ReadFile(filepath.Join(d.dir, DaemonFile)) // connect tells what is wrong with them
	creds, _ := os.ReadFile(d.creds)
	return sha256.Sum256(append(append(info, 0), creds...))
}

// socket opens the connections below one of nats.go: at first, and again each time it was lost, since a
// daemon that starts anew may listen elsewhere.
type socket struct {
	*dialer
	nc    atomic.Pointer[nats.Conn] // nil until the first link is up
	first context.Context           // how long that is waited for
	open  context.Context           // how long each later one is
	conn  atomic.Pointer[net.Conn]  // below the latest link
}

// cut ends the wait for a link: nats.go knows no context there.
func (s *socket) cut() {
	if conn := s.conn.Load(); conn != nil {
		_ = (*conn).Close() // it may be closed already
	}
}

// Dial opens the TCP connection to wherever the daemon listens now, to be used with the
// credentials that it takes now: they may have been rotated.
func (s *socket) Dial(network, address string) (net.Conn, error) {
	ctx := s.first
	if nc := s.nc.Load(); nc != nil {
		ctx = s.open
		s.cut() // nats.go leaves open one that did not become a link
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
	nd := net.Dialer{Timeout: s.limit}
	conn, err := nd.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if s.conn.Store(&conn); ctx.Err() != nil { // cut may have come too early for it
		s.cut()
	}
	return conn, nil
}
