//go:build linux && cgo

package node

import (
	"context"
	"fmt"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// nvidia returns the ways to see NVIDIA GPUs, the best first.
func nvidia() GPUSource {
	return &fallback{sources: []GPUSource{&nvmlSource{}, NewSMI("")}}
}

// nvmlSource reads NVIDIA GPUs from the driver's library, which is looked for at run time.
type nvmlSource struct {
	// lib stays open while it works, for the life of the process: opening it takes up to a
	// second and wakes every GPU. nil is not open.
	lib nvml.Interface
}

// Name implements GPUSource.
func (*nvmlSource) Name() string { return "nvml" }

// Every implements GPUSource.
func (*nvmlSource) Every() time.Duration { return 2 * time.Second }

// GPUs implements GPUSource. After an error the library is opened anew, so that a driver that
// is installed or replaced while the daemon runs is seen.
func (n *nvmlSource) GPUs(context.Context) ([]GPU, error) {
	if n.lib == nil {
		lib, err := openNVML()
		if lib == nil {
			return nil, err
		}
		n.lib = lib
	}
	count, ret := n.lib.DeviceGetCount()
	if ret != nvml.SUCCESS {
		_ = n.lib.Shutdown() // it is opened anew, whatever state it is in
		n.lib = nil
		return nil, fmt.Errorf("count GPUs over NVML: %w", ret)
	}
	driver, _ := n.lib.SystemGetDriverVersion()
	cuda := ""
	if v, ret := n.lib.SystemGetCudaDriverVersion(); ret == nvml.SUCCESS {
		cuda = fmt.Sprintf("%d.%d", v/1000, v%1000/10)
	}
	gpus := make([]GPU, 0, count)
	for i := range count {
		dev, ret := n.lib.DeviceGetHandleByIndex(i)
		if ret != nvml.SUCCESS {
			continue // lost, or not ours to see
		}
		gpus = append(gpus, readNVML(dev, GPU{Index: i, DriverVersion: text(driver), CUDAVersion: cuda}))
	}
	return gpus, nil
}

// symbols are the functions used here. Calling one that the library lacks, as an old or a
// future driver's may, would end the process.
var symbols = []string{
	"nvmlSystemGetDriverVersion", "nvmlSystemGetCudaDriverVersion", "nvmlDeviceGetName",
	"nvmlDeviceGetMemoryInfo", "nvmlDeviceGetTemperature", "nvmlDeviceGetUtilizationRates",
}

// openNVML opens the library; nil without error is one that is not there, or not to be used.
func openNVML() (nvml.Interface, error) {
	lib := nvml.New()
	switch ret := lib.Init(); ret {
	case nvml.SUCCESS:
	case nvml.ERROR_LIBRARY_NOT_FOUND, nvml.ERROR_DRIVER_NOT_LOADED, nvml.ERROR_NOT_FOUND:
		return nil, nil
	default:
		return nil, fmt.Errorf("initialise NVML: %w", ret)
	}
	for _, name := range symbols {
		if lib.Extensions().LookupSymbol(name) != nil {
			_ = lib.Shutdown()
			return nil, nil //nolint:nilerr // nvidia-smi is asked instead
		}
	}
	return lib, nil
}

// readNVML fills in the figures that the driver tells of dev.
func readNVML(dev nvml.Device, g GPU) GPU {
	const mib = 1 << 20
	if name, ret := dev.GetName(); ret == nvml.SUCCESS {
		g.Name = text(name)
	}
	if m, ret := dev.GetMemoryInfo(); ret == nvml.SUCCESS {
		g.VRAMTotalMB, g.VRAMUsedMB, g.VRAMFreeMB = int(m.Total/mib), int(m.Used/mib), int(m.Free/mib)
	}
	if t, ret := dev.GetTemperature(nvml.TEMPERATURE_GPU); ret == nvml.SUCCESS {
		c := int(t)
		g.TemperatureC = &c
	}
	if u, ret := dev.GetUtilizationRates(); ret == nvml.SUCCESS {
		pct := int(u.Gpu)
		g.UtilizationPct = &pct
	}
	return g
}
