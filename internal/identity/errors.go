package identity

import (
	"errors"
	"strings"
)

// The kinds of failure. Every error that this package returns to a caller is an
// *Error, or wraps one of these or an error of the operating system; test with
// errors.Is.
var (
	// ErrBadToken says that a text is no join token, is damaged, or names an
	// invitation that the inviter does not know.
	ErrBadToken = errors.New("bad token")
	// ErrTokenExpired says that an invitation was right, but is older than its inviter allowed.
	ErrTokenExpired = errors.New("token expired")
	// ErrTokenUsed says that another node has joined with this invitation.
	ErrTokenUsed = errors.New("token already used")
	// ErrForeign says that a key, a record or a roster belongs to another swarm or
	// another node than the one expected.
	ErrForeign = errors.New("foreign key or swarm")
	// ErrNotMember says that a peer's key is not, or no longer, in the roster.
	ErrNotMember = errors.New("not a member")
	// ErrUnreachable says that no address of the inviter answered.
	ErrUnreachable = errors.New("inviter unreachable")
	// ErrOtherSwarm says that this node is a member of a swarm with other members
	// and so does not join another one.
	ErrOtherSwarm = errors.New("already in another swarm")
	// ErrNotHolder says that the action needs the swarm's key, which is elsewhere.
	ErrNotHolder = errors.New("not a holder of the swarm key")
	// ErrRevoked says that the node was put out of the swarm.
	ErrRevoked = errors.New("node revoked")
	// ErrTooMany says that a limit on attempts, invitations or members is reached.
	ErrTooMany = errors.New("too many")
	// ErrUnreadable says that the identity directory cannot be read, written or
	// trusted as it is.
	ErrUnreadable = errors.New("identity unreadable")
	// ErrBadPhrase says that a text is no recovery phrase, or is damaged.
	ErrBadPhrase = errors.New("bad recovery phrase")
	// ErrProtocol says that a peer sent something that the protocol does not allow.
	ErrProtocol = errors.New("protocol violated")
	// ErrBadInput says that a name, an address or a node id is not valid.
	ErrBadInput = errors.New("bad input")
)

// Error is a failure that a person reads: what is wrong, and what to try next.
type Error struct {
	// Kind is one of the package's Err values.
	Kind error
	// Cause says what is wrong, in one clause.
	Cause string
	// Next names the command or the act that helps; it may be empty.
	Next string
	// Err is the error underneath, if any.
	Err error
}

// Error gives cause, underlying error and next step in one line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Cause)
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	if e.Next != "" {
		b.WriteString("; ")
		b.WriteString(e.Next)
	}
	return b.String()
}

// Unwrap makes errors.Is and errors.As see both the kind and the error underneath.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}

const (
	nextInvite = "run `myco invite` on a member for a fresh token"
	nextCopy   = "copy the whole token again, or run `myco invite` on a member for a fresh one"
	nextLeave  = "run `myco leave` first"
)

func errBadToken(cause, next string) error {
	return &Error{Kind: ErrBadToken, Cause: cause, Next: next}
}
