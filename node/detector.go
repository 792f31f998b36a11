package node

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Config sets up a Detector. Its zero value works.
type Config struct {
	Logger *slog.Logger // default: discards
	// GPUs are the sources of GPUs, whose answers are joined. Default: one for each vendor that this build knows.
	GPUs []GPUSource
	// System reads the rest. Default: this machine.
	System System
}

const (
	readEvery = 10 * time.Second // hardware: a disk that fills or a network that changes is seen soon enough
	loadEvery = time.Second      // CPU and memory use, as bids look back no further
	readLimit = 5 * time.Second  // of each reading: nvidia-smi takes up to 3 s to wake a driver
	grace     = time.Second      // Run waits so long at its end for a reading that ignores its context
)

// Detector keeps a Profile and a Load of this machine up to date.
type Detector struct {
	cfg     Config
	sources []*source
	ready   chan struct{}

	mu      sync.Mutex
	profile Profile
	load    Load
	gpus    [][]GPU     // by source
	gpusAt  []time.Time // when they were read
	waiting int         // sources that have not been read or given up yet
}

// source is one thing to read. One goroutine owns it.
type source struct {
	name  string
	every func() time.Duration
	// read returns how to store what it found; it is called with the Detector's mutex held.
	read func(ctx context.Context) (store func(), err error)
	// failed is the error that was logged last, so that it is logged once.
	failed string
	tried  bool
}

// NewDetector makes a Detector; Run starts it.
func NewDetector(cfg Config) *Detector {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.System == nil {
		cfg.System = machine{}
	}
	if cfg.GPUs == nil {
		cfg.GPUs = gpuSources()
	}
	d := &Detector{cfg: cfg, ready: make(chan struct{}), gpus: make([][]GPU, len(cfg.GPUs)), gpusAt: make([]time.Time, len(cfg.GPUs))}
	d.load.GPUPercent = -1
	d.sources = d.list()
	d.waiting = len(d.sources)
	return d
}

// Detect reads everything once and returns what answered within 5 s, or until ctx ends: for
// a program that has no daemon to ask.
func Detect(ctx context.Context) Profile {
	ctx, cancel := context.WithCancel(ctx)
	d := NewDetector(Config{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = d.Run(ctx)
	}()
	select {
	case <-d.Ready():
	case <-ctx.Done():
	}
	cancel()
	<-ended
	return d.Profile()
}

// Profile returns what is known now. It does not block. Lists are never nil.
func (d *Detector) Profile() Profile {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.profile
	p.GPUs, p.Disks, p.Network = orEmpty(p.GPUs), orEmpty(p.Disks), orEmpty(p.Network)
	return p
}

func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// Load returns the last samples. It does not block. What a source told of GPUs too long ago does not count: it hangs or fails.
func (d *Detector) Load() Load {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.load
	for i, at := range d.gpusAt {
		if time.Since(at) <= gpuStale {
			l.addGPUs(d.gpus[i], at)
		}
	}
	return l
}

// Ready is closed once every source has answered, failed or exceeded its time limit.
func (d *Detector) Ready() <-chan struct{} { return d.ready }

// Run keeps reading until ctx ends, and returns nil. A source that hangs holds one goroutine,
// whatever the time, which Run leaves behind at its end after a second. Run is called once.
func (d *Detector) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, s := range d.sources {
		wg.Go(func() { d.keep(ctx, s) })
	}
	wg.Wait()
	return nil
}

// keep reads s again and again until ctx ends.
func (d *Detector) keep(ctx context.Context, s *source) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if !d.read(ctx, s) {
			return
		}
		timer.Reset(s.every())
	}
}

