package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	drmDir = "sys/class/drm"
	// amdNames are libdrm's names of boards, by device and revision, and pciNames those of chips, which all the boards
	// with one share.
	amdNames  = "usr/share/libdrm/amdgpu.ids"
	namesMost = 8 << 20 // bytes of such a file; pci.ids has 1.5 MB
	wordMost  = 256     // bytes of a file in /sys

	// kfdProcesses has a directory for each process that computes by ROCm, by its id.
	kfdProcesses = "sys/class/kfd/kfd/proc"

	amdVendor = "1002"
	// strixHalo is the device of all Ryzen AI Max.
	strixHalo = "1586"
)

var pciNames = []string{"usr/share/misc/pci.ids", "usr/share/hwdata/pci.ids"}

// drmCard is a card, and no connector of one (card0-DP-1), nor the node that programs draw by (renderD128).
var drmCard = regexp.MustCompile(`^card[0-9]+$`)

// amd reads AMD GPUs from what Linux's driver tells in /sys, which needs no library, no program and no rights:
// https://docs.kernel.org/gpu/amdgpu/driver-misc.html and thermal.html there.
type amd struct {
	root  fs.FS             // of the machine's files
	names map[string]string // that were looked up, by device and revision
	busy  bool              // some GPU was, when it was read last
}

// NewAMD returns a source that reads root, a tree like Linux's /. It is asked by one goroutine at a time.
func NewAMD(root fs.FS) GPUSource { return &amd{root: root, names: map[string]string{}} }

// Name implements GPUSource.
func (*amd) Name() string { return "amdgpu" }

// Every implements GPUSource. To read a card's sensors keeps it awake, and it falls asleep after 5 s: one that is idle
// is left alone for longer.
func (a *amd) Every() time.Duration {
	if a.busy {
		return 2 * time.Second
	}
	return 10 * time.Second
}

// GPUs implements GPUSource.
func (a *amd) GPUs(context.Context) ([]GPU, error) {
	cards, err := fs.ReadDir(a.root, drmDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list graphics cards: %w", err)
	}
	a.busy = false
	var gpus []GPU
	for _, c := range cards {
		device := path.Join(drmDir, c.Name(), "device")
		if !drmCard.MatchString(c.Name()) || a.id(device, "vendor") != amdVendor || len(gpus) == maxGPUs {
			continue
		}
		g := a.read(device)
		g.Index = len(gpus)
		a.busy = a.busy || value(g.UtilizationPct) > 0
		gpus = append(gpus, g)
	}
	return gpus, nil
}

// read fills in what the driver tells of a device.
func (a *amd) read(device string) GPU {
	g := GPU{Name: a.name(device)}
	sensors := a.sensors(device)
	// Only a GPU in a processor has the voltage of a northbridge (amdgpu_pm.c: "only APUs have vddnb"). An ordinary one
	// reads a model from the memory of the processor's cores, and no faster than they: models gain little there, and most
	// engines do not use it. So it has no memory that would count for a tier, whatever the firmware put aside for it.
	// Strix Halo's memory is twice as wide, and is bought for models: engines take what the firmware put aside or, where
	// that is more, what the kernel lets the GPU have of the rest (GTT).
	_, err := fs.Stat(a.root, path.Join(sensors, "in1_input"))
	wide := a.id(device, "device") == strixHalo
	if g.Integrated = err == nil && !wide; !g.Integrated {
		g.VRAMTotalMB, g.VRAMUsedMB = a.megabytes(device, "mem_info_vram_total"), a.megabytes(device, "mem_info_vram_used")
		g.VRAMFreeMB = max(g.VRAMTotalMB-g.VRAMUsedMB, 0)
	}
	if wide {
		g.SharedMB = a.megabytes(device, "mem_info_gtt_total")
	}
	if strings.HasPrefix(a.word(device, "power/runtime_status"), "suspend") {
		g.UtilizationPct = new(int) // it sleeps, and its sensors would wake it
		return g
	}
	g.UtilizationPct = a.use(device)
	if t, err := figure(a.word(sensors, "temp1_input")); err == nil && t != nil { // in thousandths of a degree
		g.TemperatureC = new(*t / 1000)
	}
	return g
}

