package doctor_test

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/doctor"
)

// What mycod --group-access opens to its group is as it should be, for a member of that group as well; without it the same
// folder is open to others.
func TestDirectoryForTheGroup(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		return // there is no --group-access
	}
	dir := t.TempDir()
	creds := filepath.Join(dir, bus.UserCreds)
	if err := os.WriteFile(creds, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[os.FileMode]doctor.Status{0o600: doctor.Warn, 0o640: doctor.OK} {
		if err := os.Chmod(creds, mode); err != nil {
			t.Fatal(err)
		}
		f := well()
		d := doctor.Dir(dir)
		f.Dir.Mode, f.Dir.ForGroup, f.Dir.Owner = d.Mode, d.ForGroup, f.Dir.User+1
		if r := doctor.Examine(f); r.Worst() != want {
			t.Errorf("credential of mode %v: %+v, want %s", mode, r.Checks, want)
		}
	}
}
