package node_test

import (
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/node"
)

func hours(t *testing.T, specs ...string) (out []node.Hours) {
	t.Helper()
	for _, s := range specs {
		h, err := node.ParseHours(s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, h)
	}
	return out
}

func TestHours(t *testing.T) {
	t.Parallel()
	all := func(s ...string) []string { return s }
	for _, tt := range []struct {
		closed []string
		now    string // Mon 2 Nov 2026 is a Monday
		why    string // empty: open
	}{
		{all("09:00-17:00"), "2026-11-02 08:59", ""},
		{all("09:00-17:00"), "2026-11-02 09:00", "until 17:00"},
		{all("09:00-17:00"), "2026-11-02 16:59", "until 17:00"},
		{all("09:00-17:00"), "2026-11-02 17:00", ""},
		{all("mon-fri 09:00-17:00"), "2026-11-06 12:00", "until 17:00"},
		{all("mon-fri 09:00-17:00"), "2026-11-07 12:00", ""},
		{all("fri-mon 09:00-17:00"), "2026-11-08 12:00", "until 17:00"},
		{all("fri-mon 09:00-17:00"), "2026-11-03 12:00", ""},
		{all("sat,sun 00:00-24:00"), "2026-11-07 12:00", "until Mon 00:00"},
		{all("22:00-06:00"), "2026-11-02 23:00", "until Tue 06:00"},
		{all("22:00-06:00"), "2026-11-02 05:59", "until 06:00"},
		{all("22:00-06:00"), "2026-11-02 06:00", ""},
		{all("fri 22:00-06:00"), "2026-11-07 03:00", "until 06:00"}, // Friday's night
		{all("fri 22:00-06:00"), "2026-11-06 03:00", ""},
		{all("09:00-12:00", "12:00-17:00"), "2026-11-02 10:00", "until 17:00"},
		{all("00:00-24:00"), "2026-11-02 10:00", "at all hours"},
	} {
		now, err := time.Parse("2006-01-02 15:04", tt.now)
		if err != nil {
			t.Fatal(err)
		}
		p := node.Policy{Closed: hours(t, tt.closed...)}
		got := p.Judge(node.Usage{}, now)
		if got == nil != (tt.why == "") || got != nil && (!got.Closed || got.Why != tt.why) {
			t.Errorf("%v at %s: %+v, want %q", tt.closed, tt.now, got, tt.why)
		}
	}
	for _, bad := range []string{"", "9-17", "09:00", "09:00-25:00", "09:60-10:00", "foo 09:00-10:00", "09:00-09:00", "24:00-01:00", "mon- 09:00-10:00", "mon-fri"} {
		if h, err := node.ParseHours(bad); err == nil {
			t.Errorf("%q is read as %+v", bad, h)
		}
	}
}

