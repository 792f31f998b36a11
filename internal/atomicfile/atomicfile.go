// Package atomicfile replaces files as a whole. It owns that order of writing, syncing and renaming
// which a crash or a power loss does not break, and knows nothing of what the files hold. It imports
// nothing of this module, and every package but bus may import it.
package atomicfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, Remove(f.Name()))
	}
	return Replace(f.Name(), path)
}

// Over is Write for where the disk is full: it writes over the file at from, in the same folder, whose room is taken
// already, and then gives it the name path. Nobody may read from: it holds neither the old nor the new after a crash. An
// error is one of package os; where there is no file at from, fs.ErrNotExist.
func Over(from, path string, data []byte) error {
	f, err := os.OpenFile(from, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Truncate(int64(len(data))), f.Sync(), f.Close()); err != nil {
		return err
	}
	return Replace(from, path)
}

// ErrNoFile is returned by Read and Regular of what is there and is no regular file.
var ErrNoFile = errors.New("it is no regular file")

// Regular reports why what is at path cannot be opened as a file: an error is one of package os, or ErrNoFile. Who opens a
// named pipe waits until somebody else does, and a device may never end.
func Regular(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return &os.PathError{Op: "open", Path: path, Err: fmt.Errorf("%w, but %s", ErrNoFile, kind(info.Mode()))}
	}
	return nil
}

// Read reads the file at path, also while another one takes its place: on Windows, which does not open it then, it waits
// for up to 2 s. An error is one of package os, or ErrNoFile.
func Read(path string) (b []byte, err error) {
	err = steady(func() error {
		if err := Regular(path); err != nil {
			return err
		}
		b, err = os.ReadFile(path)
		return err
	})
	return b, err
}

// kind says what is there in place of a file.
func kind(mode os.FileMode) string {
	switch {
	case mode.IsDir():
		return "a folder"
	case mode&os.ModeNamedPipe != 0:
		return "a named pipe"
	case mode&os.ModeSocket != 0:
		return "a socket"
	}
	return "a device"
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
			err = errors.Join(err, Remove(filepath.Join(dir, f.Name())))
		}
	}
	return err
}

// Replace gives the file at from, which is whole, synced and closed, the name path, in the same folder, and replaces
// the one that has it. It is on disk when Replace has returned nil; there is no file at from any more either way. An error
// is one of package os.
func Replace(from, path string) error {
	if err := rename(from, path); err != nil {
		return errors.Join(err, Remove(from))
	}
	return syncDir(filepath.Dir(path))
}
