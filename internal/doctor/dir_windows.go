package doctor

import (
	"os"

	"golang.org/x/sys/windows"
)

func owner(os.FileInfo) (owner, user int) { return 0, 0 }

// space returns what this user may still write on the disk of path, and its size.
func space(path string) (free, total uint64) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return 0, 0
	}
	if err := windows.GetDiskFreeSpaceEx(name, &free, &total, nil); err != nil {
		return 0, 0
	}
	return free, total
}
