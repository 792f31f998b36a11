package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The last of three credentials cannot be written, and the first not be written back: the second is back all the same, and the
// error names the first alone.
func TestCredentialsThatCannotBeWrittenBack(t *testing.T) {
	t.Parallel()
	var files []secretFile
	for _, name := range []string{"first", "second", "third"} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, secretFile{path, "new"})
	}
	full, failing := errors.New("no room"), false
	err := replaceFiles(func(path string, data []byte) error {
		if failing = failing || path == files[2].path; failing && path != files[1].path {
			return full
		}
		return writeFile(path, data)
	}, files)
	if err == nil || !strings.Contains(err.Error(), files[0].path) || strings.Contains(err.Error(), files[1].path) {
		t.Errorf("error %v, want that of the first file alone", err)
	}
	for i, want := range []string{"new\n", "old", "old"} {
		if b, err := os.ReadFile(files[i].path); err != nil || string(b) != want {
			t.Errorf("file %d has %q, %v, want %q", i, b, err, want)
		}
	}
}