// Hours are those of the wall clock, on the days too when it is set back or forward.
func TestHoursWhenTheClockChanges(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	p := node.Policy{Closed: hours(t, "sat 22:00-06:00")}
	for _, now := range []time.Time{
		time.Date(2026, 10, 25, 5, 30, 0, 0, berlin), // set back that night
		time.Date(2026, 3, 29, 5, 30, 0, 0, berlin),  // forward
	} {
		if got := p.Judge(node.Usage{}, now); got == nil || got.Why != "until 06:00" {
			t.Errorf("%v: %+v, want closed until 06:00", now, got)
		}
		if got := p.Judge(node.Usage{}, now.Add(time.Hour)); got != nil {
			t.Errorf("an hour after %v: %+v, want open", now, got)
		}
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	closed := func(why string) *bus.OwnerUse { return &bus.OwnerUse{Closed: true, Why: why} }
	weight := func(w int, why string) *bus.OwnerUse { return &bus.OwnerUse{Weight: w, Why: why} }
	onBattery := node.Usage{Power: node.PowerBattery}
	for _, tt := range []struct {
		name   string
		policy node.Policy
		usage  node.Usage
		want   *bus.OwnerUse
	}{
		{"nothing to heed", node.Policy{}, node.Usage{}, nil},
		{"plugged in", node.Policy{OnBattery: node.BatteryNever}, node.Usage{Power: node.PowerMains}, nil},
		{"power unknown", node.Policy{OnBattery: node.BatteryNever}, node.Usage{}, nil},
		{"on battery, by default", node.Policy{}, onBattery, weight(100, "on battery")},
		{"on battery, used", node.Policy{OnBattery: node.BatteryUsed}, onBattery, nil},
		{"on battery, never", node.Policy{OnBattery: node.BatteryNever}, onBattery, closed("on battery")},
		{"a game on the GPU", node.Policy{YieldGPU: true}, node.Usage{GPUBusy: true}, closed("the GPU is in use by others")},
		{"a game, and nobody minds", node.Policy{}, node.Usage{GPUBusy: true}, nil},
		{"a desktop", node.Policy{}, node.Usage{CPUPercent: 19}, nil},
		{"a compiler", node.Policy{}, node.Usage{CPUPercent: 60}, weight(30, "the CPU is in use by others")},
		{"a compiler on battery", node.Policy{}, node.Usage{CPUPercent: 100, Power: node.PowerBattery}, weight(100, "on battery, the CPU is in use by others")},
	} {
		got := tt.policy.Judge(tt.usage, time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC))
		if got == nil != (tt.want == nil) || got != nil && *got != *tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

// What the swarm's own work uses is not the owner's.
func TestWatch(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
	var w node.Watch
	pass := func(seconds int, cpu float64, gpu int, running bool) node.Usage {
		for range seconds {
			now = now.Add(time.Second)
			w = w.Next(node.Load{CPUPercent: cpu, GPUPercent: gpu, GPUAt: now}, node.PowerUnknown, running, now)
		}
		return w.Usage()
	}
	if u := pass(60, 100, 95, true); u.CPUPercent != 0 || u.GPUBusy {
		t.Errorf("the swarm's own work counts as its owner's: %+v", u)
	}
	if u := pass(4, 100, 95, false); u.CPUPercent != 0 || u.GPUBusy {
		t.Errorf("its last figures do: %+v", u)
	}
	if u := pass(3, 5, 95, false); u.GPUBusy {
		t.Errorf("a GPU that is busy for a moment counts: %+v", u)
	}
	if u := pass(10, 5, 95, false); !u.GPUBusy {
		t.Errorf("a game of 10 s does not count: %+v", u)
	}
	if u := pass(60, 100, 95, true); !u.GPUBusy {
		t.Errorf("while the swarm works a game is over: %+v", u)
	}
	if u := pass(20, 5, 3, false); !u.GPUBusy {
		t.Errorf("a pause of a game is its end: %+v", u)
	}
	if u := pass(30, 5, 3, false); u.GPUBusy {
		t.Errorf("30 s after a game the GPU is still in use: %+v", u)
	}
	if u := pass(300, 80, 3, false); u.CPUPercent < 75 {
		t.Errorf("five minutes at 80 %% CPU: %+v", u)
	}
	if u := pass(60, 0, 0, true); u.CPUPercent < 75 {
		t.Errorf("what was seen last does not hold while the swarm works: %+v", u)
	}
}

// A GPU that is read every 12 s, as by an nvidia-smi that takes two, still says what it did for the swarm after that has
// ended.
func TestWatchOfAGPUThatIsReadSeldom(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
	var w node.Watch
	var l node.Load
	pass := func(seconds, gpu int, running bool) (busy bool) {
		for range seconds {
			if now = now.Add(time.Second); now.Second()%12 == 11 {
				l.GPUPercent, l.GPUAt = gpu, now
			}
			w = w.Next(l, node.PowerUnknown, running, now)
			busy = busy || w.Usage().GPUBusy
		}
		return busy
	}
	pass(60, 95, true)
	if pass(36, 0, false) {
		t.Error("the swarm's own work counts as its owner's after its end")
	}
	if pass(12, 95, false) {
		t.Error("one reading counts")
	}
	if pass(12, 95, false); !w.Usage().GPUBusy {
		t.Error("two do not")
	}
	now = now.Add(time.Minute) // in which nobody could read it
	if w = w.Next(l, node.PowerUnknown, false, now); w.Usage().GPUBusy {
		t.Error("a reading of a minute ago counts")
	}
}

func TestCoarse(t *testing.T) {
	t.Parallel()
	const step = 256 << 20
	for _, tt := range []struct {
		told  int64
		nowMB int
		want  int64
	}{
		{0, 100, 0},
		{0, 600, 2 * step},
		{0, -1, 0},
		{4 * step, 1024 + 300, 4 * step},
		{4 * step, 1024 - 200, 4 * step}, // near what was told
		{4 * step, 1024 + 512, 6 * step},
		{4 * step, 1024 - 256, 3 * step},
		{4 * step, 0, 0},
	} {
		if got := node.Coarse(tt.told, tt.nowMB); got != tt.want {
			t.Errorf("%d MB, told %d before: %d, want %d", tt.nowMB, tt.told, got, tt.want)
		}
	}
}
