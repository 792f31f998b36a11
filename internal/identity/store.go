package identity

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Options are what Open may be told.
type Options struct {
	// Name is this node's name for people; the host's name, cleaned, when empty.
	// Where this node holds the swarm key a changed name takes effect at Open;
	// elsewhere the roster's name stays.
	Name string
	// SwarmName names a swarm that is founded; Name and "-swarm" when empty.
	SwarmName string
	// Now is the clock; time.Now when nil.
	Now func() time.Time
	// Logger gets who joined and who was refused, never a secret; slog.Default
	// when nil.
	Logger *slog.Logger
}

// Info is what a swarm is, as seen from this node.
type Info struct {
	ID   SwarmID
	Name string
	// Founder says that this node holds the swarm key, so it can invite and revoke.
	Founder bool
	// Revoked says that this node was put out of the swarm and is a member no more.
	Revoked bool
}

// Store is a node's identity and its swarm, kept in one directory. Its methods may
// be called concurrently; what they change is on disk when they return without an error.
type Store struct {
	dir         string
	key         nodeKey
	cert        tls.Certificate
	begun       begun
	now         func() time.Time
	log         *slog.Logger
	joinTimeout time.Duration
	strangers   *limiter

	cur atomic.Pointer[state] // read anywhere; written with mu held

	mu        sync.Mutex
	callbacks map[int]func()
	lastID    int
	unsaved   bool // cur could not be written

	handover handover
}

// Open loads the identity under dataDir, or makes a key and founds a swarm of one.
// It fails with ErrUnreadable when the directory or a file in it cannot be used;
// nothing that is there is then overwritten. Only one Store may be open on a
// directory at a time.
func Open(dataDir string, o Options) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	given := o.Name
	if given == "" {
		host, _ := os.Hostname()
		o.Name = CleanName(strings.TrimSuffix(host, ".local"))
	}
	if o.SwarmName == "" {
		o.SwarmName = CleanName(o.Name + "-swarm")
	}
	if err := errors.Join(checkName(o.Name), checkName(o.SwarmName)); err != nil {
		return nil, err
	}
	s := &Store{
		begun: newStart(), dir: filepath.Join(dataDir, dirName), now: o.Now, log: o.Logger,
		joinTimeout: joinTimeout, strangers: newLimiter(), callbacks: make(map[int]func()),
	}
	if err := s.load(o); err != nil {
		return nil, err
	}
	if i := s.Swarm(); given != "" && given != s.Name() && i.Founder && !i.Revoked {
		if err := s.rename(given); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *Store) load(o Options) error {
	if err := makePrivateDir(s.dir); err != nil {
		return err
	}
	if err := cleanPrivate(s.dir); err != nil {
		return err
	}
	var err error
	if s.key, err = openKey(s.dir); err != nil {
		return err
	}
	if s.cert, err = selfSigned(s.key); err != nil {
		return err
	}
	st, err := openState(s.dir, s.key.fp, o.Name, o.SwarmName, s.now())
	if err != nil {
		return err
	}
	s.cur.Store(st)
	return nil
}

// NodeID is this node's id.
func (s *Store) NodeID() bus.NodeID { return s.key.fp.NodeID() }

// Fingerprint is this node's whole key hash.
func (s *Store) Fingerprint() Fingerprint { return s.key.fp }

// Name is this node's name in the roster. The inviter may have changed the name
// that was asked for, where another member has it.
func (s *Store) Name() string {
	b, _ := s.cur.Load().roster.find(opAdd, s.key.fp)
	return b.Name
}

// Swarm describes the swarm that this node is in.
func (s *Store) Swarm() Info { return s.info(s.cur.Load()) }

func (s *Store) info(st *state) Info {
	return Info{
		ID: st.roster.id, Name: st.roster.name(),
		Founder: st.holds(), Revoked: st.roster.revoked(s.key.fp),
	}
}

