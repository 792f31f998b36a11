package sched

import (
	"fmt"
	"strings"
)

// Load is what a node knows of its own business when it bids.
type Load struct {
	// CPUPercent and GPUPercent are utilisation by anybody, 0 to 100.
	CPUPercent, GPUPercent float64
	// MemoryPercent is main memory in use, 0 to 100.
	MemoryPercent float64
	Slots, Busy   int
	// Loaded tells that a model of the class is loaded; GPU that the node has one.
	Loaded, GPU bool
	// Demo tells that the node has only the demo model.
	Demo bool
}

// Bid returns how much a node wants work of a class, 0 the most, and why. It is sent with each
// request for work.
func Bid(me Load) (bid int, why string) {
	var parts []string
	add := func(n int, format string, args ...any) {
		if n > 0 {
			bid += n
			parts = append(parts, fmt.Sprintf("+%d ", n)+fmt.Sprintf(format, args...))
		}
	}
	if !me.Loaded {
		add(20, "no model loaded")
	}
	if !me.GPU {
		add(10, "no GPU")
	}
	if me.Slots > 0 {
		add(30*me.Busy/me.Slots, "%d of %d slots busy", me.Busy, me.Slots)
	}
	add(int(me.CPUPercent)/10, "CPU %.0f %%", me.CPUPercent)
	add(int(me.GPUPercent)/5, "GPU %.0f %%", me.GPUPercent)
	if me.Demo {
		add(100, "demo model only")
	}
	if len(parts) == 0 {
		return 0, "model loaded, idle"
	}
	return bid, strings.Join(parts, ", ")
}
