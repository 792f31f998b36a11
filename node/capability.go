package node

import "github.com/mycoswarm/mycoswarm/bus"

// The names of what a node can do, in the order in which Capabilities lists them.
const (
	CapGPUInference   = "gpu_inference"   // a GPU of the entry tier or better, and an engine
	CapCPUInference   = "cpu_inference"   // 4096 MB of memory, 2 logical cores, and an engine
	CapCPUWorker      = "cpu_worker"      // 2 logical cores
	CapFileProcessing = "file_processing" // 2 logical cores
	CapCodeExecution  = "code_execution"  // 2 logical cores
	CapStorage        = "storage"         // 5 GB free on all disks together
	CapCoordinator    = "coordinator"     // a LAN address and 2 logical cores
	CapEdge           = "edge"            // a known CPU with fewer than 2 logical cores
)

// Capabilities returns what a node with profile p can do. engineUp tells whether an engine
// answers now: without one there is no inference, whatever the hardware.
func Capabilities(p Profile, engineUp bool) []string {
	cores := p.CPU.CoresLogical
	var free float64
	for _, d := range p.Disks {
		free += d.FreeGB
	}
	caps := []string{}
	for _, c := range []struct {
		name string
		has  bool
	}{
		{CapGPUInference, engineUp && p.GPUTier() != GPUNone},
		{CapCPUInference, engineUp && p.Memory.TotalMB >= 4096 && cores >= 2},
		{CapCPUWorker, cores >= 2},
		{CapFileProcessing, cores >= 2},
		{CapCodeExecution, cores >= 2},
		{CapStorage, free >= 5},
		{CapCoordinator, cores >= 2 && p.LANAddr() != ""},
		{CapEdge, cores == 1},
	} {
		if c.has {
			caps = append(caps, c.name)
		}
	}
	return caps
}

// Facts are what Info needs beside the hardware: what the rest of the daemon knows.
type Facts struct {
	ID      bus.NodeID
	Name    string // empty: the host name of the profile
	State   bus.NodeState
	Version string
	// EngineUp tells whether any engine answers now.
	EngineUp bool
	Models   []bus.ModelInfo
	// Types are the types of task that it runs.
	Types       []string
	Slots, Busy int
	QueueHost   bool
	FabricAddr  string // HOST:PORT
}

// Info assembles what a node tells others of itself. Lists are empty rather than nil, so
// that they are [] in JSON. Seen stays zero: it is the receiver's to set.
func Info(p Profile, f Facts) bus.NodeInfo {
	name := f.Name
	if name == "" {
		name = p.Hostname
	}
	return bus.NodeInfo{
		ID:           f.ID,
		Name:         name,
		State:        f.State,
		Tier:         string(p.Tier()),
		GPUTier:      string(p.GPUTier()),
		Cores:        p.CPU.CoresPhysical,
		Capabilities: Capabilities(p, f.EngineUp),
		Models:       append([]bus.ModelInfo{}, f.Models...),
		Types:        append([]string{}, f.Types...),
		Slots:        f.Slots,
		Busy:         f.Busy,
		QueueHost:    f.QueueHost,
		Version:      f.Version,
		FabricAddr:   f.FabricAddr,
		Host:         p.Hostname,
	}
}
