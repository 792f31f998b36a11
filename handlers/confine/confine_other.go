//go:build !linux

package confine

import "runtime"

// Lacks tells what Self cannot do here, which is all.
func Lacks() (files, calls error) {
	none := &LackError{"programs are confined on Linux only, and this is " + runtime.GOOS, ""}
	return none, none
}

// Self does nothing; see Lacks.
func Self(Policy) error { return nil }

// Used is the memory that the process pid has of its system, in bytes, and how many threads it has; 0 where that is
// not known. With group it is what its whole group has.
func Used(int, bool) (memory int64, threads int) { return 0, 0 }

func become(Policy, []string) error { return Supported() }