// Members lists the nodes that the roster trusts now, this one with them, by name.
func (s *Store) Members() []Member {
	st := s.cur.Load()
	out := make([]Member, 0, len(st.members))
	for _, m := range st.members {
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
	return out
}

// Member finds a member by its key; ok is false for anybody else.
func (s *Store) Member(fp Fingerprint) (m Member, ok bool) {
	m, ok = s.cur.Load().members[fp]
	return m, ok
}

// Fabric is the list of fabric addresses that the inviter gave when this node
// joined; empty for a founder.
func (s *Store) Fabric() []string { return slices.Clone(s.cur.Load().fabric) }

// OnChange calls fn after each change of the roster: new member, leave, revocation,
// another swarm. fn runs in the goroutine that made the change, without locks held,
// possibly at the same time as another call, and must not block. stop ends it.
func (s *Store) OnChange(fn func()) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastID++
	id := s.lastID
	s.callbacks[id] = fn
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.callbacks, id)
	}
}

// errUnchanged ends an update that has nothing to write.
var errUnchanged = errors.New("unchanged")

// update makes one change: on a clone, to disk, and only then visible.
func (s *Store) update(change func(next *state) error) error { return s.updateOr(false, change) }

// updateOr is update; with anyway the change holds as well where it cannot be written.
func (s *Store) updateOr(anyway bool, change func(next *state) error) error {
	fns, err := s.updateLocked(anyway, change)
	for _, fn := range fns {
		fn()
	}
	return err
}

// updateLocked gives the callbacks that the change calls for.
func (s *Store) updateLocked(anyway bool, change func(next *state) error) ([]func(), error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.cur.Load()
	next := old.clone()
	err := change(next)
	switch {
	case errors.Is(err, errUnchanged) && anyway && s.unsaved: // perhaps it can be now
	case errors.Is(err, errUnchanged):
		return nil, nil
	case err != nil:
		return nil, err
	}
	next.derive(s.key.fp)
	if err = next.save(s.dir); err != nil && !anyway {
		return nil, err
	}
	s.unsaved = err != nil
	s.cur.Store(next)
	if _, changed := old.roster.merge(next.roster.list()...); !changed && old.roster.id == next.roster.id {
		return nil, err
	}
	fns := make([]func(), 0, len(s.callbacks))
	for _, fn := range s.callbacks {
		fns = append(fns, fn)
	}
	return fns, err
}

// rename gives this node another name, with a number behind it where another member has that one, as for who joins.
func (s *Store) rename(name string) error {
	return s.update(func(next *state) error {
		if name = next.freeName(name, s.key.fp); name == s.Name() {
			return errUnchanged
		}
		add, _ := next.roster.find(opAdd, s.key.fp)
		return next.sign(body{
			Op: opAdd, N: next.roster.next(s.key.fp), Node: s.key.fp, Name: name, Holder: true, By: add.By, At: add.At,
		})
	})
}

// Export gives the whole roster as JSON of at most MaxRosterBytes, for Import on
// another member. It holds no secret.
func (s *Store) Export() []byte {
	b, err := s.cur.Load().roster.encode()
	if err != nil { // every change was checked against the limits
		s.log.Error("roster cannot be encoded", "error", err)
	}
	return b
}

// Import takes in what another member exported: what is validly signed for this
// swarm counts, at once and for good. Where the swarm's key was replaced, this node goes
// along, and its swarm has another id from then on. The rest is named in the error (ErrForeign
// or ErrProtocol), which may come together with changed; ErrNotMember says that the swarm has
// another key and this node is not among its members. ErrUnreadable says that what counts could
// not be written: it counts until this process ends, for no full disk may keep a node in that was
// put out, and the next Import tries again.
func (s *Store) Import(data []byte) (changed bool, err error) {
	d, err := decodeRosterDoc(data)
	if err != nil {
		return false, err
	}
	var refused error
	err = s.updateOr(true, func(next *state) error {
		if d.Swarm != next.roster.id {
			changed, err = s.follow(next, d)
			return err
		}
		var good []entry
		good, refused = next.roster.check(d)
		merged, ok := next.roster.merge(good...)
		if !ok {
			return errUnchanged
		}
		if _, err := merged.encode(); err != nil {
			return err
		}
		next.roster, changed = merged, true
		return nil
	})
	if err = cmp.Or(err, refused); err != nil {
		return changed, fmt.Errorf("import roster: %w", err)
	}
	return changed, nil
}
