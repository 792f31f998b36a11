// Package filelock keeps a file for one process at a time. It knows nothing of what the file is for, imports nothing of
// this module, and every package but bus may import it.
package filelock

import "errors"

// ErrLocked is returned where another open file has the lock, be it of this process.
var ErrLocked = errors.New("locked by another process")
