package node

import (
	"time"

	"golang.org/x/sys/unix"
)

// slept goes by clock_gettime(3): CLOCK_MONOTONIC goes on while the system is asleep, CLOCK_UPTIME_RAW does not.
func slept() time.Duration { return between(unix.CLOCK_MONOTONIC, unix.CLOCK_UPTIME_RAW) }
