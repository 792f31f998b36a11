package identity_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mycoswarm/mycoswarm/internal/identity"
)

// crowded is a listener of a process that may open no more files, or, with frees, every second time one more.
type crowded struct {
	tries int
	frees bool
}

func (c *crowded) Accept() (net.Conn, error) {
	c.tries++
	if c.frees && c.tries%2 == 0 {
		here, there := net.Pipe()
		return here, there.Close()
	}
	return nil, syscall.EMFILE
}
func (c *crowded) Close() error   { return nil }
func (c *crowded) Addr() net.Addr { return &net.TCPAddr{} }

// A daemon whose files are all open, for however long, is no worse for it afterwards.
func TestJoinersAreWaitedForWhereNoFileCanBeOpened(t *testing.T) {
	t.Parallel()
	for _, ln := range []crowded{{}, {frees: true}} {
		var log bytes.Buffer
		s, err := identity.Open(t.TempDir(), identity.Options{Name: "host", Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			if err := s.ServeJoin(ctx, &ln, nil); err != nil || ctx.Err() == nil {
				t.Errorf("it ended with %v after %d tries", err, ln.tries)
			}
			if ln.tries > 2*int(time.Hour/identity.AcceptPause)+2 {
				t.Errorf("%d tries in an hour", ln.tries)
			}
		})
		if n := strings.Count(log.String(), "nobody can join"); n == 0 || n > 61 {
			t.Errorf("%d warnings in an hour, want one a minute at most", n)
		}
	}
}
