package node

import "time"

const (
	ownGrace = 5 * time.Second // after the swarm's work the CPU and GPU figures are still its own
	gpuInUse = 25              // percent of a GPU that nobody of the swarm uses
	gpuAfter = 5 * time.Second // in use for so long, before it counts
	gpuFree  = 30 * time.Second
	cpuOver  = 30 * time.Second // over which the CPU's use is averaged
)

// Watch tells the owner's use of a machine from the swarm's. Its zero value has seen nothing. Figures
// count only while no task of the swarm runs: what was seen last holds until then.
type Watch struct {
	usage   Usage
	seen    time.Time // the last sample that counted
	own     time.Time // when the swarm's work ran last
	gpuFrom time.Time // the first reading of the GPU in use, zero where it is not
	gpuLast time.Time // the last one
}

// Next returns w after a sample: how busy the machine is, how it is powered, and whether a task of the
// swarm runs.
func (w Watch) Next(l Load, p Power, running bool, now time.Time) Watch {
	w.usage.Power = p
	if running {
		w.own = now
	}
	if !w.own.IsZero() && now.Sub(w.own) < ownGrace {
		w.gpuFrom, w.seen = time.Time{}, time.Time{}
		if w.usage.GPUBusy {
			w.gpuLast = now // nobody can tell
		}
		return w
	}
	share := 0.0 // of the first sample after the swarm's own work, or after the start
	if !w.seen.IsZero() {
		share = min(now.Sub(w.seen).Seconds()/cpuOver.Seconds(), 1)
	}
	w.usage.CPUPercent += (l.CPUPercent - w.usage.CPUPercent) * share
	w.seen = now
	w.nextGPU(l, now)
	return w
}

// nextGPU takes in a reading of the GPU, which may be some seconds old: one of while the swarm's work ran, or just
// after, is of that work.
func (w *Watch) nextGPU(l Load, now time.Time) {
	switch {
	case l.GPUPercent < gpuInUse:
		w.gpuFrom = time.Time{}
	case !w.own.IsZero() && l.GPUAt.Sub(w.own) < ownGrace:
		return
	default:
		w.gpuLast = l.GPUAt
		if w.gpuFrom.IsZero() {
			w.gpuFrom = l.GPUAt
		}
		w.usage.GPUBusy = w.usage.GPUBusy || l.GPUAt.Sub(w.gpuFrom) >= gpuAfter
	}
	w.usage.GPUBusy = w.usage.GPUBusy && now.Sub(w.gpuLast) < gpuFree
}

// Usage is how the machine is used, apart from the swarm's work.
func (w Watch) Usage() Usage { return w.usage }

const coarse = 256 * mib // bytes

// Coarse rounds free memory for others to read: to steps of 256 MiB, and to told, which was told
// before, where now is near it. What changes is sent to every node.
func Coarse(told int64, nowMB int) int64 {
	now := int64(max(nowMB, 0)) * mib
	if diff := now - told; diff > -coarse && diff < 2*coarse {
		return told
	}
	return now / coarse * coarse
}
