//go:build !linux || !cgo

package node

// nvidia returns the way to see NVIDIA GPUs in a build without NVML.
func nvidia() GPUSource { return NewSMI("") }
