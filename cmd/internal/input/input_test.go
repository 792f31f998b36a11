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

func TestUntil(t *testing.T) {
	t.Parallel()
	got, err := io.ReadAll(input.Until(t.Context(), strings.NewReader("all of it")))
	if string(got) != "all of it" || err != nil {
		t.Errorf("read %q, error %v", got, err)
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
