// Package atomicfile replaces files as a whole. It owns that order of writing, syncing and renaming
// which a crash or a power loss does not break, and knows nothing of what the files hold. It imports
// nothing of this module, and every package but bus may import it.
package atomicfile

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Write replaces the file at path by one of mode 0600 that holds data. Who reads has the old content or
// the new one, after a crash too; once Write has returned nil the new one is on disk. The folder must be
// there. An error is one of package os, and names the file.
func Write(path string, data []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, begun(path)+"*") // its mode is 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return SyncDir(dir)
}

// begun is how the names of files begin that are to replace the one at path.
func begun(path string) string { return "." + filepath.Base(path) + "." }

// Clean removes what is left of Writes to path that a crash has cut short. Nobody may write to it
// meanwhile. The folder must be there. An error is one of package os.
func Clean(path string) error {
	dir := filepath.Dir(path)
	files, err := os.ReadDir(dir)
	for _, f := range files {
		if strings.HasPrefix(f.Name(), begun(path)) {
			err = errors.Join(err, os.Remove(filepath.Join(dir, f.Name())))
		}
	}
	return err
}

// SyncDir makes what was created and renamed in dir last: it is on disk when SyncDir has returned nil.
// Windows has no such call, and needs none.
func SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
