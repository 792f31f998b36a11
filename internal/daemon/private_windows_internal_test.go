//go:build windows

package daemon

import (
	"path/filepath"
	"testing"

	"golang.org/x/sys/windows"

	"github.com/mycoswarm/mycoswarm/internal/doctor"
)

// TestDataDirIsPrivate makes one in a folder that everybody may use.
func TestDataDirIsPrivate(t *testing.T) {
	t.Parallel()
	open := t.TempDir()
	list, err := windows.SecurityDescriptorFromString("D:P(A;OICI;FA;;;WD)")
	if err != nil {
		t.Fatal(err)
	}
	rights, _, err := list.DACL()
	if err == nil {
		err = windows.SetNamedSecurityInfo(open, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION, nil, nil, rights, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	if d := doctor.Dir(open); d.Mode.Perm() != 0o755 {
		t.Errorf("a folder for everybody has mode %o", d.Mode.Perm())
	}
	dir := filepath.Join(open, "data")
	if err := makeDataDir(dir); err != nil {
		t.Fatal(err)
	}
	if d := doctor.Dir(dir); d.Mode.Perm() != 0o700 {
		t.Errorf("the data directory has mode %o, want that of its user alone", d.Mode.Perm())
	}
}
