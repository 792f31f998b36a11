package bus

import (
	"crypto/rand"
	"fmt"
	"strings"
)

// NodeID names a node: "myco-" and the first 12 hex digits of the SHA-256 of its public
// key (the SubjectPublicKeyInfo of RFC 5280). It is a valid subject token.
type NodeID string

const nodePrefix, nodeDigits = "myco-", 12

// Validate reports whether id has the form of a node id.
func (id NodeID) Validate() error {
	if len(id) != len(nodePrefix)+nodeDigits || id[:len(nodePrefix)] != nodePrefix {
		return Errorf(CodeInvalid, "%q is not a node id (want %s and %d hex digits)", string(id), nodePrefix, nodeDigits)
	}
	for _, c := range []byte(id[len(nodePrefix):]) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return Errorf(CodeInvalid, "%q is not a node id (want %s and %d hex digits)", string(id), nodePrefix, nodeDigits)
		}
	}
	return nil
}

// NodeIDOf makes a node id from the hex SHA-256 of a node's public key.
func NodeIDOf(fingerprint string) (NodeID, error) {
	if len(fingerprint) != 64 {
		return "", fmt.Errorf("fingerprint has %d hex digits, want 64", len(fingerprint))
	}
	id := NodeID(nodePrefix + fingerprint[:nodeDigits])
	return id, id.Validate()
}

// TaskID names a task in its whole swarm: 1 to 64 letters, digits, '-' or '_'.
// Equal ids are the same task: submitting one twice runs it once.
type TaskID string

// NewTaskID returns an id that nobody else makes, and nobody guesses: 110 random bits. Those that a program makes one
// after the other differ from their beginnings on, by which people name tasks.
func NewTaskID() TaskID { return TaskID(strings.ToLower(rand.Text()[:22])) }

// Validate reports whether id is a valid task id.
func (id TaskID) Validate() error {
	if len(id) == 0 || len(id) > 64 {
		return Errorf(CodeInvalid, "task id has %d characters, want 1 to 64", len(id))
	}
	for _, c := range []byte(id) {
		if !plain(c) {
			return Errorf(CodeInvalid, "task id %q: only letters, digits, '-' and '_'", string(id))
		}
	}
	return nil
}
