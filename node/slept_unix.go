//go:build linux || darwin

package node

import (
	"time"

	"golang.org/x/sys/unix"
)

// between returns how much one clock shows more than another, 0 where the system lacks one of them.
func between(all, awake int32) time.Duration {
	var a, b unix.Timespec
	if unix.ClockGettime(all, &a) != nil || unix.ClockGettime(awake, &b) != nil {
		return 0
	}
	return time.Duration(a.Nano() - b.Nano())
}
