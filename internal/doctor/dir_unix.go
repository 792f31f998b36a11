//go:build unix

package doctor

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/mycoswarm/mycoswarm/bus"
)

// mode is who may do what in a folder.
func mode(_ string, info os.FileInfo) os.FileMode { return info.Mode() }

// closeDir is the command that keeps others out of a folder.
func closeDir(path string) string { return "chmod 700 " + bus.ShellWord(path) }

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
