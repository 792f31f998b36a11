//go:build !linux

package plugin_test

// endThread is for the tests of Linux.
func endThread() {}
