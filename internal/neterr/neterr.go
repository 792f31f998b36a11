// Package neterr tells what the errors of sockets mean, on every system: Windows has numbers of its own for them,
// and syscall's ECONNREFUSED and such are none of them there. It imports nothing of this module, and every package but
// bus may import it.
package neterr

import (
	"errors"
	"syscall"
)

// Windows' numbers, of winsock2.h. No other system has numbers that high.
const (
	wsaeacces       = syscall.Errno(10013)
	wsaeaddrinuse   = syscall.Errno(10048)
	wsaeconnreset   = syscall.Errno(10054)
	wsaeconnrefused = syscall.Errno(10061)
)

// InUse reports whether another program listens on that address. On Windows it may have it for itself alone, or the
// system keeps a range of ports for virtual machines.
func InUse(err error) bool {
	return errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, wsaeaddrinuse) || errors.Is(err, wsaeacces)
}

// Refused reports whether nothing listens there.
func Refused(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, wsaeconnrefused)
}

// Reset reports whether the other end has cut the connection.
func Reset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, wsaeconnreset)
}
