package bus

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
)

// Where the daemon does not answer, another question to it is no way out.
func TestWithin(t *testing.T) {
	t.Parallel()
	c := newConn(&dialer{log: slog.New(slog.DiscardHandler)})
	ctx, cancel := c.within(t.Context(), 0)
	defer cancel(nil)
	<-ctx.Done()
	if e := endOf(ctx); !errors.Is(e, &Error{Code: CodeTimeout}) || e.Hint != "myco doctor" {
		t.Errorf("%v with code %q and the hint %q, want a timeout that leads to the doctor", e, e.Code, e.Hint)
	}
}

// What nats.go says of a connection that was lost, or closed, a moment ago is not what its user is told.
func TestLost(t *testing.T) {
	t.Parallel()
	c := newConn(&dialer{log: slog.New(slog.DiscardHandler)})
	c.nc.Store(&nats.Conn{})
	for _, err := range []error{nats.ErrReconnectBufExceeded, fmt.Errorf("ask: %w", nats.ErrReconnectBufExceeded)} {
		if e := c.requestError(t.Context(), err); !strings.HasSuffix(e.Error(), "is lost: "+nats.ErrDisconnected.Error()) {
			t.Errorf("before it is heard that the link is lost: %v", e)
		}
	}
	if e := AsError(c.tableError(t.Context(), nats.ErrTimeout)); e.Code != CodeTimeout || e.Hint != "myco doctor" {
		t.Errorf("a daemon that tells nothing of the nodes: %v with code %q and the hint %q", e, e.Code, e.Hint)
	}
	if e := c.gone(nats.ErrStaleConnection); e.Code != CodeUnavailable || e.Hint != "myco doctor" {
		t.Errorf("a daemon that hangs: %v with code %q and the hint %q, want no other daemon started", e, e.Code, e.Hint)
	}
	c.down(io.EOF)
	for _, err := range []error{nats.ErrReconnectBufExceeded, nats.ErrConnectionClosed} {
		if e := c.requestError(t.Context(), err); !errors.Is(e, io.EOF) || !strings.HasSuffix(e.Error(), "it was stopped, or has ended") {
			t.Errorf("a link that was lost: %v, want it to wrap %v, in words for people", e, io.EOF)
		}
		if e := c.tableError(t.Context(), err); !errors.Is(e, io.EOF) {
			t.Errorf("a link that was lost, for the table of nodes: %v, want %v in it", e, io.EOF)
		}
	}
	c.closed()
	if e := AsError(c.requestError(t.Context(), nats.ErrConnectionClosed)); !strings.HasSuffix(e.Message, "is closed") || e.Hint != "" {
		t.Errorf("a Conn that was closed: %q with the hint %q", e.Message, e.Hint)
	}
}
