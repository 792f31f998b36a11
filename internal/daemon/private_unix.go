//go:build !windows

package daemon

import "os"

// mkdirPrivate makes a folder for this user alone, where there is none.
func mkdirPrivate(dir string) error { return os.MkdirAll(dir, 0o700) }
