//go:build !unix

package main

import "os"

// appends is not known of f: a shell's >> opens a file as others do, and goes to its end.
func appends(*os.File) bool { return false }
