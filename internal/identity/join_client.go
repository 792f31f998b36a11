package identity

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/mycoswarm/mycoswarm/internal/protect"
)

// JoinResult is what Join reached.
type JoinResult struct {
	// Already says that this node was a member of the token's swarm before, under its
	// present key or an earlier one, so that the invitation was not used.
	Already bool
	// Swarm is the swarm that this node is in now.
	Swarm Info
	// Inviter is the node that made the token.
	Inviter Member
}

// Join makes this node a member of the swarm that token invites to, under name (its
// present name when empty), and replaces its swarm of one. With the token of the
// swarm it is in already it does nothing and succeeds, whatever became of the token. With that of
// a member for a swarm that it does not know it asks whether the own one's key was replaced, and
// goes along as Import does.
//
// Its errors are ErrBadToken, ErrTokenExpired, ErrTokenUsed, ErrUnreachable,
// ErrForeign when another key answers at the inviter's address, ErrOtherSwarm in a
// swarm with other members, ErrNotMember where that of the token, which may be the own one's
// successor, does not have this node, ErrRevoked, ErrTooMany, ErrProtocol, ErrBadInput and
// ErrUnreadable. After an error this node is in the swarm it was in before.
func (s *Store) Join(ctx context.Context, token, name string) (JoinResult, error) {
	t, err := ParseToken(token)
	if err != nil {
		return JoinResult{}, err
	}
	if name == "" {
		name = s.Name()
	}
	if err := checkName(name); err != nil {
		return JoinResult{}, err
	}
	before := s.cur.Load()
	if before.roster.gave(t) && before.roster.isMember(s.key.fp) {
		return s.joined(before, t, true), nil
	}
	if err := s.mayJoin(before, t); err != nil {
		if !s.concerns(before, t) {
			return JoinResult{}, err
		}
		_, _, found := s.Find(ctx, token)
		switch {
		case errors.Is(found, ErrOtherSwarm):
			return JoinResult{}, err
		case found != nil:
			return JoinResult{}, found
		}
		return s.joined(s.cur.Load(), t, true), nil
	}
	answer, err := s.ask(ctx, t, name, false)
	if err != nil {
		return JoinResult{}, err
	}
	r, fabric, err := answer.swarm(t, s.key.fp)
	if err != nil {
		return JoinResult{}, err
	}
	if err := s.enter(t, r, fabric); err != nil {
		return JoinResult{}, err
	}
	return s.joined(s.cur.Load(), t, false), nil
}

// enter puts the swarm of t, of which the inviter answered r and fabric, in place of this node's swarm of one.
func (s *Store) enter(t Token, r roster, fabric []string) error {
	return s.update(func(next *state) error {
		if next.roster.gave(t) && next.roster.isMember(s.key.fp) {
			return errUnchanged // a second Join was faster
		}
		// Somebody may have joined this node meanwhile.
		if err := s.mayJoin(next, t); err != nil {
			return err
		}
		if err := s.archive(next); err != nil {
			return err
		}
		*next = state{roster: r, fabric: fabric}
		return nil
	})
}

// Find asks the inviter of token, one of the swarm that this node is a member of, where its
// fabric is now, and takes in its roster: a member whose others have all got new addresses is
// told so where they are. The invitation stays as it is. The token may be of a swarm that this
// node does not know, if a member made it: where the own one's key names that as its successor,
// this node goes along, and nothing else that is answered moves it. Its errors are those of
// Join, with ErrOtherSwarm for any token of another swarm.
func (s *Store) Find(ctx context.Context, token string) (inviter Member, fabric []string, err error) {
	t, err := ParseToken(token)
	if err != nil {
		return Member{}, nil, err
	}
	other := &Error{Kind: ErrOtherSwarm, Cause: "the token is not of this node's swarm", Next: nextInvite}
	if !s.concerns(s.cur.Load(), t) {
		return Member{}, nil, other
	}
	answer, err := s.ask(ctx, t, s.Name(), true)
	if err != nil {
		return Member{}, nil, err
	}
	r, fabric, err := answer.swarm(t, s.key.fp)
	if err != nil {
		return Member{}, nil, err
	}
	roster, err := r.encode()
	if err != nil {
		return Member{}, nil, err
	}
	if _, err := s.Import(roster); err != nil { // all members tell theirs, once there are routes
		s.log.Debug("take in the inviter's roster", "error", err)
	}
	now := s.cur.Load()
	if !now.roster.gave(t) {
		return Member{}, nil, other
	}
	inviter, ok := now.members[t.Inviter]
	if !ok {
		return Member{}, nil, now.admit(t.Inviter)
	}
	return inviter, fabric, nil
}

// concerns reports whether t is for the swarm that this node is a member of, or may be for its
// successor, as another member made it.
func (s *Store) concerns(st *state, t Token) bool {
	_, knows := st.members[t.Inviter]
	return st.roster.isMember(s.key.fp) && (st.roster.gave(t) || knows && t.Inviter != s.key.fp)
}

