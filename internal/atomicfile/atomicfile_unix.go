//go:build !windows

package atomicfile

import (
	"errors"
	"os"
	"path/filepath"
)

// Remove removes the file at path, also where it is open. An error is one of package os.
func Remove(path string) error { return os.Remove(path) }

func rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(to)) // the name is on disk once its folder is
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
