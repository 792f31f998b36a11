package identity

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/mycoswarm/mycoswarm/internal/protect"
)

// stateFormat is the version of swarm.json. A newer one is refused, not guessed at.
const stateFormat = 1

// invite is an invitation that this node gave. It is kept for a while after it was
// used or expired, so that the reason for a refusal can be told.
type invite struct {
	ID      string      `json:"id"`
	Secret  []byte      `json:"secret"`
	Expires time.Time   `json:"expires"`
	UsedBy  Fingerprint `json:"used_by,omitempty"`
}

// state is all that a node knows of its swarm. It never changes once it is
// published: a change is made on a clone.
type state struct {
	roster  roster
	seed    []byte // of the swarm key; nil where this node does not hold it
	invites map[string]invite
	fabric  []string // fabric addresses learned when joining

	members map[Fingerprint]Member // derived from roster
}

// stateFile is state on disk. One file, so that joining, leaving and using up an
// invitation are each one step.
type stateFile struct {
	Format  int       `json:"format"`
	Roster  rosterDoc `json:"roster"`
	Seed    []byte    `json:"swarm_seed,omitempty"`
	Invites []invite  `json:"invites,omitempty"`
	Fabric  []string  `json:"fabric,omitempty"`
}

func (st *state) clone() *state {
	c := *st
	c.invites = maps.Clone(st.invites)
	if c.invites == nil {
		c.invites = make(map[string]invite)
	}
	return &c
}

// derive finds out who is trusted, as self sees it: a node that was put out trusts nobody but
// itself, as nobody trusts it.
func (st *state) derive(self Fingerprint) {
	st.members = st.roster.members()
	if add, ok := st.roster.find(opAdd, self); ok && st.roster.revoked(self) {
		st.members = map[Fingerprint]Member{self: st.roster.member(add)}
	}
}

// holds reports whether this node has the swarm key.
func (st *state) holds() bool { return st.seed != nil }

func (st *state) swarmKey() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(st.seed) }

// aloneAs reports whether self has no other member beside it.
func (st *state) aloneAs(self Fingerprint) bool {
	for fp := range st.members {
		if fp != self {
			return false
		}
	}
	return true
}

// admit is nil for a member, and says why not for anybody else.
func (st *state) admit(fp Fingerprint) error {
	if _, ok := st.members[fp]; ok || protect.Roster.Off() {
		return nil
	}
	if st.roster.revoked(fp) {
		return &Error{
			Kind: ErrNotMember, Err: ErrRevoked,
			Cause: fmt.Sprintf("%s was put out of swarm %s", fp.NodeID(), clip(st.roster.name())),
		}
	}
	return &Error{
		Kind:  ErrNotMember,
		Cause: fmt.Sprintf("%s is not a member of swarm %s", fp.NodeID(), clip(st.roster.name())),
		Next:  "run `myco invite` on a member and `myco join` on the other node",
	}
}

// found makes the state of a new swarm with self as its only member.
func found(self Fingerprint, name, swarmName string, now time.Time) (*state, error) {
	pub, priv, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, fmt.Errorf("make swarm key: %w", err)
	}
	st := &state{roster: newRoster(pub), seed: priv.Seed()}
	st = st.clone()
	if err := st.sign(body{Op: opSwarm, N: 1, Name: swarmName, At: now}); err != nil {
		return nil, err
	}
	if err := st.sign(body{Op: opAdd, N: 1, Node: self, Name: name, Holder: true, By: self, At: now}); err != nil {
		return nil, err
	}
	return st, nil
}

// sign puts a record of the swarm key into the roster. The caller fills in what the
// record says; swarm and epoch are set here. st must be a clone.
func (st *state) sign(b body) error {
	if !st.holds() {
		return errNotHolder(st)
	}
	return st.put(st.swarmKey(), b)
}

