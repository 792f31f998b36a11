package identity

import (
	"cmp"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// op is what a record does. A record whose op this version does not know is kept
// and passed on, and has no effect.
type op string

const (
	opSwarm  op = "swarm"  // gives the swarm its name
	opAdd    op = "add"    // makes node a member called name
	opRevoke op = "revoke" // puts node out, for good within the epoch
	opLeave  op = "leave"  // node leaves; signed by the node itself
	opHolder op = "holder" // node was given the swarm key

	// opSucceed gives the swarm another key; it is in no roster, see succession.go.
	opSucceed op = "succeed"
)

const (
	firstEpoch = 1
	maxCounter = 1 << 32 // of epoch and n: room to count, none to overflow

	maxRecordBytes = 4 << 10
	maxNameLen     = 63

	recordContext = "mycoswarm roster record v1\x00"
)

// body is the signed part of a record.
type body struct {
	Op    op      `json:"op"`
	Swarm SwarmID `json:"swarm"`
	// Epoch counts the rotations of the swarm's trust, from 1.
	Epoch int64 `json:"epoch"`
	// N counts the records about one node, from 1. A leave undoes every add up to
	// its own N, so a node that left can be added again with a higher one. Joining
	// always takes a higher one, so a leave that spreads late undoes nothing newer.
	N    int64       `json:"n"`
	Node Fingerprint `json:"node,omitempty"`
	Name string      `json:"name,omitempty"`
	// Holder says that the node added holds the swarm key.
	Holder bool `json:"holder,omitempty"`
	// By is the holder of the swarm key that made the record, by its own word: every holder
	// signs with the same key. It is for people, as At is.
	By Fingerprint `json:"by,omitempty"`
	// Next is the swarm that takes the place of this one.
	Next SwarmID `json:"next,omitempty"`
	// At is when it was signed, for people; nothing is decided by it.
	At time.Time `json:"at"`
}

// record is a signed statement on the wire and on disk. Body is kept byte for byte,
// so fields that a newer version put there survive, signature and all.
type record struct {
	Body string `json:"body"`
	Key  []byte `json:"key"` // the signer's public key
	Sig  []byte `json:"sig"` // over recordContext and Body
}

// entry is a record whose signature and right to speak have been checked.
type entry struct {
	rec  record
	body body
}

func sign(priv ed25519.PrivateKey, b body) (entry, error) {
	raw, err := json.Marshal(b)
	if err != nil {
		return entry{}, fmt.Errorf("encode record: %w", err)
	}
	return entry{
		rec: record{
			Body: string(raw),
			Key:  priv.Public().(ed25519.PublicKey),
			Sig:  ed25519.Sign(priv, append([]byte(recordContext), raw...)),
		},
		body: b,
	}, nil
}

// verify checks that r was signed by somebody who may say this in the swarm whose
// key is swarmKey.
func verify(r record, swarm SwarmID, swarmKey ed25519.PublicKey) (entry, error) {
	if len(r.Body) > maxRecordBytes {
		return entry{}, fmt.Errorf("%w: a record is larger than %d bytes", ErrProtocol, maxRecordBytes)
	}
	if len(r.Key) != ed25519.PublicKeySize || len(r.Sig) != ed25519.SignatureSize {
		return entry{}, fmt.Errorf("%w: a record has no proper key or signature", ErrProtocol)
	}
	var b body
	if err := json.Unmarshal([]byte(r.Body), &b); err != nil {
		return entry{}, fmt.Errorf("%w: read record: %w", ErrProtocol, err)
	}
	if b.Swarm != swarm {
		return entry{}, fmt.Errorf("%w: a record of swarm %s", ErrForeign, b.Swarm.Short())
	}
	if err := b.validate(); err != nil {
		return entry{}, err
	}
	signer := ed25519.PublicKey(r.Key)
	mayTell := signer.Equal(swarmKey)
	if b.Op == opLeave {
		mayTell = fingerprintOf(signer) == b.Node
	}
	if !mayTell {
		return entry{}, fmt.Errorf("%w: a record %q signed by a key without the right to", ErrForeign, b.Op)
	}
	if !ed25519.Verify(signer, append([]byte(recordContext), r.Body...), r.Sig) {
		return entry{}, fmt.Errorf("%w: a record %q with a wrong signature", ErrForeign, b.Op)
	}
	return entry{rec: r, body: b}, nil
}

func (b body) validate() error {
	if b.Epoch < firstEpoch || b.Epoch > maxCounter || b.N < 1 || b.N > maxCounter {
		return fmt.Errorf("%w: a record %q with epoch or count out of range", ErrProtocol, b.Op)
	}
	switch b.Op {
	case opAdd:
		if err := checkName(b.Name); err != nil {
			return err
		}
	case opSwarm:
		if b.Node != "" {
			return fmt.Errorf("%w: a record %q about a node", ErrProtocol, b.Op)
		}
		return checkName(b.Name)
	case opRevoke, opLeave, opHolder:
	default:
		return nil
	}
	if b.By != "" && !b.By.valid() {
		return fmt.Errorf("%w: a record %q by nobody", ErrProtocol, b.Op)
	}
	if !b.Node.valid() {
		return fmt.Errorf("%w: a record %q without a proper fingerprint", ErrProtocol, b.Op)
	}
	return nil
}

// slot is the place of an entry in the roster: of those in one slot the highest
// stays. What this version does not understand never displaces anything.
func (e entry) slot() string {
	switch e.body.Op {
	case opSwarm, opAdd, opRevoke, opLeave, opHolder:
		return string(e.body.Op) + " " + string(e.body.Node)
	default:
		return "~ " + e.rec.Body
	}
}

// compare orders the entries of one slot: by epoch, by count, and then by content,
// so that every node keeps the same one.
func (e entry) compare(o entry) int {
	return cmp.Or(
		cmp.Compare(e.body.Epoch, o.body.Epoch),
		cmp.Compare(e.body.N, o.body.N),
		strings.Compare(e.rec.Body, o.rec.Body),
		strings.Compare(string(e.rec.Sig), string(o.rec.Sig)),
	)
}

// equal reports whether two records are the same bytes.
func (r record) equal(o record) bool {
	return r.Body == o.Body && string(r.Key) == string(o.Key) && string(r.Sig) == string(o.Sig)
}

// checkName accepts 1 to 63 bytes of letters, digits, '.', '-' and '_': what may
// stand in a table and in a command line without surprises.
func checkName(name string) error {
	if name == "" || len(name) > maxNameLen || !utf8.ValidString(name) {
		return &Error{
			Kind: ErrBadInput, Cause: fmt.Sprintf("%q is not a name", name),
			Next: "give 1 to 63 letters, digits, dots, dashes or underscores with --name",
		}
	}
	for i, r := range name {
		if !nameRune(r) || (i == 0 && (r == '-' || r == '.')) {
			return &Error{
				Kind: ErrBadInput, Cause: fmt.Sprintf("%q is not a name: it holds or begins with %q", name, r),
				Next: "give letters, digits, dots, dashes or underscores with --name",
			}
		}
	}
	return nil
}

func nameRune(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '.' || r == '-' || r == '_'
}

// CleanName makes a valid node name of any text, a host name for instance: what is
// not allowed becomes a dash, and nothing at all becomes "node".
func CleanName(s string) string {
	s = strings.Map(func(r rune) rune {
		if r != utf8.RuneError && nameRune(r) {
			return r
		}
		return '-'
	}, s)
	s = strings.Trim(s, "-.")
	for len(s) > maxNameLen {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	if s == "" {
		return "node"
	}
	return s
}
