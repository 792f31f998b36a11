package node

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/shirou/gopsutil/v3/cpu"
	"github.com/shirou/gopsutil/v3/disk"
	"github.com/shirou/gopsutil/v3/mem"
)

// System reads what is not a GPU. Each method may block for longer than ctx allows: its
// caller bears that.
type System interface {
	Hostname(ctx context.Context) (string, error)
	CPU(ctx context.Context) (CPU, error)
	Memory(ctx context.Context) (Memory, error)
	Disks(ctx context.Context) ([]Disk, error)
	Network(ctx context.Context) ([]Interface, error)
	// CPUTimes returns the seconds that all cores together have been busy, and have been, since
	// the machine started.
	CPUTimes(ctx context.Context) (busy, total float64, err error)
}

// machine is the System of this machine. It is the only code that uses gopsutil.
type machine struct{}

const (
	mib = 1 << 20
	gib = 1 << 30
)

// Hostname implements System.
func (machine) Hostname(context.Context) (string, error) { return os.Hostname() }

// CPU implements System. The model is of the first core: where cores differ, it is enough to
// name the machine.
func (machine) CPU(ctx context.Context) (CPU, error) {
	logical, err := cpu.CountsWithContext(ctx, true)
	if err != nil || logical < 1 {
		logical = runtime.NumCPU()
	}
	physical, err := cpu.CountsWithContext(ctx, false)
	if err != nil || physical < 1 {
		physical = logical // not told, as on some ARM boards
	}
	c := CPU{CoresPhysical: physical, CoresLogical: logical, Architecture: runtime.GOARCH}
	// Without a model and a clock the counts are still worth having.
	if info, err := cpu.InfoWithContext(ctx); err == nil && len(info) > 0 {
		c.Model, c.FrequencyMHz = strings.TrimSpace(info[0].ModelName), info[0].Mhz
	}
	return c, nil
}

// Memory implements System.
func (machine) Memory(ctx context.Context) (Memory, error) {
	m, err := mem.VirtualMemoryWithContext(ctx)
	if err != nil {
		return Memory{}, fmt.Errorf("read memory: %w", err)
	}
	return Memory{
		TotalMB:     int(m.Total / mib),
		AvailableMB: int(m.Available / mib),
		UsedMB:      int(m.Used / mib),
		PercentUsed: m.UsedPercent,
	}, nil
}

// TotalMemory is how much memory this process may take, in bytes: the machine's, or less where GOMEMLIMIT says so, for
// containers. It is math.MaxInt64 where nobody tells.
func TotalMemory(ctx context.Context) int64 {
	limit := debug.SetMemoryLimit(-1)
	if m, err := (machine{}).Memory(ctx); err == nil && m.TotalMB > 0 {
		limit = min(limit, int64(m.TotalMB)*mib)
	}
	return limit
}

// CPUTimes implements System.
func (machine) CPUTimes(ctx context.Context) (busy, total float64, err error) {
	t, err := cpu.TimesWithContext(ctx, false)
	if err != nil {
		return 0, 0, fmt.Errorf("read CPU times: %w", err)
	}
	if len(t) == 0 {
		return 0, 0, fmt.Errorf("read CPU times: none told")
	}
	// Guest time is within user time already.
	total = t[0].User + t[0].System + t[0].Idle + t[0].Nice + t[0].Iowait + t[0].Irq + t[0].Softirq + t[0].Steal
	return total - t[0].Idle - t[0].Iowait, total, nil
}

// Disks implements System: the file systems on local devices, each device once.
func (machine) Disks(ctx context.Context) ([]Disk, error) {
	parts, err := disk.PartitionsWithContext(ctx, false)
	if err != nil && len(parts) == 0 {
		return nil, fmt.Errorf("list disks: %w", err)
	}
	paths := mounts(parts)
	if len(paths) == 0 {
		paths = []string{root()} // in a container, where no device is shown
	}
	disks := make([]Disk, 0, len(paths))
	for _, path := range paths {
		u, err := disk.UsageWithContext(ctx, path)
		if err != nil || u.Total == 0 {
			continue // not ours to read, or an empty drive
		}
		disks = append(disks, Disk{
			Path:        path,
			TotalGB:     float64(u.Total) / gib,
			UsedGB:      float64(u.Used) / gib,
			FreeGB:      float64(u.Free) / gib,
			PercentUsed: u.UsedPercent,
		})
	}
	return disks, nil
}

// DiskUsage returns how many bytes are free for this user, and how many there are, on the disk that
// path is on.
func DiskUsage(path string) (free, total uint64, err error) {
	u, err := disk.Usage(path)
	if err != nil {
		return 0, 0, fmt.Errorf("read the disk of %s: %w", path, err)
	}
	return u.Free, u.Total, nil
}

// mounts returns the mount points that count as disks.
func mounts(parts []disk.PartitionStat) []string {
	var paths, devices []string
	for _, p := range parts {
		switch {
		case slices.Contains(devices, p.Device),
			p.Fstype == "squashfs", p.Fstype == "iso9660",
			strings.HasPrefix(p.Mountpoint, "/snap/"),
			strings.HasPrefix(p.Mountpoint, "/boot"),
			strings.HasPrefix(p.Mountpoint, "/System/Volumes/"),
			strings.HasPrefix(p.Mountpoint, "/private/var/vm"):
			continue
		}
		// Containers mount single files, such as /etc/hosts, from the device of another path.
		if fi, err := os.Stat(p.Mountpoint); err != nil || !fi.IsDir() {
			continue
		}
		devices, paths = append(devices, p.Device), append(paths, p.Mountpoint)
	}
	return paths
}

// root is a path that exists on every machine.
func root() string {
	if runtime.GOOS == "windows" {
		return os.Getenv("SystemDrive") + `\`
	}
	return "/"
}

// Network implements System.
func (machine) Network(ctx context.Context) ([]Interface, error) {
	ifaces, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list network interfaces: %w", err)
	}
	beyond := leavesFrom(ctx)
	var found []Interface
	for _, i := range ifaces {
		if i.Flags&net.FlagUp == 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue // it went away meanwhile
		}
		for _, a := range addrs {
			ipnet, ok := a.(*net.IPNet)
			if !ok || ipnet.IP.To4() == nil {
				continue
			}
			found = append(found, Interface{
				Name:       i.Name,
				IPv4:       ipnet.IP.String(),
				MAC:        i.HardwareAddr.String(),
				IsLoopback: i.Flags&net.FlagLoopback != 0,
				// Others on the LAN are not at the other end of a tunnel.
				DefaultRoute: ipnet.IP.Equal(beyond) && i.Flags&net.FlagPointToPoint == 0,
			})
		}
	}
	return found, nil
}
