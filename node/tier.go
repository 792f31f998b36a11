package node

import "math"

// GPUTier is a class of GPU by its VRAM.
type GPUTier string

// The GPU tiers.
const (
	GPUUltra GPUTier = "ultra" // from 20000 MB
	GPUHigh  GPUTier = "high"  // from 14000 MB
	GPUMid   GPUTier = "mid"   // from 7000 MB
	GPUEntry GPUTier = "entry" // from 3500 MB
	GPUNone  GPUTier = "none"  // less, unknown, or no GPU
)

// Tier is a class of node.
type Tier string

// The node tiers.
const (
	Executive  Tier = "executive"  // an ultra GPU
	Specialist Tier = "specialist" // a high or mid GPU
	Worker     Tier = "worker"     // an entry GPU
	Light      Tier = "light"      // no GPU to speak of, 4 logical cores or more
	Edge       Tier = "edge"       // the rest
)

// gpuTierOf returns the tier of a GPU with vramMB of memory.
func gpuTierOf(vramMB int) GPUTier {
	switch {
	case vramMB >= 20000:
		return GPUUltra
	case vramMB >= 14000:
		return GPUHigh
	case vramMB >= 7000:
		return GPUMid
	case vramMB >= 3500:
		return GPUEntry
	}
	return GPUNone
}

// GPUTier returns the tier of the best GPU: the tier tells how fast a model runs that fits
// one GPU, and a second GPU does not change that.
func (p Profile) GPUTier() GPUTier {
	best := 0
	for _, g := range p.GPUs {
		best = max(best, p.vram(g))
	}
	return gpuTierOf(best)
}

// Tier returns the tier of the node.
func (p Profile) Tier() Tier {
	switch p.GPUTier() {
	case GPUUltra:
		return Executive
	case GPUHigh, GPUMid:
		return Specialist
	case GPUEntry:
		return Worker
	}
	if p.CPU.CoresLogical >= 4 {
		return Light
	}
	return Edge
}

// What a model takes: about 600 MB for a billion parameters quantised to 4 bits, and 1500 MB
// on each GPU for the context and the runtime.
const (
	vramOverheadMB   = 1500
	vramPerBillionMB = 600
)

// LargestModel returns the size of the largest model that fits one GPU with vramMB of
// memory, in billions of parameters to one decimal; 0 below the entry tier.
func LargestModel(vramMB int) float64 {
	if gpuTierOf(vramMB) == GPUNone {
		return 0
	}
	return math.Round(float64(vramMB-vramOverheadMB)/vramPerBillionMB*10) / 10
}

// LargestModel returns the size of the largest model that fits the GPUs of the node
// together, in billions of parameters: engines split the layers of a model between GPUs, so
// every GPU of the entry tier or better counts, less the overhead on each.
func (p Profile) LargestModel() float64 {
	var sum float64
	for _, g := range p.GPUs {
		sum += LargestModel(p.vram(g))
	}
	return math.Round(sum*10) / 10
}
