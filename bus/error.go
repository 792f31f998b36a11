package bus

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Code is the kind of an Error. The same code has one HTTP status and one exit code.
type Code string

// The codes that cross the wire.
const (
	CodeInvalid     Code = "invalid"     // the request is malformed or over a limit
	CodeNotFound    Code = "not_found"   // no such task, node or thing
	CodeNoWorker    Code = "no_worker"   // no node of the swarm can run this
	CodeConflict    Code = "conflict"    // an id or a name is taken, or what it names is in another state than this needs
	CodeForbidden   Code = "forbidden"   // the credential may not do this
	CodeTooLarge    Code = "too_large"   // a payload over its limit
	CodeBusy        Code = "busy"        // a queue or limit is full; try later
	CodeNoSpace     Code = "no_space"    // a disk is nearly full; accepted tasks go on
	CodeUnavailable Code = "unavailable" // a daemon, host or engine cannot be reached
	CodeTimeout     Code = "timeout"     // no answer in time
	CodeCancelled   Code = "cancelled"   // it was cancelled, by its submitter or by who owns a node
	CodeExpired     Code = "expired"     // its deadline passed
	CodeDead        Code = "dead"        // gave up after too many crashes or failures
	CodeFailed      Code = "failed"      // the work itself failed
	CodeSuperseded  Code = "superseded"  // another attempt finished first
	CodeInternal    Code = "internal"    // a fault of the swarm
)

// codes is the one table of what a code means outside: HTTP status and exit code.
var codes = map[Code]struct{ http, exit int }{
	CodeInvalid:     {http.StatusBadRequest, 2},
	CodeNotFound:    {http.StatusNotFound, 3},
	CodeNoWorker:    {http.StatusServiceUnavailable, 3},
	CodeConflict:    {http.StatusConflict, 1},
	CodeForbidden:   {http.StatusForbidden, 1},
	CodeTooLarge:    {http.StatusRequestEntityTooLarge, 2},
	CodeBusy:        {http.StatusTooManyRequests, 1},
	CodeNoSpace:     {http.StatusInsufficientStorage, 1},
	CodeUnavailable: {http.StatusServiceUnavailable, 4},
	CodeTimeout:     {http.StatusGatewayTimeout, 5},
	CodeCancelled:   {499, 130},
	CodeExpired:     {http.StatusGatewayTimeout, 5},
	CodeDead:        {http.StatusInternalServerError, 1},
	CodeFailed:      {http.StatusBadGateway, 1},
	CodeSuperseded:  {http.StatusConflict, 1},
	CodeInternal:    {http.StatusInternalServerError, 1},
}

// HTTPStatus returns the HTTP status that stands for c.
func (c Code) HTTPStatus() int {
	if t, ok := codes[c]; ok {
		return t.http
	}
	return http.StatusInternalServerError
}

// ExitCode returns the exit code of a command that fails with c.
func (c Code) ExitCode() int {
	if t, ok := codes[c]; ok {
		return t.exit
	}
	return 1
}

// Error is the only error that crosses the wire. errors.Is matches two Errors by Code.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"` // the next command to try
	Node    NodeID `json:"node,omitempty"` // the node it happened on
	retry   bool
	few     bool
	cause   error
}

// MaxErrorText is how much of the message of a handler's Error, and of its hint, goes on its way, in bytes.
const MaxErrorText = 4 << 10

// Errorf makes an Error. %w in format keeps the cause for errors.Is and errors.As.
func Errorf(c Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	e := &Error{Code: c, Message: err.Error(), cause: errors.Unwrap(err)}
	if _, several := err.(interface{ Unwrap() []error }); several {
		e.cause = err
	}
	return e
}

// WithHint returns a copy of e that tells the next command to try.
func (e *Error) WithHint(format string, args ...any) *Error {
	c := *e
	c.Hint = fmt.Sprintf(format, args...)
	return &c
}

// Short returns e with MaxErrorText of its message, and of its hint, at most: an end that no message takes would never
// be heard of.
func (e *Error) Short() *Error {
	if len(e.Message) <= MaxErrorText && len(e.Hint) <= MaxErrorText {
		return e
	}
	c := *e
	c.Message, c.Hint = short(e.Message), short(e.Hint)
	return &c
}

// short returns the first MaxErrorText bytes of s, and no part of a character.
func short(s string) string {
	if len(s) <= MaxErrorText {
		return s
	}
	return strings.ToValidUTF8(s[:MaxErrorText], "")
}

// Error returns the message; the hint is for whoever prints it.
func (e *Error) Error() string { return e.Message }

// Unwrap returns the local cause; it does not cross the wire.
func (e *Error) Unwrap() error { return e.cause }

// Is matches another *Error with the same code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && (t.Message == "" || t.Message == e.Message)
}

// Retry marks err as one that another node, or a later try, may not meet: the task is given
// to another node. nil stays nil.
func Retry(err error) error {
	if err == nil {
		return nil
	}
	e := *AsError(err)
	e.retry, e.few = true, false
	return &e
}

// RetryFew is Retry for an error that the task itself may cause, wherever it runs: an engine that fails in
// the midst of it. After three of them the task is given up. nil stays nil.
func RetryFew(err error) error {
	if err == nil {
		return nil
	}
	e := *AsError(err)
	e.retry, e.few = true, true
	return &e
}

// IsRetryFew reports whether err was marked by RetryFew.
func IsRetryFew(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.few
}

// IsRetry reports whether err was marked by Retry or RetryFew.
func IsRetry(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.retry
}

// AsError turns any error into an Error: what is one already stays, contexts become
// CodeCancelled and CodeTimeout, the rest CodeInternal. nil stays nil.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	switch {
	case errors.As(err, &e):
		if e.Message == err.Error() {
			return e
		}
		c := *e
		c.Message, c.cause = err.Error(), err
		return &c
	case errors.Is(err, context.Canceled):
		return Errorf(CodeCancelled, "%w", err)
	case errors.Is(err, context.DeadlineExceeded):
		return Errorf(CodeTimeout, "%w", err)
	}
	return Errorf(CodeInternal, "%w", err)
}

// endOf tells why ctx has ended. Where its cause is somebody's own, as that of signal.NotifyContext and of an errgroup is,
// it has the code that ctx would have without, and errors.Is finds either.
func endOf(ctx context.Context) *Error {
	cause := context.Cause(ctx)
	if e := AsError(cause); e.Code != CodeInternal {
		return e
	}
	return AsError(fmt.Errorf("%w: %w", ctx.Err(), cause))
}
