package input_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/mycoswarm/mycoswarm/cmd/internal/input"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// chunky has few bytes at a time, as a pipe, and notes for how many there was room.
type chunky struct {
	of   io.Reader
	most int
}

func (c *chunky) Read(p []byte) (int, error) {
	c.most = max(c.most, len(p))
	return c.of.Read(p[:min(len(p), 1000)])
}

func TestUntil(t *testing.T) {
	t.Parallel()
	got, err := io.ReadAll(input.Until(t.Context(), strings.NewReader("all of it")))
	if string(got) != "all of it" || err != nil {
		t.Errorf("read %q, error %v", got, err)
	}

	large := &chunky{of: strings.NewReader(strings.Repeat("x", 1<<20))}
	if got, err = io.ReadAll(input.Until(t.Context(), large)); len(got) != 1<<20 || err != nil || large.most > 64<<10 {
		t.Errorf("read %d bytes, error %v, with up to %d bytes made room for at a time", len(got), err, large.most)
	}

	from, open := io.Pipe()
	defer func() { _ = open.Close() }() // it has no error
	why := errors.New("Ctrl-C")
	ctx, cancel := context.WithCancelCause(t.Context())
	go cancel(why)
	if n, err := input.Until(ctx, from).Read(make([]byte, 8)); n != 0 || !errors.Is(err, why) {
		t.Errorf("read %d bytes, error %v, want none and %v", n, err, why)
	}
}
