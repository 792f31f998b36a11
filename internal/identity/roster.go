package identity

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

const (
	rosterVersion = 1

	// MaxRosterBytes bounds a roster on the wire: it fits one bus message.
	MaxRosterBytes = 960 << 10

	maxRecords = 4096
)

// SwarmID names a swarm: the SHA-256 of its public key's SubjectPublicKeyInfo as
// 64 lower-case hex digits.
type SwarmID string

// Short is the first 12 digits, for people.
func (id SwarmID) Short() string {
	return string(id[:min(len(id), 12)])
}

func swarmIDOf(pub ed25519.PublicKey) SwarmID {
	return SwarmID(fingerprintOf(pub))
}

// Member is a node that the roster trusts now.
type Member struct {
	Node        bus.NodeID
	Fingerprint Fingerprint
	Name        string
	// Holder says that the node holds the swarm key and so can invite and revoke.
	Holder bool
	// Since is when it became a member, by the clock of whoever let it in.
	Since time.Time
	// By is the member that let it in; empty where a version before this one did.
	By Fingerprint
}

// roster is what one swarm knows about who belongs to it. It is a value: merge
// makes a new one. Kept are the highest entries of each slot, so merging rosters in
// any order, any grouping and any number of times gives the same result.
type roster struct {
	id      SwarmID
	key     ed25519.PublicKey
	entries map[string]entry
	past    []record // successions that led here, the oldest first
}

func newRoster(key ed25519.PublicKey) roster {
	return roster{id: swarmIDOf(key), key: key}
}

// merge adds verified entries of the same swarm, and reports whether they changed
// anything. A leave counts only for a node that was added: anybody could sign one
// for a key that nobody knows.
func (r roster) merge(add ...entry) (roster, bool) {
	out := roster{id: r.id, key: r.key, entries: maps.Clone(r.entries), past: r.past}
	if out.entries == nil {
		out.entries = make(map[string]entry, len(add))
	}
	changed := false
	for _, leaves := range []bool{false, true} {
		for _, e := range add {
			if (e.body.Op == opLeave) != leaves {
				continue
			}
			if leaves && !out.added(e.body.Node) {
				continue
			}
			if old, ok := out.entries[e.slot()]; !ok || e.compare(old) > 0 {
				out.entries[e.slot()] = e
				changed = true
			}
		}
	}
	return out, changed
}

func (r roster) find(o op, node Fingerprint) (body, bool) {
	e, ok := r.entries[entry{body: body{Op: o, Node: node}}.slot()]
	return e.body, ok
}

func (r roster) added(node Fingerprint) bool {
	_, ok := r.find(opAdd, node)
	return ok
}

// revoked reports whether node was put out in the epoch it was added in or later.
func (r roster) revoked(node Fingerprint) bool {
	add, _ := r.find(opAdd, node)
	rev, ok := r.find(opRevoke, node)
	return ok && rev.Epoch >= add.Epoch
}

// isMember reports whether node was added and has neither left nor been revoked.
func (r roster) isMember(node Fingerprint) bool {
	add, ok := r.find(opAdd, node)
	if !ok || r.revoked(node) {
		return false
	}
	leave, left := r.find(opLeave, node)
	return !left || leave.Epoch < add.Epoch || (leave.Epoch == add.Epoch && leave.N < add.N)
}

// next is the count for a new record about node.
func (r roster) next(node Fingerprint) int64 {
	n := int64(0)
	for _, o := range []op{opSwarm, opAdd, opRevoke, opLeave, opHolder} {
		if b, ok := r.find(o, node); ok {
			n = max(n, b.N)
		}
	}
	return n + 1
}

// name is the swarm's name.
func (r roster) name() string {
	b, _ := r.find(opSwarm, "")
	return b.Name
}

// members lists who is trusted now.
func (r roster) members() map[Fingerprint]Member {
	out := make(map[Fingerprint]Member)
	for _, e := range r.entries {
		b := e.body
		if b.Op == opAdd && r.isMember(b.Node) {
			out[b.Node] = r.member(b)
		}
	}
	return out
}

// member describes whoever add lets in.
func (r roster) member(add body) Member {
	return Member{
		Node: add.Node.NodeID(), Fingerprint: add.Node, Name: add.Name, Holder: r.holder(add), Since: add.At, By: add.By,
	}
}

// holder reports whether the node that add lets in has been given the swarm key since.
func (r roster) holder(add body) bool {
	given, ok := r.find(opHolder, add.Node)
	return add.Holder || ok && (given.Epoch > add.Epoch || given.Epoch == add.Epoch && given.N > add.N)
}

