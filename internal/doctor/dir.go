package doctor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Dir looks at a data directory, and at the disk that it is on or will be.
func Dir(path string) DirFacts {
	d := DirFacts{Path: path}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.Missing = true
	case err != nil:
		d.Error = err.Error()
	default:
		d.Mode = mode(path, info)
		d.Owner, d.User = owner(info)
		creds, err := os.Stat(filepath.Join(path, bus.UserCreds))
		d.ForGroup = err == nil && runtime.GOOS != "windows" && creds.Mode().Perm()&0o040 != 0
	}
	on := path
	for d.Missing {
		if info, err := os.Stat(on); err == nil && !info.IsDir() { // Windows says that there is nothing below a file
			d.Missing, d.Error = false, on+" is not a directory"
			break
		} else if err == nil || filepath.Dir(on) == on {
			break
		}
		on = filepath.Dir(on)
	}
	d.FreeBytes, d.TotalBytes = space(on)
	return d
}
