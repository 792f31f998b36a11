package engine

import (
	"net"
	"syscall"
	"unsafe"
)

// fionread asks how many bytes can be read; winsock2.h.
const fionread = 0x4004667f

// silent reports whether the other end of a kept connection has said nothing since its last answer: what it did
// say, such as that it waits no longer, would pass for the answer to the next request. That it closed the connection
// is not seen here before the next request is sent.
func silent(conn net.Conn) bool {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	var n, written uint32
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = syscall.WSAIoctl(syscall.Handle(fd), fionread, nil, 0, (*byte)(unsafe.Pointer(&n)), uint32(unsafe.Sizeof(n)), &written, nil, 0)
	})
	return err == nil && failed == nil && n == 0
}
