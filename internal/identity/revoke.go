package identity

import (
	"fmt"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Revoke puts a member out of the swarm for good: its key can join again only in a
// later epoch. It fails with ErrNotHolder without the swarm key, and with
// ErrBadInput for a node that is no member or is this one.
func (s *Store) Revoke(node bus.NodeID) error {
	return s.update(func(next *state) error { return s.signRevoke(next, node) })
}

// Revocation gives the roster in which Revoke(node) is done, and fails as that does. It
// changes nothing here: once Revoke is done the node's route is cut, and whoever is to
// learn why must be told before.
func (s *Store) Revocation(node bus.NodeID) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.cur.Load().clone()
	if err := s.signRevoke(next, node); err != nil {
		return nil, err
	}
	return next.roster.encode()
}

func (s *Store) signRevoke(next *state, node bus.NodeID) error {
	if err := next.maySign(s.key.fp); err != nil {
		return err
	}
	if node == s.NodeID() {
		return &Error{Kind: ErrBadInput, Cause: "a node cannot revoke itself", Next: "run `myco leave`"}
	}
	for fp, m := range next.members {
		if m.Node == node {
			return next.sign(body{Op: opRevoke, N: next.roster.next(fp), Node: fp, By: s.key.fp, At: s.now()})
		}
	}
	return &Error{Kind: ErrBadInput, Cause: fmt.Sprintf("%s is not a member", clip(string(node))), Next: "run `myco nodes` to see who is"}
}

// MaySign is nil where this node can invite, promote and revoke. Otherwise it is
// ErrNotHolder and names who can, or ErrNotMember where this node was put out.
func (s *Store) MaySign() error { return s.cur.Load().maySign(s.key.fp) }
