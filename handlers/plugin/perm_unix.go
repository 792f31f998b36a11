//go:build !windows

package plugin

import (
	"io/fs"
	"os"
	"syscall"
)

func othersWrite(info fs.FileInfo) bool { return info.Mode().Perm()&0o022 != 0 }

// others reports whether it is neither this user's nor root's.
func others(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Uid != 0 && int(st.Uid) != os.Geteuid()
}
