package discovery_test

import (
	"errors"
	"log/slog"

	"github.com/mycoswarm/mycoswarm/bus"
)

// logTo returns a logger that signals each line.
func logTo(lines chan<- struct{}) *slog.Logger {
	return slog.New(slog.NewTextHandler(signal(lines), nil))
}

type signal chan<- struct{}

func (s signal) Write(p []byte) (int, error) {
	select {
	case s <- struct{}{}:
	default:
	}
	return len(p), nil
}

// hintOf returns the next command to try.
func hintOf(err error) string {
	if e, ok := errors.AsType[*bus.Error](err); ok {
		return e.Hint
	}
	return ""
}
