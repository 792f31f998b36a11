//go:build unix

package node_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/node"
)

// machine lays out a tree of testdata/drm, links as the kernel makes them, with further lines; a later line of a file goes
// before an earlier one.
func machine(t *testing.T, name string, more ...string) fs.FS {
	t.Helper()
	list, err := os.ReadFile(filepath.Join("testdata", "drm", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	unescape := strings.NewReplacer(`\n`, "\n", `\t`, "\t")
	for _, line := range append(strings.Split(string(list), "\n"), more...) {
		if line == "" || line[0] == '#' {
			continue
		}
		link, target, isLink := strings.Cut(line, " -> ")
		file, text, _ := strings.Cut(line, ": ")
		if isLink {
			file = link
		}
		file = filepath.Join(root, file)
		err := os.MkdirAll(filepath.Dir(file), 0o700)
		if err == nil && isLink {
			err = os.Symlink(target, file)
		} else if err == nil {
			err = os.WriteFile(file, []byte(unescape.Replace(text)+"\n"), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return os.DirFS(root)
}

func TestAMD(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		want    node.GPU
		memory  int
		tier    node.GPUTier
		largest float64
	}{
		"rx580": {node.GPU{
			Name: "AMD Radeon RX 580 Series", VRAMTotalMB: 4096, VRAMUsedMB: 512, VRAMFreeMB: 3584,
			TemperatureC: new(44), UtilizationPct: new(11),
		}, 32000, node.GPUEntry, 4.3},
		// It has as much as the card above, and is as slow as the memory of the machine that it is in.
		"phoenix": {node.GPU{
			Name: "AMD Phoenix1", TemperatureC: new(25), UtilizationPct: new(0), Integrated: true,
		}, 28000, node.GPUNone, 0},
		"strix-halo": {node.GPU{
			Name:        "AMD Strix Halo [Radeon Graphics / Radeon 8050S Graphics / Radeon 8060S Graphics]",
			VRAMTotalMB: 4096, VRAMFreeMB: 4096, UtilizationPct: new(0), SharedMB: 98304,
		}, 127000, node.GPUUltra, 161.3},
	} {
		gpus, err := node.NewAMD(machine(t, name)).GPUs(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]node.GPU{c.want}, gpus); diff != "" {
			t.Errorf("%s: GPUs (-want +got):\n%s", name, diff)
		}
		p := node.Profile{GPUs: gpus, Memory: node.Memory{TotalMB: c.memory}}
		if p.GPUTier() != c.tier || p.LargestModel() != c.largest {
			t.Errorf("%s: %s, models of %v, want %s and %v", name, p.GPUTier(), p.LargestModel(), c.tier, c.largest)
		}
	}
}

// What the firmware put aside for a Strix Halo is beside the machine's memory, of which an owner may tell the kernel to let
// it have more than there is: figures of github.com/GpuZelenograd/memtest_vulkan issue 66.
func TestStrixHaloWhoseFirmwarePutMemoryAside(t *testing.T) {
	t.Parallel()
	const dir = "sys/devices/pci0000:00/0000:00:08.1/0000:c3:00.0/"
	src := node.NewAMD(machine(t, "strix-halo", dir+"mem_info_vram_total: 103079215104", dir+"mem_info_gtt_total: 113246208000"))
	gpus, err := src.GPUs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p := node.Profile{GPUs: gpus, Memory: node.Memory{TotalMB: 31000}}
	if got, want := p.LargestModel(), node.LargestModel(98304); got != want {
		t.Errorf("models of %v, want %v", got, want)
	}
}

const rx580 = "sys/devices/pci0000:00/0000:00:03.1/0000:0b:00.0/"

// A card without work falls asleep. To read its sensors would wake it, and keep it awake.
func TestAMDThatSleepsIsNotWoken(t *testing.T) {
	t.Parallel()
	src := node.NewAMD(machine(t, "rx580", rx580+"power/runtime_status: suspended"))
	gpus, err := src.GPUs(t.Context())
	if err != nil || len(gpus) != 1 {
		t.Fatalf("%+v, %v", gpus, err)
	}
	if g := gpus[0]; g.UtilizationPct == nil || *g.UtilizationPct != 0 || g.TemperatureC != nil || g.VRAMTotalMB != 4096 {
		t.Errorf("%+v, want its memory, no use, and no temperature", g)
	}
	if got := src.Every(); got < 6*time.Second {
		t.Errorf("it is looked at every %v: the driver lets a card sleep after 5 s", got)
	}
	src = node.NewAMD(machine(t, "rx580"))
	if _, err := src.GPUs(t.Context()); err != nil || src.Every() > 2*time.Second {
		t.Errorf("one that works is looked at every %v, %v", src.Every(), err)
	}
}

// An engine that has a model on a GPU by ROCm, and does nothing, makes it say that it is busy.
func TestAMDWithAnIdleEngine(t *testing.T) {
	t.Parallel()
	src := node.NewAMD(machine(t, "rx580", rx580+"gpu_busy_percent: 100", "sys/class/kfd/kfd/proc/1557458/pasid: 32770"))
	gpus, err := src.GPUs(t.Context())
	if err != nil || len(gpus) != 1 || gpus[0].UtilizationPct != nil || gpus[0].VRAMFreeMB != 3584 || gpus[0].TemperatureC == nil {
		t.Errorf("%+v, %v; want all but its use", gpus, err)
	}
}

func TestAMDNames(t *testing.T) {
	t.Parallel()
	for want, line := range map[string]string{
		"AMD Instinct MI100":  rx580 + "product_name: AMD Instinct MI100",
		"AMD Radeon Pro 580X": rx580 + "revision: 0xeb",
		"AMD GPU 67df":        rx580 + "revision: 0x01",
		"AMD red[31m":         rx580 + "product_name: AMD red\x1b[31m",
	} {
		gpus, err := node.NewAMD(machine(t, "rx580", line)).GPUs(t.Context())
		if err != nil || len(gpus) != 1 || gpus[0].Name != want {
			t.Errorf("%s: %+v, %v; want %q", line, gpus, err, want)
		}
	}
}

// Files may be missing, as the driver radeon has none of these, and say what no card does.
func TestAMDThatTellsLittle(t *testing.T) {
	t.Parallel()
	const other = "sys/devices/pci0000:00/0000:00:02.0/"
	gpus, err := node.NewAMD(machine(t, "rx580",
		"sys/class/drm/card1 -> ../../devices/pci0000:00/0000:00:02.0/drm/card1", // Intel's
		other+"drm/card1/device -> ../../../0000:00:02.0", other+"vendor: 0x8086", other+"device: 0x46a6",
		"sys/class/drm/card2/device/vendor: 0x1002",
		"sys/class/drm/card3 -> card3",
		"sys/class/drm/card4/device/vendor/x: 0x1002",
		rx580+"mem_info_vram_total: 18446744073709551615", rx580+"mem_info_vram_used: 18446744073709551616",
		rx580+"gpu_busy_percent: 65535", rx580+"hwmon/hwmon4/temp1_input: -5000",
	)).GPUs(t.Context())
	want := []node.GPU{
		{Name: "AMD Radeon RX 580 Series", VRAMTotalMB: 1<<31 - 1, VRAMFreeMB: 1<<31 - 1},
		{Index: 1, Name: "AMD GPU"},
	}
	if diff := cmp.Diff(want, gpus); diff != "" || err != nil {
		t.Errorf("%v; GPUs (-want +got):\n%s", err, diff)
	}
	if gpus, err := node.NewAMD(os.DirFS(t.TempDir())).GPUs(t.Context()); err != nil || len(gpus) != 0 {
		t.Errorf("without graphics: %+v, %v", gpus, err)
	}
}
