//go:build !linux

package confine

import (
	"errors"
	"runtime"
)

// Supported returns nil where Command can confine programs, and otherwise why not.
func Supported() error {
	return errors.New("programs are confined on Linux only, and this is " + runtime.GOOS)
}

// Self holds this process back where Supported says that it can.
func Self(Policy) error { return nil }

// Used is the memory that the process pid has of its system, in bytes, and how many threads it has; 0 where that is
// not known. With group it is what its whole group has.
func Used(int, bool) (memory int64, threads int) { return 0, 0 }

func become(Policy, []string) error { return Supported() }
