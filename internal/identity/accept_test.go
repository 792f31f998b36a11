package identity_test

import (
	"context"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mycoswarm/mycoswarm/internal/identity"
)

// crowded is a listener of a process that may open no more files.
type crowded struct{ tries int }

func (c *crowded) Accept() (net.Conn, error) { c.tries++; return nil, syscall.EMFILE }
func (c *crowded) Close() error              { return nil }
func (c *crowded) Addr() net.Addr            { return &net.TCPAddr{} }

// A daemon whose files are all open, for however long, is no worse for it afterwards.
func TestJoinersAreWaitedForWhereNoFileCanBeOpened(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), "host", newClock())
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		var ln crowded
		if err := s.ServeJoin(ctx, &ln, nil); err != nil || ctx.Err() == nil {
			t.Errorf("it ended with %v after %d tries", err, ln.tries)
		}
		if ln.tries > int(time.Hour/identity.AcceptPause)+2 {
			t.Errorf("%d tries in an hour", ln.tries)
		}
	})
}
