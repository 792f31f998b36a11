//go:build !windows

package plugin

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// environment is all that a plugin has of one, with a temporary folder.
func environment(temp string) []string {
	return []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "HOME=" + temp, "TMPDIR=" + temp}
}

// isProgram refuses a file that cannot be run.
func isProgram(path string, info fs.FileInfo) error {
	if info.IsDir() || info.Mode()&0o111 == 0 {
		return fmt.Errorf("%s is not a program: chmod +x %s", path, path)
	}
	return nil
}

func othersWrite(info fs.FileInfo) bool { return info.Mode().Perm()&0o022 != 0 }

// others reports whether it is neither this user's nor root's.
func others(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Uid != 0 && int(st.Uid) != os.Geteuid()
}