func (s *Store) joined(st *state, t Token, already bool) JoinResult {
	return JoinResult{Already: already, Swarm: s.info(st), Inviter: st.members[t.Inviter]}
}

// mayJoin refuses to give up a swarm that has other members.
func (s *Store) mayJoin(st *state, t Token) error {
	switch {
	case st.roster.revoked(s.key.fp) && st.roster.gave(t):
		return refusedRevoked.asError()
	case !st.aloneAs(s.key.fp):
		return &Error{
			Kind:  ErrOtherSwarm,
			Cause: fmt.Sprintf("this node is in swarm %s with other nodes, and the token is for another one", clip(st.roster.name())),
			Next:  nextLeave,
		}
	}
	return nil
}

// ask proves the token's secret to the inviter and gives its answer. member is set where this
// node is in the token's swarm already.
func (s *Store) ask(ctx context.Context, t Token, name string, member bool) (joinAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, s.joinTimeout)
	defer cancel()
	conn, err := s.reach(ctx, t)
	if err != nil {
		return joinAnswer{}, err
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.NetConn().Close() })()
	p, err := proof(conn.ConnectionState(), t.secret, t.Inviter, s.key.fp, name)
	if err != nil {
		return joinAnswer{}, err
	}
	var a joinAnswer
	err = writeFrame(conn, joinRequest{Version: joinVersion, Token: tokenID(t.secret), Proof: p, Name: name, Member: member}, maxRequestBytes)
	if err == nil {
		err = readFrame(conn, &a, maxAnswerBytes)
	}
	switch {
	case err == nil:
		return a, nil
	case errors.Is(err, ErrProtocol):
		return joinAnswer{}, &Error{Kind: ErrProtocol, Cause: "the inviter's answer cannot be read", Err: err, Next: "install the same version of mycod on both"}
	default:
		if ctx.Err() != nil {
			err = fmt.Errorf("%w (%w)", ctx.Err(), err)
		}
		return joinAnswer{}, &Error{
			Kind: ErrUnreachable, Cause: "the inviter broke off before it answered", Err: err,
			Next: "run `myco join` again with the same token",
		}
	}
}

// reach connects to whichever address of the inviter answers first with the right
// key. Nothing of ours, not even our certificate, is sent before that key is checked.
func (s *Store) reach(ctx context.Context, t Token) (*tls.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type attempt struct {
		conn *tls.Conn
		err  error
	}
	attempts := make(chan attempt, len(t.Addrs))
	for _, addr := range t.Addrs {
		go func() {
			conn, err := s.dialInviter(ctx, addr, t.Inviter)
			attempts <- attempt{conn, err}
		}()
	}
	var (
		won  *tls.Conn
		errs []error
	)
	for range t.Addrs {
		a := <-attempts
		switch {
		case a.err != nil:
			errs = append(errs, a.err)
		case won == nil:
			won = a.conn
			cancel()
		default:
			_ = a.conn.Close()
		}
	}
	if won != nil {
		return won, nil
	}
	return nil, unreached(t.Addrs, errs)
}

func unreached(addrs []string, errs []error) error {
	for _, err := range errs {
		if errors.Is(err, ErrForeign) {
			return err
		}
	}
	e := &Error{
		Kind: ErrUnreachable, Cause: "the inviter does not answer at " + strings.Join(addrs, " or "), Err: errs[0],
		Next: "check that mycod runs there and that its firewall lets the join port through, then run `myco join` again",
	}
	if slices.ContainsFunc(errs, func(err error) bool { return errors.Is(err, errHandshake) }) {
		e.Next += "; if this took half a minute, the network loses large packets: on a tunnel or a VPN, ip link set dev NAME mtu 1280"
	}
	if !slices.ContainsFunc(addrs, leavesMachine) {
		e.Next += "; if it is another machine, that had no network when it made the token: connect it, and run `myco invite` there again"
	}
	return e
}

// errHandshake is wrapped where the inviter's address takes connections.
var errHandshake = errors.New("it takes connections, and does not shake hands")

// leavesMachine reports whether addr, HOST:PORT, may be of another machine.
func leavesMachine(addr string) bool {
	ap, err := netip.ParseAddrPort(addr)
	return err != nil || !ap.Addr().IsLoopback()
}

func (s *Store) dialInviter(ctx context.Context, addr string, inviter Fingerprint) (*tls.Conn, error) {
	cfg := s.baseTLS(func(cs tls.ConnectionState) error {
		fp, err := peerFingerprint(cs)
		if err != nil {
			return err
		}
		if fp != inviter && !protect.InviterKey.Off() {
			return &Error{
				Kind:  ErrForeign,
				Cause: fmt.Sprintf("another node (%s) answers at %s, not the inviter %s", fp.NodeID(), addr, inviter.NodeID()),
				Next:  nextInvite,
			}
		}
		if cs.NegotiatedProtocol != joinALPN {
			return fmt.Errorf("%w: %s is not a join address", ErrProtocol, addr)
		}
		return nil
	})
	cfg.NextProtos = []string{joinALPN}
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, cfg)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("%w: %w", errHandshake, err)
	}
	return conn, nil
}
