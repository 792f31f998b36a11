package identity

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
)

// RefusedBy asks at addr, where routes are taken, whether one of this node would be. ok reports
// that a member answers there and refuses this node's key: the node was put out, or that member
// has not heard of it yet. Nobody else's answer counts, and silence until ctx ends is none.
func (s *Store) RefusedBy(ctx context.Context, addr string) (m Member, ok bool) {
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return Member{}, false
	}
	defer func() { _ = raw.Close() }()
	defer context.AfterFunc(ctx, func() { _ = raw.Close() })()
	conn := tls.Client(raw, s.baseTLS(func(cs tls.ConnectionState) error {
		fp, err := peerFingerprint(cs)
		if err != nil {
			return err
		}
		if m, ok = s.Member(fp); !ok || fp == s.key.fp {
			return fmt.Errorf("%w: what answers at %s", ErrNotMember, addr)
		}
		return nil
	}))
	if conn.HandshakeContext(ctx) != nil {
		return Member{}, false
	}
	// With TLS 1.3 the other side judges this side's key only now.
	_, err = conn.Read(make([]byte, 1))
	if alert := (*net.OpError)(nil); errors.As(err, &alert) && alert.Op == "remote error" { // as crypto/tls has it
		return m, true
	}
	return Member{}, false
}
