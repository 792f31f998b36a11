package node

import "os"

// ofSystem returns the sources beside NVIDIA's. Intel's GPUs are left out: those in processors are of no use to most
// engines, and of an Arc neither i915 nor xe tells its memory in /sys.
func ofSystem() []GPUSource { return []GPUSource{NewAMD(os.DirFS("/"))} }
