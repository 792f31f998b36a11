package sched

// Load is what a node knows of its own business when it asks for work.
type Load struct {
	// CPUPercent and GPUPercent are utilisation by anybody, 0 to 100.
	CPUPercent, GPUPercent float64
	Slots, Busy            int
	// Loaded tells that a model of the class is loaded; GPU that the node has one.
	Loaded, GPU bool
	// Demo tells that the node has only the demo model.
	Demo bool
	// FreeBytes is how much memory is free for a model; 0 where that is not known.
	FreeBytes int64
}

// bidBefore is the one number that hosts of earlier versions go by, whatever is asked for: 0 for a node
// that wants work most. It is sent with each request for work; hosts of this version see BidFor.
func bidBefore(me Load) (bid int) {
	if !me.Loaded {
		bid += 20
	}
	if !me.GPU {
		bid += 10
	}
	if me.Slots > 0 {
		bid += 30 * me.Busy / me.Slots
	}
	bid += int(me.CPUPercent)/10 + int(me.GPUPercent)/5
	if me.Demo {
		bid += 100
	}
	return bid
}
