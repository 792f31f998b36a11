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
	// GPUAt is when GPUPercent was read; zero where no GPU tells.
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

// gpuStale is how old figures of a GPU may be. A source that is asked, and does not answer, keeps its last ones.
const gpuStale = 30 * time.Second

// addGPUs adds what a source of GPUs told at a time: the utilisation of the busiest, and the free VRAM of all. Models do not
// feel what an integrated one is busy with, such as a desktop, and some of those say 100 % whatever they do.
func (l *Load) addGPUs(gpus []GPU, at time.Time) {
	for _, g := range gpus {
		if g.UtilizationPct != nil && !g.Integrated && *g.UtilizationPct > l.GPUPercent {
			l.GPUPercent, l.GPUAt = *g.UtilizationPct, at
		}
		l.VRAMFreeMB += g.VRAMFreeMB
	}
}
