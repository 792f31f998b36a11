package node

import (
	"time"

	"golang.org/x/sys/unix"
)

// slept goes by clock_gettime(2): CLOCK_BOOTTIME is CLOCK_MONOTONIC with the time in which the system was suspended.
func slept() time.Duration { return between(unix.CLOCK_BOOTTIME, unix.CLOCK_MONOTONIC) }
