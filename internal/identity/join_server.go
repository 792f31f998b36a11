package identity

import (
	"context"
	"crypto/hmac"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/internal/protect"
)

const (
	// Connections at once, in all and from one site, see siteOf; more are closed unanswered. One
	// machine that holds many must not keep the others from joining: who does so over IPv6
	// leaves them IPv4.
	maxJoiners     = 64
	maxFromOneSite = 32

	acceptPause = 100 * time.Millisecond
	// acceptWarn is the least time between two warnings that none can be accepted: near the limit of open files every
	// second one may be.
	acceptWarn = time.Minute
)

// ServeJoin answers joiners on ln until ctx ends, closes ln, and returns when all
// its goroutines have ended: nil after ctx, or net.ErrClosed where somebody else closed ln. fabric gives
// the addresses, host:port, where this node's fabric can be reached by a joiner
// that reached it at local; it may be called concurrently, and nil stands for none.
func (s *Store) ServeJoin(ctx context.Context, ln net.Listener, fabric func(local net.Addr) []string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = ln.Close() })()
	defer ln.Close()
	cfg := s.baseTLS(func(cs tls.ConnectionState) error {
		if cs.NegotiatedProtocol != joinALPN {
			return fmt.Errorf("%w: the peer does not speak %s", ErrProtocol, joinALPN)
		}
		_, err := peerFingerprint(cs)
		return err
	})
	cfg.NextProtos = []string{joinALPN}

	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel() // before the wait
	room := crowd{inside: map[netip.Prefix]int{}}
	for warned := (time.Time{}); ; {
		conn, err := ln.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = conn.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept joiners: %w", err)
		case err != nil: // out of file descriptors, most likely, which is no reason to stop
			if now := time.Now(); now.Sub(warned) >= acceptWarn {
				s.log.Warn("nobody can join at the moment", "error", err)
				warned = now
			}
			select {
			case <-ctx.Done():
			case <-time.After(acceptPause):
			}
			continue
		}
		from := conn.RemoteAddr()
		if !room.enter(from) {
			s.log.Debug("join connection closed: too many at once", "remote", conn.RemoteAddr().String())
			_ = conn.Close()
			continue
		}
		wg.Go(func() {
			defer room.leave(from)
			s.serveJoiner(ctx, conn, cfg, fabric)
		})
	}
}

// crowd counts who is connected.
type crowd struct {
	mu     sync.Mutex
	inside map[netip.Prefix]int // of each site, and of each address within one
	all    int
}

// enter counts a connection from addr, if there is room for it: one address leaves room for others of its site.
func (c *crowd) enter(addr net.Addr) bool {
	site, host := siteOf(addr), addressIn(addr)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all >= maxJoiners || c.inside[site] >= maxFromOneSite || host != site && c.inside[host] >= maxFromOneSite/2 {
		return false
	}
	c.all++
	c.inside[site]++
	if host != site {
		c.inside[host]++
	}
	return true
}

func (c *crowd) leave(addr net.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all--
	for _, p := range slices.Compact([]netip.Prefix{siteOf(addr), addressIn(addr)}) {
		if c.inside[p]--; c.inside[p] == 0 {
			delete(c.inside, p)
		}
	}
}

// serveJoiner handles one connection from handshake to answer.
func (s *Store) serveJoiner(ctx context.Context, raw net.Conn, cfg *tls.Config, fabric func(net.Addr) []string) {
	ctx, cancel := context.WithTimeout(ctx, s.joinTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = raw.Close() })()
	conn := tls.Server(raw, cfg)
	defer func() { _ = conn.Close() }()
	log := s.log.With("remote", raw.RemoteAddr().String())

	if err := conn.HandshakeContext(ctx); err != nil {
		log.Debug("join connection failed", "error", err)
		return
	}
	joiner, err := peerFingerprint(conn.ConnectionState())
	if err != nil {
		log.Debug("join connection failed", "error", err)
		return
	}
	var req joinRequest
	err = readFrame(conn, &req, maxRequestBytes)
	if err == nil {
		err = req.validate()
	}
	if err != nil {
		log.Debug("join request refused", "node", joiner.NodeID(), "error", err)
		if !errors.Is(err, ErrProtocol) && !errors.Is(err, ErrBadInput) {
			return // nobody is there to read an answer
		}
		_ = writeFrame(conn, joinAnswer{Version: joinVersion, Refused: refusedRequest}, maxAnswerBytes)
		return
	}
	answer := s.answer(conn, joiner, req)
	if answer.Refused == "" && fabric != nil {
		answer.Fabric = fabric(raw.LocalAddr())
	}
	switch {
	case answer.Refused != "":
		log.Warn("joiner refused", "node", joiner.NodeID(), "reason", string(answer.Refused))
	case req.Member:
		log.Info("told a member where this node is", "node", joiner.NodeID(), "name", req.Name)
	default:
		log.Info("node joined", "node", joiner.NodeID(), "name", req.Name)
	}
	if err := writeFrame(conn, answer, maxAnswerBytes); err != nil {
		log.Warn("join answer not delivered; the same token works again for this node", "node", joiner.NodeID(), "error", err)
	}
}