// read reads s once and returns when that ended, so that no second reading starts beside it.
// One that exceeds its limit counts as tried and its late answer is dropped. It reports
// whether to go on.
func (d *Detector) read(ctx context.Context, s *source) bool {
	type answer struct {
		store func()
		err   error
	}
	done := make(chan answer, 1)
	limited, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	go func() {
		store, err := s.read(limited)
		done <- answer{store, err}
	}()
	select {
	case a := <-done:
		if ctx.Err() == nil {
			d.settle(s, a.store, a.err)
		}
		return ctx.Err() == nil
	case <-limited.Done():
	}
	if ctx.Err() == nil {
		d.settle(s, nil, limited.Err())
		select {
		case <-done:
			return true
		case <-ctx.Done():
		}
	}
	late := time.NewTimer(grace)
	defer late.Stop()
	select {
	case <-done:
	case <-late.C:
		d.cfg.Logger.Warn("hardware detection does not end; leaving it", "source", s.name)
	}
	return false
}

// settle stores what s found, and logs an error where it is a new one.
func (d *Detector) settle(s *source, store func(), err error) {
	d.mu.Lock()
	if store != nil {
		store()
	}
	if !s.tried {
		s.tried = true
		if d.waiting--; d.waiting == 0 {
			close(d.ready)
		}
	}
	d.mu.Unlock()

	msg := ""
	if err != nil {
		msg = err.Error()
	}
	if msg != "" && msg != s.failed {
		d.cfg.Logger.Warn("cannot detect hardware", "source", s.name, "limit", readLimit, "err", err)
	}
	s.failed = msg
}

// list makes the sources of d.
func (d *Detector) list() []*source {
	sys, slow := d.cfg.System, func() time.Duration { return readEvery }
	list := []*source{
		reading("host name", slow, sys.Hostname, func(v string) { d.profile.Hostname = v }),
		reading("cpu", slow, sys.CPU, func(v CPU) { d.profile.CPU = v }),
		reading("disks", slow, sys.Disks, func(v []Disk) { d.profile.Disks = v }),
		reading("network", slow, sys.Network, func(v []Interface) { d.profile.Network = v }),
		reading("load", func() time.Duration { return loadEvery }, d.sampler(), d.storeSample),
	}
	for i, src := range d.cfg.GPUs {
		list = append(list, reading("gpu", src.Every, src.GPUs, func(v []GPU) { d.storeGPUs(i, v) }))
	}
	return list
}

// reading makes a source of a function that reads a value and one that stores it.
func reading[T any](name string, every func() time.Duration, get func(context.Context) (T, error), set func(T)) *source {
	return &source{name: name, every: every, read: func(ctx context.Context) (func(), error) {
		v, err := get(ctx)
		if err != nil {
			return nil, err
		}
		return func() { set(v) }, nil
	}}
}

// storeGPUs joins what each source sees. A GPU's index is that of its vendor.
func (d *Detector) storeGPUs(source int, gpus []GPU) {
	d.gpus[source], d.gpusAt[source] = gpus, time.Now()
	d.profile.GPUs = slices.Concat(d.gpus...)
}

// sample is one reading of what changes all the time.
type sample struct {
	memory     Memory
	cpuPercent float64
	at         time.Time
}

// sampler returns a function that samples CPU and memory. The CPU's share is that since the
// sample before.
func (d *Detector) sampler() func(context.Context) (sample, error) {
	var busy0, total0 float64
	return func(ctx context.Context) (sample, error) {
		m, err := d.cfg.System.Memory(ctx)
		if err != nil {
			return sample{}, err
		}
		busy, total, err := d.cfg.System.CPUTimes(ctx)
		if err != nil {
			return sample{}, err
		}
		s := sample{memory: m, at: time.Now()}
		if total0 > 0 {
			s.cpuPercent = cpuPercent(busy0, total0, busy, total)
		}
		busy0, total0 = busy, total
		return s, nil
	}
}

func (d *Detector) storeSample(s sample) {
	d.profile.Memory = s.memory
	d.load.CPUPercent, d.load.MemoryPercent, d.load.At = s.cpuPercent, s.memory.PercentUsed, s.at
}
