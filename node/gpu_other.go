//go:build !linux && !darwin

package node

// ofSystem returns the sources beside NVIDIA's. Windows keeps the memory of a GPU in its registry, for any that was ever
// there: what is there now it does not say, so none is claimed.
func ofSystem() []GPUSource { return nil }
