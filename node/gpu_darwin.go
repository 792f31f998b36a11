package node

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// ofSystem returns the sources beside NVIDIA's.
func ofSystem() []GPUSource { return []GPUSource{apple{}} }

// apple finds the GPU of Apple's processors.
type apple struct{}

// Name implements GPUSource.
func (apple) Name() string { return "apple" }

// Every implements GPUSource. Nothing changes but the limit that an owner sets.
func (apple) Every() time.Duration { return 10 * time.Second }

// GPUs implements GPUSource.
func (apple) GPUs(context.Context) ([]GPU, error) {
	chip, err := unix.Sysctl("machdep.cpu.brand_string")
	if err != nil {
		return nil, fmt.Errorf("read the name of the processor: %w", err)
	}
	memory, err := unix.SysctlUint64("hw.memsize")
	if err != nil {
		return nil, fmt.Errorf("read the size of the memory: %w", err)
	}
	limit, err := unix.SysctlUint32("iogpu.wired_limit_mb")
	if err != nil {
		limit = 0 // before macOS 14
	}
	return AppleGPU(chip, memory, limit), nil
}
