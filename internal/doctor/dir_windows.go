package doctor

import (
	"os"
	"slices"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/mycoswarm/mycoswarm/bus"
)

// everybody are the groups that any user may be in.
var everybody = []windows.WELL_KNOWN_SID_TYPE{
	windows.WinWorldSid, windows.WinAuthenticatedUserSid, windows.WinBuiltinUsersSid, windows.WinBuiltinGuestsSid,
	windows.WinInteractiveSid, windows.WinAnonymousSid,
}

// mode is info's, with what the list of rights of the folder at path gives to everybody in place of what package os
// makes up: 0755 where they may look into it.
func mode(path string, info os.FileInfo) os.FileMode {
	m := info.Mode()&^os.ModePerm | 0o700
	if looksOpen(path) {
		m |= 0o055
	}
	return m
}

func looksOpen(path string) bool {
	list, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return true
	}
	rights, _, err := list.DACL()
	if err != nil || rights == nil {
		return true // a folder without a list, or on a disk without rights
	}
	for i := range uint32(rights.AceCount) {
		var ace *windows.ACCESS_ALLOWED_ACE
		if windows.GetAce(rights, i, &ace) != nil || ace.Header.AceType != windows.ACCESS_ALLOWED_ACE_TYPE {
			continue
		}
		who := (*windows.SID)(unsafe.Pointer(&ace.SidStart))
		if ace.Mask&(windows.FILE_READ_DATA|windows.FILE_WRITE_DATA|windows.GENERIC_READ|windows.GENERIC_ALL) != 0 &&
			slices.ContainsFunc(everybody, who.IsWellKnown) {
			return true
		}
	}
	return false
}

// closeDir is the command that leaves a folder to its owner and to the system.
func closeDir(path string) string {
	return "icacls " + bus.ShellWord(path) + ` /inheritance:r /grant:r "*S-1-3-4:(OI)(CI)F" "*S-1-5-18:(OI)(CI)F"`
}

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
