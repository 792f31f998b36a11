package identity

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/mycoswarm/mycoswarm/internal/atomicfile"
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
	b, err := atomicfile.Read(path)
	if err != nil {
		return nil, unreadable("cannot read the identity", err)
	}
	return b, nil
}

// writePrivate replaces path by data, mode 0600; see atomicfile.Write.
func writePrivate(path string, data []byte) error {
	if err := atomicfile.Write(path, data); err != nil {
		return unreadable("cannot write the identity", err)
	}
	return nil
}

// cleanPrivate removes what is left of writes to dir that a crash has cut short: copies of keys.
func cleanPrivate(dir string) error {
	err := errors.Join(atomicfile.Clean(filepath.Join(dir, keyFile)), atomicfile.Clean(filepath.Join(dir, stateName)))
	if err != nil {
		return unreadable("cannot tidy up the identity directory", err)
	}
	return nil
}

func unreadable(cause string, err error) error {
	return &Error{
		Kind: ErrUnreadable, Cause: cause, Err: err,
		Next: "check that the data directory belongs to the user who runs mycod and that its disk has room, or choose another with --data-dir",
	}
}
