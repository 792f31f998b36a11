//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// quietTerminal has a terminal show nothing of what is typed until restore is called: it would stand
// within the answer. What was typed is there for the next question. Ctrl-C works as ever.
func quietTerminal(f *os.File) (restore func()) {
	fd := int(f.Fd())
	old, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return func() {} // no terminal
	}
	quiet := *old
	quiet.Lflag &^= unix.ECHO | unix.ICANON
	if unix.IoctlSetTermios(fd, setTermios, &quiet) != nil {
		return func() {}
	}
	return func() { _ = unix.IoctlSetTermios(fd, setTermios, old) }
}
