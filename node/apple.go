package node

import (
	"math"
	"strings"
)

// AppleGPU returns the GPU of a Mac by the name of its processor, its memory in bytes, and the limit in MiB that its
// owner set for the GPU (sysctl iogpu.wired_limit_mb), 0 where none. Intel's processors have none that counts, nor has
// a virtual machine, "Apple M1 (Virtual)".
//
// It works in the machine's memory, of which Metal lets it take two thirds, and three quarters of 36 GiB or more: its
// recommendedMaxWorkingSetSize as logs of llama.cpp have it, 11453 MB of 16 GiB, 22906 MB of 32 GiB, 51539 MB of 64 GiB.
// Newer versions of macOS give more (74 % of 16 GiB, 84 % of 128 GiB), told over Metal alone: that is not claimed here.
func AppleGPU(chip string, memory uint64, limitMB uint32) []GPU {
	if !strings.HasPrefix(chip, "Apple ") || strings.Contains(chip, "Virtual") {
		return nil
	}
	share := memory / 3 * 2
	if memory >= 36*gib {
		share = memory / 4 * 3
	}
	if limitMB > 0 {
		share = uint64(limitMB) * mib
	}
	return []GPU{{Name: printable(chip), SharedMB: int(min(share/mib, memory/mib, math.MaxInt32))}}
}