func (st *state) put(key ed25519.PrivateKey, b body) error {
	b.Swarm, b.Epoch, b.At = st.roster.id, firstEpoch, b.At.UTC().Truncate(time.Second)
	if err := b.validate(); err != nil {
		return err
	}
	e, err := sign(key, b)
	if err != nil {
		return err
	}
	next, _ := st.roster.merge(e)
	if _, err := next.encode(); err != nil {
		return err
	}
	st.roster, st.members = next, next.members()
	return nil
}

// maySign is nil where self holds the swarm key and was not put out.
func (st *state) maySign(self Fingerprint) error {
	switch {
	case st.roster.revoked(self):
		return errPutOut(st, self)
	case !st.holds():
		return errNotHolder(st)
	}
	return nil
}

func errPutOut(st *state, self Fingerprint) error {
	return &Error{
		Kind: ErrNotMember, Err: ErrRevoked,
		Cause: fmt.Sprintf("this node, %s, was put out of swarm %s", self.NodeID(), clip(st.roster.name())),
		Next:  "run `myco leave` to go on with a swarm of its own",
	}
}

func errNotHolder(st *state) error {
	cause := fmt.Sprintf("this node does not hold the key of swarm %s", clip(st.roster.name()))
	who := st.roster.holders()
	if who == "" {
		return &Error{Kind: ErrNotHolder, Cause: cause + ", and no other member does", Next: "run `myco nodes recover`, with the swarm's recovery phrase"}
	}
	return &Error{Kind: ErrNotHolder, Cause: cause, Next: "run the command on " + who}
}

func (st *state) save(dir string) error {
	f := stateFile{Format: stateFormat, Roster: st.roster.doc(), Seed: st.seed, Fabric: st.fabric}
	for _, id := range slices.Sorted(maps.Keys(st.invites)) {
		f.Invites = append(f.Invites, st.invites[id])
	}
	b, err := json.MarshalIndent(f, "", " ")
	if err != nil {
		return fmt.Errorf("encode swarm state: %w", err)
	}
	return writePrivate(filepath.Join(dir, stateName), append(b, '\n'))
}

// loadState reads the swarm state in dir, and trusts nothing in it that is not
// signed. It reports fs.ErrNotExist when there is none.
func loadState(dir string, self Fingerprint) (*state, error) {
	path := filepath.Join(dir, stateName)
	b, err := readPrivate(path)
	if err != nil {
		return nil, err
	}
	var f stateFile
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, damaged(path, err)
	}
	if f.Format > stateFormat {
		return nil, &Error{
			Kind:  ErrUnreadable,
			Cause: fmt.Sprintf("%s has format %d, and this version reads up to %d", path, f.Format, stateFormat),
			Next:  "install the newer mycod again",
		}
	}
	st := &state{fabric: f.Fabric, invites: make(map[string]invite)}
	if st.roster, err = rosterOf(f.Roster); err != nil {
		return nil, damaged(path, err)
	}
	if f.Seed != nil {
		if len(f.Seed) != ed25519.SeedSize || !ed25519.NewKeyFromSeed(f.Seed).Public().(ed25519.PublicKey).Equal(st.roster.key) {
			return nil, damaged(path, errors.New("the swarm seed is not that of the swarm"))
		}
		st.seed = f.Seed
	}
	if !st.roster.added(self) {
		return nil, &Error{
			Kind:  ErrUnreadable,
			Cause: fmt.Sprintf("%s and %s do not belong together: the node of this key, %s, was never in that swarm", path, keyFile, self.NodeID()),
			Next:  "restore both from one backup, or move the identity directory away to start as a new node",
		}
	}
	for _, i := range f.Invites {
		st.invites[i.ID] = i
	}
	st.derive(self)
	return st, nil
}

// openState loads the state in dir or founds a swarm there.
func openState(dir string, self Fingerprint, name, swarmName string, now time.Time) (*state, error) {
	st, err := loadState(dir, self)
	if !errors.Is(err, fs.ErrNotExist) {
		return st, err
	}
	if st, err = found(self, name, swarmName, now); err != nil {
		return nil, err
	}
	return st, st.save(dir)
}
