package identity

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

const (
	dirName   = "identity"
	keyFile   = "node.key"
	stateName = "swarm.json"
	leftDir   = "left"

	dirMode  fs.FileMode = 0o700
	fileMode fs.FileMode = 0o600

	// maxStateBytes bounds what is read from the identity directory.
	maxStateBytes = 4 << 20
)

// makePrivateDir makes dir with mode 0700, and tightens one that is there already.
func makePrivateDir(dir string) error {
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return unreadable("cannot make the identity directory", err)
	}
	if err := os.Chmod(dir, dirMode); err != nil {
		return unreadable("cannot set the mode of the identity directory", err)
	}
	return nil
}

// readPrivate reads a file that only its owner may read. A file that is not there
// is reported as fs.ErrNotExist.
func readPrivate(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fs.ErrNotExist
	}
	if err != nil {
		return nil, unreadable("cannot read the identity", err)
	}
	if !info.Mode().IsRegular() {
		return nil, unreadable("cannot read the identity", fmt.Errorf("%s is not a regular file", path))
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, &Error{
			Kind:  ErrUnreadable,
			Cause: fmt.Sprintf("%s holds a secret and others may read it (mode %#o)", path, info.Mode().Perm()),
			Next:  "run `chmod 600 " + path + "`",
		}
	}
	if info.Size() > maxStateBytes {
		return nil, unreadable("cannot read the identity", fmt.Errorf("%s is larger than %d bytes", path, maxStateBytes))
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, unreadable("cannot read the identity", err)
	}
	return b, nil
}

// writePrivate replaces path by data in one step: after a crash either the old
// content is there or the new one, and once it returned nil the new one is on disk.
func writePrivate(path string, data []byte) (err error) {
	defer func() {
		if err != nil {
			err = unreadable("cannot write the identity", err)
		}
	}()
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(data); err != nil {
		_ = f.Close()
		return err
	}
	if err = f.Sync(); err != nil {
		_ = f.Close()
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes a rename in dir last. Windows has no such call and needs none.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err := d.Sync(); err != nil {
		_ = d.Close()
		return err
	}
	return d.Close()
}

func unreadable(cause string, err error) error {
	return &Error{
		Kind: ErrUnreadable, Cause: cause, Err: err,
		Next: "check that the data directory belongs to the user who runs mycod, or choose another with --data-dir",
	}
}
