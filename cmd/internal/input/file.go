package input

import (
	"context"
	"io"
	"os"
)

// Open opens a file that a person names, to read it. At a named pipe that waits for who writes to it, and returns the
// cause of ctx as soon as that ends; what is read of it should go through Until.
func Open(ctx context.Context, name string) (*os.File, error) {
	type got struct {
		f   *os.File
		err error
	}
	opened := make(chan got)
	go func() {
		f, err := os.Open(name)
		select {
		case opened <- got{f, err}:
		case <-ctx.Done():
			if err == nil {
				_ = f.Close() // nothing was written
			}
		}
	}()
	select {
	case g := <-opened:
		return g.f, g.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// ReadFile reads the first limit bytes of a file that a person names, a pipe among others, and returns the cause of ctx
// as soon as that ends.
func ReadFile(ctx context.Context, name string, limit int64) ([]byte, error) {
	f, err := Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(Until(ctx, f), limit))
}
