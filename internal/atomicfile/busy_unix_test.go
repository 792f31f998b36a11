//go:build !windows

package atomicfile_test

// busy is for Windows.
func busy(error) bool { return false }
