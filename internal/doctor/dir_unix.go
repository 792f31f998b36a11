//go:build unix

package doctor

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

func owner(info os.FileInfo) (owner, user int) {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid), os.Geteuid()
	}
	return 0, 0
}

// space returns what an ordinary user may still write on the disk of path, and its size.
func space(path string) (free, total uint64) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, 0
	}
	block := uint64(s.Bsize)
	return uint64(s.Bavail) * block, uint64(s.Blocks) * block
}
