package node

import "time"

// Slept returns for how long this machine has been suspended since it was started. On Linux and on macOS Go's clock
// stands still meanwhile, and its timers do; on other systems it goes on, and 0 is returned.
func Slept() time.Duration { return max(slept(), 0) }
