//go:build unix

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// appends reports whether what is written to f goes to its end, wherever that is then: a shell's >>.
func appends(f *os.File) bool {
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	return err != nil || flags&unix.O_APPEND != 0
}
