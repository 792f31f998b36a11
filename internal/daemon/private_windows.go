package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/windows"
)

// mkdirPrivate makes a folder, where there is none, that this user, the system and administrators alone may use, as
// what will be in it: else both would have the rights of the folder that it is in. A disk with FAT has no rights.
func mkdirPrivate(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return err
	}
	// The language is that of "Security Descriptor String Format" of Win32.
	rights, err := windows.SecurityDescriptorFromString("D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;" + user.User.Sid.String() + ")")
	if err != nil {
		return err
	}
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return err
	}
	a := windows.SecurityAttributes{SecurityDescriptor: rights}
	a.Length = uint32(unsafe.Sizeof(a))
	if err := windows.CreateDirectory(name, &a); err != nil && !errors.Is(err, windows.ERROR_ALREADY_EXISTS) {
		return &os.PathError{Op: "mkdir", Path: dir, Err: err}
	}
	return nil
}
