package node_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mycoswarm/mycoswarm/node"
)

// fakeSystem is a machine of the test's making.
type fakeSystem struct {
	times func() (busy, total float64)
	disks func(ctx context.Context) ([]node.Disk, error)
}

func (fakeSystem) Hostname(context.Context) (string, error) { return "attic", nil }

func (fakeSystem) CPU(context.Context) (node.CPU, error) {
	return node.CPU{Model: "test", CoresLogical: 4, CoresPhysical: 2}, nil
}

func (fakeSystem) Memory(context.Context) (node.Memory, error) {
	return node.Memory{TotalMB: 8192, PercentUsed: 50}, nil
}

func (s fakeSystem) Disks(ctx context.Context) ([]node.Disk, error) {
	if s.disks != nil {
		return s.disks(ctx)
	}
	return []node.Disk{{Path: "/", FreeGB: 10}}, nil
}

func (fakeSystem) Network(context.Context) ([]node.Interface, error) {
	return []node.Interface{{Name: "eth0", IPv4: "10.0.0.1"}}, nil
}

func (s fakeSystem) CPUTimes(context.Context) (busy, total float64, err error) {
	if s.times != nil {
		busy, total = s.times()
	}
	return busy, total, nil
}

// fakeGPUs is a source of the test's making.
type fakeGPUs func(ctx context.Context) ([]node.GPU, error)

func (fakeGPUs) Name() string                                   { return "fake" }
func (fakeGPUs) Every() time.Duration                           { return 2 * time.Second }
func (f fakeGPUs) GPUs(ctx context.Context) ([]node.GPU, error) { return f(ctx) }
func some(gpus ...node.GPU) fakeGPUs {
	return func(context.Context) ([]node.GPU, error) { return gpus, nil }
}

// start runs a Detector in the bubble of the test; it is stopped by the returned function.
func start(t *testing.T, cfg node.Config) (d *node.Detector, stop func()) {
	t.Helper()
	d = node.NewDetector(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	return d, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

func TestDetectorJoinsItsSources(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, stop := start(t, node.Config{
			System: fakeSystem{},
			GPUs: []node.GPUSource{
				some(node.GPU{Name: "A", VRAMFreeMB: 1000, UtilizationPct: new(10)}, node.GPU{Name: "B", VRAMFreeMB: 500}),
				some(node.GPU{Name: "C", UtilizationPct: new(90)}, node.GPU{Name: "a desktop's", UtilizationPct: new(100), Integrated: true}),
			},
		})
		defer stop()
		<-d.Ready()
		got := d.Profile()
		if got.Hostname != "attic" || got.CPU.CoresLogical != 4 || got.Memory.TotalMB != 8192 ||
			len(got.Disks) != 1 || len(got.Network) != 1 || len(got.GPUs) != 4 || got.GPUs[2].Name != "C" {
			t.Errorf("profile %+v", got)
		}
		if l := d.Load(); l.GPUPercent != 90 || l.VRAMFreeMB != 1500 || l.MemoryPercent != 50 || l.GPUAt.IsZero() {
			t.Errorf("load %+v", l)
		}
	})
}

func TestDetectorBeforeItRuns(t *testing.T) {
	t.Parallel()
	d := node.NewDetector(node.Config{System: fakeSystem{}, GPUs: []node.GPUSource{}})
	if p := d.Profile(); p.GPUs == nil || p.Disks == nil || p.Network == nil {
		t.Errorf("a list is nil: %+v", p)
	}
	if l := d.Load(); l.GPUPercent != -1 || !l.At.IsZero() {
		t.Errorf("load %+v", l)
	}
}

func TestDetectorSamplesTheCPU(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		busy, total := 100.0, 1000.0
		d, stop := start(t, node.Config{GPUs: []node.GPUSource{}, System: fakeSystem{times: func() (float64, float64) {
			busy, total = busy+1, total+4
			return busy, total
		}}})
		defer stop()
		<-d.Ready()
		if got := d.Load().CPUPercent; got != 0 {
			t.Errorf("CPU %v%% after one sample, want 0: it has no sample before", got)
		}
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		if got := d.Load(); got.CPUPercent != 25 || got.At.IsZero() {
			t.Errorf("load %+v, want 25%% of the CPU", got)
		}
	})
}