// use returns how busy a device is, in percent. From RDNA 3 on a GPU says 100 for as long as an engine has a model there by
// ROCm, though nobody asks it anything (github.com/ROCm/legacy-rocm-build issues 2777 and 5706), which would be as if others
// used it: nothing is told then.
func (a *amd) use(device string) *int {
	rocm, _ := fs.ReadDir(a.root, kfdProcesses)
	busy, err := figure(a.word(device, "gpu_busy_percent"))
	if err != nil || value(busy) > 100 || len(rocm) > 0 {
		return nil
	}
	return busy
}

// sensors returns the directory of a device's sensors; one that is not there, where it has none.
func (a *amd) sensors(device string) string {
	dir := path.Join(device, "hwmon")
	if found, err := fs.ReadDir(a.root, dir); err == nil && len(found) > 0 {
		return path.Join(dir, found[0].Name())
	}
	return path.Join(dir, "none")
}

// name returns the name of a device: the driver's, which it has of some cards for servers alone, or by a list of names.
func (a *amd) name(device string) string {
	if name := a.word(device, "product_name"); name != "" {
		return printable(name)
	}
	id, revision := a.id(device, "device"), a.id(device, "revision")
	key := id + "." + revision
	if a.names[key] == "" {
		a.names[key] = printable(a.lookUp(id, revision))
	}
	return a.names[key]
}

func (a *amd) lookUp(id, revision string) string {
	if name := boardName(a.file(amdNames, namesMost), id, revision); name != "" {
		return name
	}
	for _, f := range pciNames {
		if name := pciName(a.file(f, namesMost), amdVendor, id); name != "" {
			return "AMD " + name
		}
	}
	return strings.TrimSpace("AMD GPU " + id)
}

// boardName looks up the name of a board in libdrm's amdgpu.ids: "67DF,<tab>E7,<tab>AMD Radeon RX 580 Series".
func boardName(list, device, revision string) string {
	for line := range strings.Lines(list) {
		id, rest, _ := strings.Cut(line, ",")
		rev, name, _ := strings.Cut(rest, ",")
		if strings.EqualFold(id, device) && strings.EqualFold(strings.TrimSpace(rev), revision) {
			return strings.TrimSpace(name)
		}
	}
	return ""
}

// pciName looks up the name of a device in a pci.ids, where a vendor's devices follow it, each after a tab.
func pciName(list, vendor, device string) string {
	within := false
	for line := range strings.Lines(list) {
		inner, indented := strings.CutPrefix(line, "\t")
		id, name, _ := strings.Cut(inner, " ")
		switch {
		case !indented && strings.HasPrefix(line, "#"):
		case !indented:
			within = id == vendor
		case within && id == device:
			return strings.TrimSpace(name)
		}
	}
	return ""
}

// id reads a number of PCI, such as 0x1002, without its beginning.
func (a *amd) id(dir, name string) string { return strings.TrimPrefix(a.word(dir, name), "0x") }

// megabytes reads a file with a number of bytes; 0 where it is none.
func (a *amd) megabytes(dir, name string) int {
	n, err := strconv.ParseUint(a.word(dir, name), 10, 64)
	if err != nil {
		return 0
	}
	return int(min(n/mib, math.MaxInt32))
}

// word reads a file of one line; "" where it is not there, as for a sensor that the card lacks.
func (a *amd) word(dir, name string) string {
	return strings.TrimSpace(a.file(path.Join(dir, name), wordMost))
}

// file returns the first bytes of a file, as many as most; what could be read before an error counts.
func (a *amd) file(name string, most int64) string {
	f, err := a.root.Open(name)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }() // it is only read
	b, _ := io.ReadAll(io.LimitReader(f, most))
	return string(b)
}
