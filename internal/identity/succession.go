package identity

import (
	"crypto/ed25519"
	"fmt"
	"slices"
)

// A swarm's key is replaced by founding another swarm with the same members, which the old
// key names as its successor, once. Nothing that the old key signs counts for whoever went
// along: it is of another swarm, as its id, the hash of its key, says.
//
//	a node in swarm   hears a roster of   with a chain from  then
//	K1                K1                  -                  merges it
//	K1                K2                  K1 to K2           goes along, if that roster has it
//	K1                K2                  none               refuses it
//	K2                K1                  -                  refuses it
//	K2 (after K1)     K3                  K1 to K3           refuses it: the first stays
//
// maxPast bounds the chain.
const maxPast = 64

// RotateSwarm replaces the swarm's key, and gives the new recovery phrase. All members stay,
// who was put out stays out, invitations and other holders end: they hold the old key. It
// fails with ErrNotHolder without the swarm key.
func (s *Store) RotateSwarm() (phrase string, err error) {
	err = s.update(func(next *state) error {
		if err := next.maySign(s.key.fp); err != nil {
			return err
		}
		if len(next.roster.past) >= maxPast {
			return &Error{
				Kind: ErrTooMany, Cause: fmt.Sprintf("the swarm's key was replaced %d times", maxPast),
				Next: "let the nodes leave, and join a new swarm",
			}
		}
		fresh, err := s.successor(next)
		if err != nil {
			return err
		}
		phrase = encodePhrase(fresh.seed)
		*next = *fresh
		return nil
	})
	return phrase, err
}

// successor makes the state of the swarm that takes the place of old's.
func (s *Store) successor(old *state) (*state, error) {
	pub, priv, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, fmt.Errorf("make swarm key: %w", err)
	}
	link, err := sign(old.swarmKey(), body{
		Op: opSucceed, Swarm: old.roster.id, Epoch: firstEpoch, N: 1, Next: swarmIDOf(pub), By: s.key.fp, At: s.now().UTC(),
	})
	if err != nil {
		return nil, err
	}
	fresh := (&state{roster: newRoster(pub), seed: priv.Seed(), fabric: old.fabric}).clone()
	fresh.roster.past = append(slices.Clone(old.roster.past), link.rec)
	bodies := []body{{Op: opSwarm, N: 1, Name: old.roster.name(), At: s.now()}}
	for _, st := range old.roster.standings() {
		if st.State == StateLeft {
			continue
		}
		bodies = append(bodies, body{
			Op: opAdd, N: 1, Node: st.Fingerprint, Name: st.Name, Holder: st.Fingerprint == s.key.fp, By: st.By, At: st.Since,
		})
		if st.State == StateRevoked {
			bodies = append(bodies, body{Op: opRevoke, N: 2, Node: st.Fingerprint, By: st.EndedBy, At: st.Ended})
		}
	}
	for _, b := range bodies {
		if err := fresh.sign(b); err != nil {
			return nil, err
		}
	}
	return fresh, nil
}

// follow goes along to the swarm of d, if the present swarm's key says so and this node is in it.
func (s *Store) follow(next *state, d rosterDoc) (bool, error) {
	if next.roster.revoked(s.key.fp) {
		return false, errPutOut(next, s.key.fp)
	}
	from, err := readPast(d)
	if err != nil {
		return false, err
	}
	if !slices.Contains(from, next.roster.id) {
		return false, &Error{Kind: ErrForeign, Cause: fmt.Sprintf("a roster of another swarm (%s; this is %s)", clip(d.Swarm.Short()), next.roster.id.Short())}
	}
	r, err := rosterOf(d)
	if err != nil {
		return false, err
	}
	if !r.isMember(s.key.fp) && !r.revoked(s.key.fp) {
		return false, &Error{
			Kind: ErrNotMember, Cause: fmt.Sprintf("the key of swarm %s was replaced, and this node is not among its members", clip(next.roster.name())),
			Next: "run `myco leave`, and join again with a token of `myco invite` on a member",
		}
	}
	*next = *(&state{roster: r, fabric: next.fabric}).clone()
	return true, nil
}

// readPast checks that each key of d's chain named the next, up to d's own, and gives the ids of
// the swarms that were before.
func readPast(d rosterDoc) ([]SwarmID, error) {
	if len(d.Past) > maxPast {
		return nil, fmt.Errorf("%w: a chain of %d keys; the limit is %d", ErrProtocol, len(d.Past), maxPast)
	}
	var ids []SwarmID
	for i, rec := range d.Past {
		if len(rec.Key) != ed25519.PublicKeySize || len(rec.Body) > maxRecordBytes {
			return nil, fmt.Errorf("%w: a succession without a proper key", ErrProtocol)
		}
		e, err := verify(rec, swarmIDOf(rec.Key), rec.Key) // an id is the hash of its key
		if err != nil {
			return nil, err
		}
		next := d.Swarm
		if i+1 < len(d.Past) {
			next = swarmIDOf(d.Past[i+1].Key)
		}
		if e.body.Op != opSucceed || e.body.Next != next {
			return nil, &Error{Kind: ErrForeign, Cause: "the keys of the swarm do not follow on one another"}
		}
		ids = append(ids, e.body.Swarm)
	}
	return ids, nil
}

// before lists what this swarm was called under earlier keys.
func (r roster) before() []SwarmID {
	var ids []SwarmID
	for _, rec := range r.past {
		ids = append(ids, swarmIDOf(rec.Key)) // checked when the roster came
	}
	return ids
}

// gave reports whether t invites to this swarm, under whatever key it was made.
func (r roster) gave(t Token) bool {
	return t.forSwarm(r.id) || slices.ContainsFunc(r.before(), t.forSwarm)
}
