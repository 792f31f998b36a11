package node

import (
	"os"
	"path/filepath"
	"testing"
)

// The trees are those of machines, as far as they are read.
func TestSysPower(t *testing.T) {
	t.Parallel()
	want := map[string]Power{
		"laptop-mains": PowerMains, "laptop-battery": PowerBattery, "laptop-full": PowerMains, "desktop-mouse": PowerUnknown,
		"tablet-usb": PowerMains, "two-batteries": PowerBattery,
	}
	trees, err := os.ReadDir(filepath.Join("testdata", "power_supply"))
	if err != nil || len(trees) != len(want) {
		t.Fatalf("%d trees, %v; want %d", len(trees), err, len(want))
	}
	for _, tree := range trees {
		if got := sysPower(os.DirFS(filepath.Join("testdata", "power_supply", tree.Name()))); got != want[tree.Name()] {
			t.Errorf("%s: %q, want %q", tree.Name(), got, want[tree.Name()])
		}
	}
	if got := sysPower(os.DirFS(filepath.Join(t.TempDir(), "none"))); got != PowerUnknown {
		t.Errorf("no such directory: %q", got)
	}
}

func TestPmsetPower(t *testing.T) {
	t.Parallel()
	for out, want := range map[string]Power{
		"Now drawing from 'Battery Power'\n -InternalBattery-0 (id=1)\t83%; discharging; 4:12 remaining present: true\n": PowerBattery,
		"Now drawing from 'AC Power'\n -InternalBattery-0 (id=1)\t100%; charged; 0:00 remaining present: true\n":         PowerMains,
		"Now drawing from 'AC Power'\n": PowerMains,
		"":                              PowerUnknown,
	} {
		if got := pmsetPower(out); got != want {
			t.Errorf("%q: %q, want %q", out, got, want)
		}
	}
}
