package identity

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/mycoswarm/mycoswarm/internal/atomicfile"
)

const (
	maxOpenInvites = 64
	// inviteMemory is how long after its end an invitation is still known as used
	// or expired.
	inviteMemory = 24 * time.Hour
	// maxEndedInvites is how many of those are kept, the latest to end: each change writes
	// them all to disk.
	maxEndedInvites = 256
	// maxTokenLife bounds InviteFor.
	maxTokenLife = 7 * 24 * time.Hour
)

// Invite makes a join token that works once within TokenLife. addrs are the
// addresses, host:port, where ServeJoin of this node answers, best first, at most
// MaxAddrs. On a node without the swarm key it fails with ErrNotHolder and names a
// node that has it; other failures are ErrBadInput and ErrTooMany.
func (s *Store) Invite(addrs []string) (token string, expires time.Time, err error) {
	return s.InviteFor(addrs, TokenLife)
}

// InviteFor is Invite with a life of its own for the token, of at most a week.
func (s *Store) InviteFor(addrs []string, life time.Duration) (token string, expires time.Time, err error) {
	if life <= 0 || life > maxTokenLife {
		return "", time.Time{}, &Error{
			Kind: ErrBadInput, Cause: fmt.Sprintf("a token cannot live for %s", life),
			Next: fmt.Sprintf("give it more than 0 and at most %s", maxTokenLife),
		}
	}
	if len(addrs) == 0 || len(addrs) > MaxAddrs {
		return "", time.Time{}, &Error{
			Kind: ErrBadInput, Cause: fmt.Sprintf("a token holds 1 to %d addresses, not %d", MaxAddrs, len(addrs)),
			Next: "start mycod with --join-listen on an address that others reach",
		}
	}
	for _, a := range addrs {
		if err := checkAddr(a); err != nil {
			return "", time.Time{}, err
		}
	}
	secret := make([]byte, secretSize)
	_, _ = rand.Read(secret) // never fails
	err = s.update(func(next *state) error {
		if err := next.maySign(s.key.fp); err != nil {
			return err
		}
		now := s.now()
		next.forgetInvites(now)
		if next.openInvites(now) >= maxOpenInvites {
			return &Error{
				Kind: ErrTooMany, Cause: fmt.Sprintf("%d invitations are open", maxOpenInvites),
				Next: "use one, or wait until they end",
			}
		}
		expires = now.Add(life)
		id := tokenID(secret)
		next.invites[id] = invite{ID: id, Secret: secret, Expires: expires.UTC()}
		token, err = Token{
			Addrs: addrs, Inviter: s.key.fp,
			swarm: string(next.roster.id[:2*swarmPart]), secret: secret,
		}.encode()
		return err
	})
	if err != nil {
		return "", time.Time{}, err
	}
	return token, expires, nil
}

func (st *state) openInvites(now time.Time) int {
	n := 0
	for _, i := range st.invites {
		if i.UsedBy == "" && now.Before(i.Expires) {
			n++
		}
	}
	return n
}

// forgetInvites drops those that ended long ago, and the earliest of too many.
func (st *state) forgetInvites(now time.Time) {
	var ended []invite
	for id, i := range st.invites {
		switch {
		case now.After(i.Expires.Add(inviteMemory)):
			delete(st.invites, id)
		case i.UsedBy != "" || !now.Before(i.Expires):
			ended = append(ended, i)
		}
	}
	if len(ended) <= maxEndedInvites {
		return
	}
	slices.SortFunc(ended, func(a, b invite) int { return a.Expires.Compare(b.Expires) })
	for _, i := range ended[:len(ended)-maxEndedInvites] {
		delete(st.invites, i.ID)
	}
}

// Farewell gives the roster with this node's signed leave in it, to be published
// to the others just before Leave. It changes nothing here.
func (s *Store) Farewell() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.cur.Load().clone()
	if err := s.signLeave(next); err != nil {
		return nil, err
	}
	return next.roster.encode()
}

func (s *Store) signLeave(next *state) error {
	add, ok := next.roster.find(opAdd, s.key.fp)
	if !ok {
		return fmt.Errorf("%w: this node is not in its own roster", ErrNotMember)
	}
	return next.put(s.key.priv, body{Op: opLeave, N: add.N, Node: s.key.fp, At: s.now()})
}

// Leave drops the roster and founds a new swarm of one with the same node key. In a
// swarm of one it does nothing. The swarm's key, if held, is kept in a file.
func (s *Store) Leave() error {
	return s.update(func(next *state) error {
		if next.aloneAs(s.key.fp) && !next.roster.revoked(s.key.fp) {
			return errUnchanged
		}
		if err := s.archive(next); err != nil {
			return err
		}
		name := s.Name()
		fresh, err := found(s.key.fp, name, CleanName(name+"-swarm"), s.now())
		if err != nil {
			return err
		}
		*next = *fresh
		return nil
	})
}

// archive keeps a swarm that is about to be replaced in a file, left/<its id>.json, where this node holds
// its key and somebody else was ever let in.
func (s *Store) archive(st *state) error {
	others := slices.ContainsFunc(st.roster.list(), func(e entry) bool {
		return e.body.Op == opAdd && e.body.Node != s.key.fp
	})
	if !st.holds() || !others {
		return nil
	}
	dir := filepath.Join(s.dir, leftDir)
	if err := makePrivateDir(dir); err != nil {
		return err
	}
	b, err := atomicfile.Read(filepath.Join(s.dir, stateName))
	if err != nil {
		return unreadable("cannot keep the key of the swarm", err)
	}
	return writePrivate(filepath.Join(dir, string(st.roster.id)+".json"), b)
}

// RecoveryPhrase is the swarm key as 14 groups of four letters, to be written down:
// with it any member becomes a holder of the key. It fails with ErrNotHolder.
func (s *Store) RecoveryPhrase() (string, error) {
	st := s.cur.Load()
	if !st.holds() {
		return "", errNotHolder(st)
	}
	return encodePhrase(st.seed), nil
}

// Restore makes this member a holder of the swarm key by its recovery phrase. It
// fails with ErrBadPhrase for a damaged one, with ErrForeign for that of another
// swarm, and with ErrNotMember where this node was put out. For a holder it does nothing.
func (s *Store) Restore(phrase string) error {
	priv, err := decodePhrase(phrase)
	if err != nil {
		return err
	}
	return s.update(func(next *state) error {
		id := swarmIDOf(priv.Public().(ed25519.PublicKey))
		if slices.Contains(next.roster.before(), id) {
			return &Error{
				Kind: ErrForeign, Cause: "this recovery phrase is of no use any more: the swarm's key was replaced",
				Next: "use the phrase that `myco rotate --swarm` printed",
			}
		}
		if id != next.roster.id {
			return &Error{
				Kind:  ErrForeign,
				Cause: fmt.Sprintf("the recovery phrase is of swarm %s, and this node is in %s", id.Short(), next.roster.id.Short()),
				Next:  "run the command on a member of that swarm",
			}
		}
		return s.hold(next, priv.Seed(), s.key.fp)
	})
}

// hold makes this member a holder of the swarm key, which by gave it.
func (s *Store) hold(next *state, seed []byte, by Fingerprint) error {
	if next.roster.revoked(s.key.fp) {
		return errPutOut(next, s.key.fp)
	}
	if err := next.admit(s.key.fp); err != nil {
		return err
	}
	if next.holds() {
		return errUnchanged
	}
	next.seed = seed
	return next.sign(body{Op: opHolder, N: next.roster.next(s.key.fp), Node: s.key.fp, By: by, At: s.now()})
}