// rosterDoc is a roster as JSON, on disk and on the wire. What a newer version adds
// to a record is inside the record's signed body, which is kept as it is.
type rosterDoc struct {
	Version int      `json:"v"`
	Swarm   SwarmID  `json:"swarm"`
	Key     []byte   `json:"key"`
	Records []record `json:"records"`
	// Past is how the swarm came by its key, where that was replaced.
	Past []record `json:"past,omitempty"`
}

func (r roster) doc() rosterDoc {
	d := rosterDoc{Version: rosterVersion, Swarm: r.id, Key: r.key, Past: r.past}
	for _, slot := range slices.Sorted(maps.Keys(r.entries)) {
		d.Records = append(d.Records, r.entries[slot].rec)
	}
	return d
}

// encode gives the wire form. It fails with ErrTooMany when that is too large.
func (r roster) encode() ([]byte, error) {
	b, err := json.Marshal(r.doc())
	if err != nil {
		return nil, fmt.Errorf("encode roster: %w", err)
	}
	if len(b) > MaxRosterBytes || len(r.entries) > maxRecords {
		return nil, &Error{
			Kind:  ErrTooMany,
			Cause: fmt.Sprintf("the roster has %d records in %d bytes; %d and %d are the limits", len(r.entries), len(b), maxRecords, MaxRosterBytes),
		}
	}
	return b, nil
}

func decodeRosterDoc(b []byte) (rosterDoc, error) {
	var d rosterDoc
	if len(b) > MaxRosterBytes {
		return d, fmt.Errorf("%w: a roster of %d bytes; the limit is %d", ErrProtocol, len(b), MaxRosterBytes)
	}
	if err := json.Unmarshal(b, &d); err != nil {
		return d, fmt.Errorf("%w: read roster: %w", ErrProtocol, err)
	}
	return d, nil
}

// rosterOf checks a whole document on its own: the key fits the id, every record is
// valid. It is used where all of it must be right: from disk and when joining.
func rosterOf(d rosterDoc) (roster, error) {
	if len(d.Key) != ed25519.PublicKeySize || swarmIDOf(d.Key) != d.Swarm {
		return roster{}, fmt.Errorf("%w: the swarm's key and id do not belong together", ErrForeign)
	}
	r := newRoster(d.Key)
	add, err := r.check(d)
	if err == nil {
		_, err = readPast(d)
	}
	if err != nil {
		return roster{}, err
	}
	r.past = d.Past
	r, _ = r.merge(add...)
	return r, nil
}

// check verifies the records of d that r does not hold yet. Bad ones are left out
// and named in the error; the good ones count all the same, for one bad record must
// not stop a revocation from spreading.
func (r roster) check(d rosterDoc) ([]entry, error) {
	switch {
	case d.Version != rosterVersion:
		return nil, fmt.Errorf("%w: a roster of version %d; this program reads %d", ErrProtocol, d.Version, rosterVersion)
	case d.Swarm != r.id:
		return nil, &Error{Kind: ErrForeign, Cause: fmt.Sprintf("a roster of another swarm (%s; this is %s)", clip(d.Swarm.Short()), r.id.Short())}
	case len(d.Records) > maxRecords:
		return nil, fmt.Errorf("%w: a roster of %d records; the limit is %d", ErrProtocol, len(d.Records), maxRecords)
	}
	var (
		good []entry
		bad  []error
	)
	for _, rec := range d.Records {
		e, known := r.held(rec)
		if !known {
			var err error
			if e, err = verify(rec, r.id, r.key); err != nil {
				bad = append(bad, err)
				continue
			}
		}
		good = append(good, e)
	}
	if len(bad) > 0 {
		first := bad[0]
		return good, fmt.Errorf("%d of %d records refused: %w", len(bad), len(d.Records), first)
	}
	return good, nil
}

// held finds a record that was verified before, to save doing it again.
func (r roster) held(rec record) (entry, bool) {
	var b body
	if len(rec.Body) > maxRecordBytes || json.Unmarshal([]byte(rec.Body), &b) != nil {
		return entry{}, false
	}
	e := entry{rec: rec, body: b}
	old, ok := r.entries[e.slot()]
	return e, ok && old.rec.equal(rec)
}

// holders names the members that hold the swarm key, for messages.
func (r roster) holders() string {
	var names []string
	for fp, m := range r.members() {
		if m.Holder {
			names = append(names, fmt.Sprintf("%s (%s)", m.Name, fp.NodeID()))
		}
	}
	slices.Sort(names)
	return strings.Join(names, " or ")
}

// clip makes text from a peer safe to print.
func clip(s string) string {
	if checkName(s) != nil {
		return "unnamed"
	}
	return s
}

// list gives all entries, in no order.
func (r roster) list() []entry {
	return slices.Collect(maps.Values(r.entries))
}
