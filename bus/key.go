package bus

import (
	"context"
	"time"
	"unicode"
)

// Verbs about the keys of HTTP, on SubjectPayloadRPC.
const (
	VerbKeyCreate = "key_create" // KeyRequest -> NewKey
	VerbKeys      = "keys"       // -> []KeyInfo
	VerbKeyRevoke = "key_revoke" // KeyInfo with its ID -> KeyInfo
)

// HeaderGateway is set on every answer of a node's HTTP port. What has it is no engine: a node that
// took a node for one, or itself, would have every model of the swarm, and ask itself.
const HeaderGateway = "X-Myco-Gateway"

// KeyPrefix begins every key that CreateKey makes.
const KeyPrefix = "myco-key-"

// Limits of a KeyRequest.
const (
	// MaxKeyName is the longest name of a key, in bytes.
	MaxKeyName = 64
	// maxKeyRate and maxKeyConcurrent are beyond what one node answers.
	maxKeyRate, maxKeyConcurrent = 1_000_000, 10_000
)

// KeyRequest asks for a key to a node's HTTP port.
type KeyRequest struct {
	// Name is for people.
	Name string `json:"name,omitempty"`
	// PerMinute is how many requests a minute the key may make, as many of them at once; 0: any number.
	PerMinute int `json:"per_minute,omitempty"`
	// Concurrent is how many of its requests may be under way at one time; 0: any number.
	Concurrent int `json:"concurrent,omitempty"`
	// Admin lets it pull and delete models, and have pages of the web fetched, too.
	Admin bool `json:"admin,omitempty"`
}

// Validate reports what is out of range, as an Error with CodeInvalid.
func (r KeyRequest) Validate() error {
	switch {
	case len(r.Name) > MaxKeyName:
		return Errorf(CodeInvalid, "the name of the key has %d bytes, want at most %d", len(r.Name), MaxKeyName)
	case r.PerMinute < 0 || r.PerMinute > maxKeyRate:
		return Errorf(CodeInvalid, "%d requests a minute: want 1 to %d", r.PerMinute, maxKeyRate)
	case r.Concurrent < 0 || r.Concurrent > maxKeyConcurrent:
		return Errorf(CodeInvalid, "%d requests at one time: want 1 to %d", r.Concurrent, maxKeyConcurrent)
	}
	for _, c := range r.Name {
		if !unicode.IsPrint(c) {
			return Errorf(CodeInvalid, "the name of the key holds %q: want what can be printed", c)
		}
	}
	return nil
}

// KeyInfo tells of a key, without what is presented.
type KeyInfo struct {
	ID      string    `json:"id"`
	Created time.Time `json:"created,omitzero"`
	KeyRequest
}

// User is the Task.User of requests with the key.
func (k KeyInfo) User() string { return "key-" + k.ID }

// NewKey is a key, and what is presented: shown this once, and kept nowhere.
type NewKey struct {
	KeyInfo
	Key string `json:"key"`
}

// CreateKey makes a key to the HTTP port of the daemon's node.
func (c *Conn) CreateKey(ctx context.Context, r KeyRequest) (NewKey, error) {
	if err := r.Validate(); err != nil {
		return NewKey{}, err
	}
	return call[NewKey](ctx, c, SubjectPayloadRPC(c.NodeID(), VerbKeyCreate), r)
}

// Keys lists the keys that were created on the daemon's node and not revoked, oldest first.
func (c *Conn) Keys(ctx context.Context) ([]KeyInfo, error) {
	return call[[]KeyInfo](ctx, c, SubjectPayloadRPC(c.NodeID(), VerbKeys), struct{}{})
}

// RevokeKey ends a key by its ID: it is refused at once, and what it has under way is cancelled.
// CodeNotFound where there is none.
func (c *Conn) RevokeKey(ctx context.Context, id string) (KeyInfo, error) {
	return call[KeyInfo](ctx, c, SubjectPayloadRPC(c.NodeID(), VerbKeyRevoke), KeyInfo{ID: id})
}