// A source that hangs or fails makes what others tell no older, and what it told does not count for ever.
func TestDetectorForgetsOldFiguresOfGPUs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hung := make(chan struct{})
		once := func(g node.GPU, then func() error) node.GPUSource {
			asked := 0
			return fakeGPUs(func(context.Context) ([]node.GPU, error) {
				if asked++; asked > 1 {
					return nil, then()
				}
				return []node.GPU{g}, nil
			})
		}
		began := time.Now()
		d, stop := start(t, node.Config{System: fakeSystem{}, GPUs: []node.GPUSource{
			once(node.GPU{Name: "hangs", UtilizationPct: new(80), VRAMFreeMB: 1000}, func() error { <-hung; return nil }),
			some(node.GPU{Name: "answers", UtilizationPct: new(40), VRAMFreeMB: 100}),
			once(node.GPU{Name: "fails", UtilizationPct: new(7), VRAMFreeMB: 10}, func() error { return errors.New("away") }),
			some(),
		}})
		time.Sleep(29 * time.Second)
		if l := d.Load(); l.GPUPercent != 80 || !l.GPUAt.Equal(began) || l.VRAMFreeMB != 1110 {
			t.Errorf("after 29 s: %+v", l)
		}
		time.Sleep(2 * time.Second)
		if l := d.Load(); l.GPUPercent != 40 || time.Since(l.GPUAt) > 10*time.Second || l.VRAMFreeMB != 100 {
			t.Errorf("after 31 s: %+v, read %v ago", l, time.Since(l.GPUAt))
		}
		if p := d.Profile(); len(p.GPUs) != 3 {
			t.Errorf("the machine has %d GPUs", len(p.GPUs))
		}
		close(hung)
		stop()
	})
}

func TestDetectorSeesAGPUThatComesAndGoes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var there atomic.Bool
		d, stop := start(t, node.Config{System: fakeSystem{}, GPUs: []node.GPUSource{
			fakeGPUs(func(context.Context) ([]node.GPU, error) {
				if there.Load() {
					return []node.GPU{{Name: "A"}}, nil
				}
				return nil, nil
			}),
		}})
		defer stop()
		<-d.Ready()
		for _, want := range []int{0, 1, 0} {
			there.Store(want == 1)
			time.Sleep(3 * time.Second)
			synctest.Wait()
			if got := len(d.Profile().GPUs); got != want {
				t.Errorf("%d GPUs, want %d", got, want)
			}
		}
	})
}

func TestDetectorKeepsWhatItKnowsThroughAnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		d, stop := start(t, node.Config{GPUs: []node.GPUSource{}, System: fakeSystem{
			disks: func(context.Context) ([]node.Disk, error) {
				if broken.Load() {
					return nil, errors.New("no answer")
				}
				return []node.Disk{{Path: "/"}}, nil
			},
		}})
		defer stop()
		<-d.Ready()
		broken.Store(true)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if got := len(d.Profile().Disks); got != 1 {
			t.Errorf("%d disks, want 1", got)
		}
	})
}

func TestDetectorIsNotHeldUpByASourceThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var started atomic.Int32
		free := make(chan struct{})
		d, stop := start(t, node.Config{System: fakeSystem{}, GPUs: []node.GPUSource{
			fakeGPUs(func(context.Context) ([]node.GPU, error) { // whatever its context says
				started.Add(1)
				<-free
				return []node.GPU{{Name: "late"}}, nil
			}),
			some(node.GPU{Name: "B"}),
		}})
		begin := time.Now()
		<-d.Ready()
		if took := time.Since(begin); took != 5*time.Second {
			t.Errorf("ready after %v, want the time limit of 5 s", took)
		}
		time.Sleep(time.Hour)
		if got := started.Load(); got != 1 {
			t.Errorf("%d readings at once, want 1", got)
		}
		if got := d.Profile(); len(got.GPUs) != 1 || got.CPU.CoresLogical != 4 {
			t.Errorf("profile %+v, want the other sources' part", got)
		}
		begin = time.Now()
		stop()
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("Run ended after %v", took)
		}
		close(free)
	})
}

func TestDetectorAsksAgainAfterAHang(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		d, stop := start(t, node.Config{System: fakeSystem{}, GPUs: []node.GPUSource{
			fakeGPUs(func(context.Context) ([]node.GPU, error) {
				if calls.Add(1) == 1 {
					time.Sleep(time.Minute)
				}
				return []node.GPU{{Name: "A"}}, nil
			}),
		}})
		defer stop()
		time.Sleep(61 * time.Second)
		if got := len(d.Profile().GPUs); got != 0 {
			t.Errorf("%d GPUs from the late answer, want it dropped", got)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if got := len(d.Profile().GPUs); got != 1 {
			t.Errorf("%d GPUs, want 1", got)
		}
	})
}

func TestDetectThisMachine(t *testing.T) {
	t.Parallel()
	got := node.Detect(t.Context())
	if got.Hostname == "" || got.CPU.CoresLogical < 1 || got.CPU.CoresPhysical < 1 || got.CPU.Architecture == "" ||
		got.Memory.TotalMB < 1 || len(got.Disks) < 1 || len(got.Network) < 1 {
		t.Errorf("profile %+v", got)
	}
	t.Logf("%+v: tier %s, capabilities %v", got, got.Tier(), node.Capabilities(got, true))
}
