package node

import "time"

// Load is how busy the machine is, for bids. A figure is 0 until it was first read.
type Load struct {
	// CPUPercent is the share of all cores that was busy since the sample before, 0 to 100.
	CPUPercent float64 `json:"cpu_percent"`
	// MemoryPercent is the share of main memory in use, 0 to 100.
	MemoryPercent float64 `json:"memory_percent"`
	// GPUPercent is the utilisation of the busiest GPU, 0 to 100; -1 where no GPU tells.
	GPUPercent int `json:"gpu_percent"`
	// VRAMFreeMB is the free memory of all GPUs together, in MiB.
	VRAMFreeMB int `json:"vram_free_mb"`
	// GPUAt is when the oldest of these figures of GPUs was read; zero where there is no GPU.
	GPUAt time.Time `json:"gpu_at,omitzero"`
	// At is when the CPU was sampled; zero before the first sample.
	At time.Time `json:"at,omitzero"`
}

// cpuPercent returns the busy share, 0 to 100, between two readings of CPUTimes. Counters
// that stand still or go back, as after a move of a virtual machine, give 0.
func cpuPercent(busy0, total0, busy1, total1 float64) float64 {
	if total1 <= total0 || busy1 <= busy0 {
		return 0
	}
	return min(100*(busy1-busy0)/(total1-total0), 100)
}

// gpuLoad returns the utilisation of the busiest GPU, or -1, and the free VRAM of all. Models do not feel what an
// integrated one is busy with, such as a desktop, and some of those say 100 % whatever they do.
func gpuLoad(gpus []GPU) (percent, freeMB int) {
	percent = -1
	for _, g := range gpus {
		if g.UtilizationPct != nil && !g.Integrated {
			percent = max(percent, *g.UtilizationPct)
		}
		freeMB += g.VRAMFreeMB
	}
	return percent, freeMB
}
