package daemon

import (
	"errors"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/identity"
)

// identityError turns a failure of package identity into an Error that crosses the wire. A text
// that is no token at all is the caller's mistake, CodeInvalid; a token that lets nobody in is
// CodeForbidden.
func identityError(err error) error {
	var e *identity.Error
	if !errors.As(err, &e) {
		return bus.AsError(err)
	}
	code := bus.CodeInternal
	switch {
	case errors.Is(err, identity.ErrOtherSwarm):
		code = bus.CodeConflict
	case errors.Is(err, identity.ErrUnreachable):
		code = bus.CodeUnavailable
	case errors.Is(err, identity.ErrTooMany):
		code = bus.CodeBusy
	case errors.Is(err, identity.ErrBadInput), errors.Is(err, identity.ErrBadPhrase),
		errors.Is(err, identity.ErrBadToken) && strings.Contains(e.Cause, "not a join token"):
		code = bus.CodeInvalid
	case errors.Is(err, identity.ErrBadToken), errors.Is(err, identity.ErrTokenExpired), errors.Is(err, identity.ErrTokenUsed),
		errors.Is(err, identity.ErrForeign), errors.Is(err, identity.ErrRevoked), errors.Is(err, identity.ErrNotHolder),
		errors.Is(err, identity.ErrUnreadable), errors.Is(err, identity.ErrNotMember):
		code = bus.CodeForbidden
	}
	message := e.Cause
	if e.Err != nil {
		message += ": " + e.Err.Error()
	}
	return bus.Errorf(code, "%s", message).WithHint("%s", e.Next)
}
