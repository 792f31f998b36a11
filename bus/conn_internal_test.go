package bus

import (
	"errors"
	"log/slog"
	"testing"
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
