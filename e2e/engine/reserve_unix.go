//go:build unix

package engine

import (
	"context"
	"errors"
	"net"
	"syscall"
)

// Reserve returns an address of loopback that nobody listens on, and keeps it from whoever asks for a free port, so that
// an engine may start there later, and more than once: it is one end of a connection, which leaves it to those alone who
// name it. release gives it up. (On Windows nothing keeps it.)
func Reserve(ctx context.Context) (addr string, release func() error, err error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	own := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} // named, so that no other connection shares it
	conn, err := (&net.Dialer{LocalAddr: own, Control: shared}).DialContext(ctx, "tcp", ln.Addr().String())
	if err != nil {
		return "", nil, errors.Join(err, ln.Close())
	}
	return conn.LocalAddr().String(), func() error { return errors.Join(conn.Close(), ln.Close()) }, nil
}

// shared lets another listen at the address of a connection's own end.
func shared(_, _ string, c syscall.RawConn) error {
	var set error
	err := c.Control(func(fd uintptr) { set = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1) })
	return errors.Join(err, set)
}
