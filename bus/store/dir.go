package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/atomicfile"
	"github.com/mycoswarm/mycoswarm/internal/filelock"
	"github.com/mycoswarm/mycoswarm/internal/protect"
)

const (
	lockFile    = "store.lock"
	versionFile = "store.version"
	maxNote     = 64 // bytes that lock and version files may have
)

// dirLock holds a directory for this process. The system lets go of it when the process dies,
// however it dies; the process id in the file is for people.
type dirLock struct{ f *os.File }

// openDir makes the directory if need be, locks it, and checks its version and its files.
func openDir(dir string) (*dirLock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, dirError(dir, err)
	}
	l, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	if err := checkVersion(dir, formatVersion); err != nil {
		return nil, errors.Join(err, l.unlock())
	}
	if err := checkFiles(dir); err != nil {
		return nil, errors.Join(err, l.unlock())
	}
	return l, nil
}

// checkFiles refuses a directory where a file cannot be opened: the server would leave out the stream that it belongs to,
// and delete the stream's messages where it is made anew.
func checkFiles(dir string) error {
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || filepath.Dir(path) == dir { // the lock is held, which Windows lets nobody read
			return err
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		return f.Close()
	})
	if err != nil {
		return dirError(dir, err)
	}
	return nil
}

// Lock holds dir for this process alone until unlock is called or the process dies. Its Errors
// are those of Start.
func Lock(dir string) (unlock func() error, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, dirError(dir, err)
	}
	l, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	return l.unlock, nil
}

func lockDir(dir string) (*dirLock, error) {
	path := filepath.Join(dir, lockFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, dirError(dir, err)
	}
	if err := filelock.Lock(f); err != nil {
		defer f.Close()
		if !errors.Is(err, filelock.ErrLocked) {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		holder := "another process"
		if b, err := io.ReadAll(io.LimitReader(f, maxNote)); err == nil && len(b) > 0 {
			holder = "process " + strings.TrimSpace(string(b))
		}
		return nil, bus.Errorf(bus.CodeConflict, "the data directory %s is already in use by %s: %w", dir, holder, filelock.ErrLocked).
			WithHint("stop that daemon, or use another directory: mycod --data-dir DIR")
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		return nil, errors.Join(dirError(dir, err), filelock.Close(f))
	}
	return &dirLock{f}, nil
}

// unlock lets go. The file stays: to remove it would race with one who just opened it.
func (l *dirLock) unlock() error { return filelock.Close(l.f) }

// checkVersion refuses a directory that a newer binary wrote, and marks a new one, and one of an
// older binary, with this version.
func checkVersion(dir string, format int) error {
	path := filepath.Join(dir, versionFile)
	b, err := atomicfile.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return writeVersion(path, format)
	}
	if err != nil {
		return dirError(dir, err)
	}
	v, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || v < 1 {
		return bus.Errorf(bus.CodeForbidden, "%s does not hold a version number", path).
			WithHint("if the directory is a store, write %d into that file; else use another: mycod --data-dir DIR", format)
	}
	if v > format && !protect.Version.Off() {
		return bus.Errorf(bus.CodeConflict, "the store in %s was written by a newer mycod (format %d; this one knows up to %d)", dir, v, format).
			WithHint("install the newer mycod again, or use another directory: mycod --data-dir DIR")
	}
	if v < format { // from now on only this version, or a newer one, understands it
		return writeVersion(path, format)
	}
	return nil
}

func writeVersion(path string, format int) error {
	err := errors.Join(atomicfile.Clean(path), atomicfile.Write(path, []byte(strconv.Itoa(format)+"\n")))
	if err != nil {
		return dirError(filepath.Dir(path), err)
	}
	return nil
}

func dirError(dir string, err error) error {
	e := bus.Errorf(bus.CodeForbidden, "the data directory %s cannot be used: %w", dir, err)
	if atomicfile.NoRoom(err) {
		return e.WithHint("make room on that disk, or use another: mycod --data-dir DIR")
	}
	return e.WithHint("give this user the right to write there, or use another: mycod --data-dir DIR")
}
