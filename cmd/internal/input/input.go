// Package input reads what a person or another program types into the programs of cmd, or has put into a file that is
// named there. It decides nothing about what it reads.
package input

import (
	"context"
	"io"
)

// Until returns from, whose Read returns the cause of ctx as soon as that ends: a program that waits for a
// person, or for a pipe that stays open, ends at Ctrl-C all the same. The read that is left behind goes on
// until from says something, which is lost.
func Until(ctx context.Context, from io.Reader) io.Reader { return &reader{ctx, from} }

// most is how much is read at once, in bytes: as much as a pipe has, and not as much as a buffer has room for that grows.
const most = 64 << 10

type reader struct {
	ctx  context.Context //nolint:containedctx // the lifetime of the program; an io.Reader is not handed one
	from io.Reader
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	type got struct {
		n   int
		err error
	}
	own := make([]byte, min(len(p), most)) // p is the caller's again once this has returned
	read := make(chan got, 1)
	go func() {
		n, err := r.from.Read(own)
		read <- got{n, err}
	}()
	select {
	case g := <-read:
		return copy(p, own[:g.n]), g.err
	case <-r.ctx.Done():
		return 0, context.Cause(r.ctx)
	}
}
