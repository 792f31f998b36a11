//go:build linux && cgo

package node_test

import (
	"testing"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"
	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/node"
)

// library stands for the driver's, with these devices; nil is one that is lost.
func library(devices ...nvml.Device) *mock.Interface {
	return &mock.Interface{
		DeviceGetCountFunc:             func() (int, nvml.Return) { return len(devices), nvml.SUCCESS },
		SystemGetDriverVersionFunc:     func() (string, nvml.Return) { return "550.54.14", nvml.SUCCESS },
		SystemGetCudaDriverVersionFunc: func() (int, nvml.Return) { return 12040, nvml.SUCCESS },
		DeviceGetHandleByIndexFunc: func(i int) (nvml.Device, nvml.Return) {
			if devices[i] == nil {
				return nil, nvml.ERROR_GPU_IS_LOST
			}
			return devices[i], nvml.SUCCESS
		},
		ShutdownFunc: func() nvml.Return { return nvml.SUCCESS },
	}
}

// device tells its name, and ret for all figures.
func device(name string, ret nvml.Return) nvml.Device {
	const gib = 1 << 30
	return &mock.Device{
		GetNameFunc: func() (string, nvml.Return) { return name, nvml.SUCCESS },
		GetMemoryInfoFunc: func() (nvml.Memory, nvml.Return) {
			return nvml.Memory{Total: 24 * gib, Used: gib, Free: 23 * gib}, ret
		},
		GetTemperatureFunc: func(nvml.TemperatureSensors) (uint32, nvml.Return) { return 41, ret },
		GetUtilizationRatesFunc: func() (nvml.Utilization, nvml.Return) {
			return nvml.Utilization{Gpu: 7, Memory: 3}, ret
		},
	}
}

func TestNVML(t *testing.T) {
	t.Parallel()
	src := node.NewNVML(library(device("A", nvml.SUCCESS), nil, device("B", nvml.ERROR_NOT_SUPPORTED)))
	got, err := src.GPUs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []node.GPU{
		{
			Index: 0, Name: "A", VRAMTotalMB: 24576, VRAMUsedMB: 1024, VRAMFreeMB: 23552,
			TemperatureC: new(41), UtilizationPct: new(7), DriverVersion: "550.54.14", CUDAVersion: "12.4",
		},
		{Index: 2, Name: "B", DriverVersion: "550.54.14", CUDAVersion: "12.4"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("GPUs (-want +got):\n%s", diff)
	}
}

func TestNVMLThatFailsIsClosed(t *testing.T) {
	t.Parallel()
	lib := library()
	lib.DeviceGetCountFunc = func() (int, nvml.Return) { return 0, nvml.ERROR_UNKNOWN }
	if _, err := node.NewNVML(lib).GPUs(t.Context()); err == nil {
		t.Error("no error")
	}
	if got := len(lib.ShutdownCalls()); got != 1 {
		t.Errorf("closed %d times, want once, to be opened anew", got)
	}
}
