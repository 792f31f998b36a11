package daemon

import (
	"errors"
	"fmt"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// No type is given up while the daemon runs: who offers one too many is not to try again for ever, as with a daemon that
// is busy.
func TestOneTypeTooManyIsRefusedForGood(t *testing.T) {
	t.Parallel()
	p := newPrograms(&Daemon{})
	for i := range maxOffered {
		p.kinds[fmt.Sprint("t", i)] = &kind{}
	}
	_, _, err := p.take(t.Context(), nil, bus.ServeRequest{Capability: bus.Capability{Type: "more", Slots: 1}, Program: "p"})
	if !errors.Is(err, &bus.Error{Code: bus.CodeConflict}) || bus.AsError(err).Hint == "" {
		t.Errorf("%v with code %q and the hint %q, want a conflict, and a way out", err, bus.AsError(err).Code, bus.AsError(err).Hint)
	}
}