// answer judges a request and counts the wrong ones against their source.
func (s *Store) answer(conn *tls.Conn, joiner Fingerprint, req joinRequest) joinAnswer {
	source := sourceOf(conn.RemoteAddr(), conn.LocalAddr())
	if s.strangers.blocked(source, s.now()) {
		return joinAnswer{Version: joinVersion, Refused: refusedTooMany}
	}
	err := s.accept(conn.ConnectionState(), joiner, req)
	if err == nil {
		return joinAnswer{Version: joinVersion, Roster: s.cur.Load().roster.doc()}
	}
	if errors.Is(err, ErrBadToken) {
		s.strangers.bad(source, s.now())
	}
	a := joinAnswer{Version: joinVersion, Refused: refusedInternal}
	for kind, r := range map[error]refusal{
		ErrBadToken: refusedBadToken, ErrTokenExpired: refusedExpired, ErrTokenUsed: refusedUsed,
		ErrRevoked: refusedRevoked, ErrNotMember: refusedStranger, ErrTooMany: refusedFull, ErrBadInput: refusedRequest,
	} {
		if errors.Is(err, kind) {
			a.Refused = r
		}
	}
	if a.Refused == refusedInternal {
		s.log.Error("cannot take in a joiner", "node", joiner.NodeID(), "error", err)
	}
	return a
}

// accept makes joiner a member and uses up the invitation in one step, on disk
// before it returns. The node that used an invitation may ask again while it lasts,
// for its answer may have been lost; that changes nothing. Nor does what a member
// asks that says so, be the invitation used up or over.
func (s *Store) accept(cs tls.ConnectionState, joiner Fingerprint, req joinRequest) error {
	return s.update(func(next *state) error {
		inv, known := next.invites[req.Token]
		if !known {
			inv.Secret = make([]byte, secretSize) // takes as long as a known one
		}
		want, err := proof(cs, inv.Secret, s.key.fp, joiner, req.Name)
		if err != nil {
			return err
		}
		now := s.now()
		r := next.roster
		switch {
		case !protect.JoinProof.Off() && (!hmac.Equal(want, req.Proof) || !known):
			return ErrBadToken
		case (req.Member || inv.UsedBy == joiner) && r.isMember(joiner):
			return errUnchanged
		case r.revoked(joiner):
			return ErrRevoked
		case req.Member:
			return ErrNotMember
		case inv.UsedBy != "" && !protect.Once.Off():
			return ErrTokenUsed
		case !now.Before(inv.Expires) && !protect.TokenLife.Off():
			return ErrTokenExpired
		}
		for fp, m := range next.members {
			if fp != joiner && m.Node == joiner.NodeID() {
				return fmt.Errorf("%w: node id %s belongs to another key", ErrBadInput, m.Node)
			}
		}
		inv.UsedBy = joiner
		next.invites[inv.ID] = inv
		return next.sign(body{
			Op: opAdd, N: r.next(joiner), Node: joiner, Name: next.freeName(req.Name, joiner), By: s.key.fp, At: now,
		})
	})
}

// freeName gives name, with a number behind it where another member has it: two
// machines called "raspberrypi" stay apart in every table and command.
func (st *state) freeName(name string, self Fingerprint) string {
	taken := make(map[string]bool)
	for fp, m := range st.members {
		if fp != self {
			taken[strings.ToLower(m.Name)] = true
		}
	}
	free := name
	for i := 2; taken[strings.ToLower(free)]; i++ {
		suffix := fmt.Sprintf("-%d", i)
		free = CleanName(name[:min(len(name), maxNameLen-len(suffix))]) + suffix
	}
	return free
}
