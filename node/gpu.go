package node

import (
	"context"
	"time"
)

// GPUSource finds the GPUs of one vendor.
type GPUSource interface {
	// Name names the source in logs.
	Name() string
	// Every is how often it may be asked without burdening the machine.
	Every() time.Duration
	// GPUs returns what is there now. No GPU, no driver and no library are not errors.
	// It may block for longer than ctx allows: its caller bears that.
	// It is asked by one goroutine at a time.
	GPUs(ctx context.Context) ([]GPU, error)
}

// gpuSources returns a source for each vendor that this build knows: NVIDIA, on Linux AMD, and on macOS Apple.
func gpuSources() []GPUSource { return append([]GPUSource{nvidia()}, ofSystem()...) }

// fallback asks its sources in order and takes the first answer that has a GPU. They are
// several ways to see the same GPUs.
type fallback struct {
	sources []GPUSource
	last    int // the one that answered
}

// Name implements GPUSource.
func (f *fallback) Name() string { return f.sources[f.last].Name() }

// Every implements GPUSource: it is that of the source that answered last.
func (f *fallback) Every() time.Duration { return f.sources[f.last].Every() }

// GPUs implements GPUSource. Where no source sees a GPU, the error is that of the first one
// that has any.
func (f *fallback) GPUs(ctx context.Context) ([]GPU, error) {
	var first error
	for i, s := range f.sources {
		f.last = i
		gpus, err := s.GPUs(ctx)
		if len(gpus) > 0 {
			return gpus, nil
		}
		if err != nil && first == nil {
			first = err
		}
	}
	return nil, first
}
