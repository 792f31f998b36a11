//go:build linux && cgo

package node

import "github.com/NVIDIA/go-nvml/pkg/nvml"

// NewNVML gives tests a source over an open library.
func NewNVML(lib nvml.Interface) GPUSource { return &nvmlSource{lib: lib} }
