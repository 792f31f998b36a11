package node

import (
	"net/netip"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/mycoswarm/mycoswarm/node/internal/iface"
)

// Profile is the hardware of one machine. What was not found, or not yet, is zero.
// Its slices are shared between snapshots: read them only.
type Profile struct {
	Hostname string      `json:"hostname"`
	GPUs     []GPU       `json:"gpus"`
	CPU      CPU         `json:"cpu"`
	Memory   Memory      `json:"memory"`
	Disks    []Disk      `json:"disks"`
	Network  []Interface `json:"network"`
}

// GPU is one graphics processor. A nil pointer is a figure that the driver does not tell.
type GPU struct {
	Index int    `json:"index"`
	Name  string `json:"name"`
	// VRAM is in MiB; 0 where the driver does not tell, as with memory shared with the CPU, which would count twice.
	VRAMTotalMB int `json:"vram_total_mb"`
	VRAMUsedMB  int `json:"vram_used_mb"`
	VRAMFreeMB  int `json:"vram_free_mb"`
	// TemperatureC is in degrees Celsius.
	TemperatureC *int `json:"temperature_c"`
	// UtilizationPct is the share of the last sample in which it was busy, 0 to 100.
	UtilizationPct *int   `json:"utilization_pct"`
	DriverVersion  string `json:"driver_version"`
	// CUDAVersion is the highest that the driver supports, such as "12.4".
	CUDAVersion string `json:"cuda_version"`
	// SharedMB is how much of the machine's memory models may take on it, in MiB; 0 where none is told.
	SharedMB int `json:"shared_mb,omitempty"`
	// Integrated tells that it is part of a processor, and of little use to models: it is shown, and counts for nothing.
	Integrated bool `json:"integrated,omitempty"`
}

// sharing are names of NVIDIA's chips that have no memory beside the machine's: a DGX Spark and Jetsons.
var sharing = regexp.MustCompile(`\b(GB10|Thor|Orin|Xavier)\b`)

// SharesMemory reports whether g has the machine's memory, of which its driver does not tell.
func (g GPU) SharesMemory() bool { return g.VRAMTotalMB == 0 && sharing.MatchString(g.Name) }

// vram is how much memory a model may take on g, in MiB.
func (p Profile) vram(g GPU) int {
	if g.SharesMemory() {
		return p.Memory.TotalMB
	}
	return max(g.VRAMTotalMB, min(g.SharedMB, p.Memory.TotalMB))
}

// CPU is the processor as a whole.
type CPU struct {
	Model         string  `json:"model"`
	CoresPhysical int     `json:"cores_physical"`
	CoresLogical  int     `json:"cores_logical"`
	FrequencyMHz  float64 `json:"frequency_mhz"`
	// Architecture is Go's name of it: amd64, arm64.
	Architecture string `json:"architecture"`
}

// Memory is the main memory, in MiB.
type Memory struct {
	TotalMB     int     `json:"total_mb"`
	AvailableMB int     `json:"available_mb"`
	UsedMB      int     `json:"used_mb"`
	PercentUsed float64 `json:"percent_used"`
}

// Disk is one mounted file system, in GiB.
type Disk struct {
	Path        string  `json:"path"`
	TotalGB     float64 `json:"total_gb"`
	UsedGB      float64 `json:"used_gb"`
	FreeGB      float64 `json:"free_gb"`
	PercentUsed float64 `json:"percent_used"`
}

// Interface is one IPv4 address of a network interface that is up.
type Interface struct {
	Name       string `json:"name"`
	IPv4       string `json:"ipv4"`
	MAC        string `json:"mac"`
	IsLoopback bool   `json:"is_loopback"`
	// DefaultRoute tells that this address is what goes beyond the LAN leaves from, unless a tunnel takes it.
	DefaultRoute bool `json:"default_route,omitempty"`
}

// Room returns how many bytes are free on the disk of path, in whole GiB or 1; 0 where it is not known.
func (p Profile) Room(path string) int64 {
	best := -1
	for i, d := range p.Disks {
		rel, err := filepath.Rel(d.Path, path)
		under := err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
		if under && (best < 0 || len(d.Path) > len(p.Disks[best].Path)) {
			best = i
		}
	}
	if best < 0 {
		return 0
	}
	return max(1, int64(p.Disks[best].FreeGB)<<30)
}

// LANAddr returns the IPv4 address at which other machines most likely reach this one, or
// "". Interfaces of containers and virtual machines do not count; a private address goes before a public one,
// that of the default route first, and either before one that the machine gave itself (169.254/16).
func (p Profile) LANAddr() string {
	best, bestRank := "", 0
	for _, n := range p.Network {
		if r := lanRank(n); r > bestRank {
			best, bestRank = n.IPv4, r
		}
	}
	return best
}

func lanRank(n Interface) int {
	addr, err := netip.ParseAddr(n.IPv4)
	switch {
	case err != nil, n.IsLoopback, addr.IsLoopback(), addr.IsUnspecified(), iface.Virtual(n.Name):
		return 0
	case addr.IsLinkLocalUnicast():
		return 1
	case !addr.IsPrivate():
		return 2
	case !n.DefaultRoute:
		return 3
	}
	return 4
}
