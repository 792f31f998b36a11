package engine

import (
	"context"
	"net"
)

// Reserve returns an address of loopback that nobody listens on. Nothing keeps it: here who names the address of another's
// end of a connection does not get it, unless both say that they share.
func Reserve(ctx context.Context) (addr string, release func() error, err error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	return ln.Addr().String(), func() error { return nil }, ln.Close()
}
