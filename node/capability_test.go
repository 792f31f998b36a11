package node_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/node"
)

// workstation is a machine that can do everything.
func workstation() node.Profile {
	return node.Profile{
		Hostname: "attic",
		GPUs:     []node.GPU{{Name: "RTX 3090", VRAMTotalMB: 24576}},
		CPU:      node.CPU{CoresLogical: 8, CoresPhysical: 4},
		Memory:   node.Memory{TotalMB: 32768},
		Disks:    []node.Disk{{Path: "/", FreeGB: 3}, {Path: "/home", FreeGB: 2}},
		Network:  []node.Interface{{Name: "eth0", IPv4: "192.168.1.5"}},
	}
}

func TestCapabilities(t *testing.T) {
	t.Parallel()
	all := []string{
		"gpu_inference", "cpu_inference", "cpu_worker", "file_processing",
		"code_execution", "storage", "coordinator",
	}
	without := func(names ...string) []string {
		left := []string{}
		for _, c := range all {
			if !strings.Contains(strings.Join(names, " "), c) {
				left = append(left, c)
			}
		}
		return left
	}
	for _, c := range []struct {
		name   string
		change func(*node.Profile)
		engine bool
		want   []string
	}{
		{"everything", func(*node.Profile) {}, true, all},
		{"no engine", func(*node.Profile) {}, false, without("gpu_inference", "cpu_inference")},
		{"no GPU", func(p *node.Profile) { p.GPUs = nil }, true, without("gpu_inference")},
		{"small GPU", func(p *node.Profile) { p.GPUs[0].VRAMTotalMB = 3499 }, true, without("gpu_inference")},
		{"second GPU serves", func(p *node.Profile) {
			p.GPUs = []node.GPU{{VRAMTotalMB: 1024}, {VRAMTotalMB: 4096}}
		}, true, all},
		{"just enough memory", func(p *node.Profile) { p.Memory.TotalMB = 4096 }, true, all},
		{"too little memory", func(p *node.Profile) { p.Memory.TotalMB = 4095 }, true, without("cpu_inference")},
		{"full disks", func(p *node.Profile) { p.Disks[1].FreeGB = 1.9 }, true, without("storage")},
		{"containers only", func(p *node.Profile) { p.Network[0].Name = "docker0" }, true, without("coordinator")},
		{"one core", func(p *node.Profile) { p.CPU.CoresLogical = 1 }, true, []string{"gpu_inference", "storage", "edge"}},
		{"nothing known yet", func(p *node.Profile) { *p = node.Profile{} }, true, []string{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := workstation()
			c.change(&p)
			if diff := cmp.Diff(c.want, node.Capabilities(p, c.engine)); diff != "" {
				t.Errorf("capabilities (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLANAddr(t *testing.T) {
	t.Parallel()
	lo := node.Interface{Name: "lo", IPv4: "127.0.0.1", IsLoopback: true}
	docker := node.Interface{Name: "docker0", IPv4: "172.17.0.1"}
	lan := node.Interface{Name: "wlp3s0", IPv4: "192.168.1.5"}
	public := node.Interface{Name: "eth0", IPv4: "203.0.113.9"}
	self := node.Interface{Name: "eth1", IPv4: "169.254.7.7"}
	for _, c := range []struct {
		name string
		net  []node.Interface
		want string
	}{
		{"none", nil, ""},
		{"loopback only", []node.Interface{lo}, ""},
		{"docker0 comes first", []node.Interface{lo, docker, lan}, "192.168.1.5"},
		{"containers and virtual machines only", []node.Interface{
			lo, docker,
			{Name: "br-12ab", IPv4: "172.18.0.1"},
			{Name: "veth9", IPv4: "10.1.0.1"},
			{Name: "virbr0", IPv4: "192.168.122.1"},
		}, ""},
		{"private before public", []node.Interface{public, lan}, "192.168.1.5"},
		{"the default route before another private one", []node.Interface{
			{Name: "vboxnet0", IPv4: "192.168.56.1"}, lan, {Name: "eth1", IPv4: "10.0.0.1", DefaultRoute: true},
		}, "10.0.0.1"},
		{"of a gateway the side of the LAN", []node.Interface{{Name: "eth0", IPv4: "203.0.113.9", DefaultRoute: true}, lan}, "192.168.1.5"},
		{"the default route of a container", []node.Interface{{Name: "docker0", IPv4: "172.17.0.1", DefaultRoute: true}, lan}, "192.168.1.5"},
		{"public before self-given", []node.Interface{self, public}, "203.0.113.9"},
		{"self-given alone", []node.Interface{lo, self}, "169.254.7.7"},
		{"the first of equals", []node.Interface{lan, {Name: "eth1", IPv4: "10.0.0.1"}}, "192.168.1.5"},
		{"not an address", []node.Interface{{Name: "eth0", IPv4: "fe80"}}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := (node.Profile{Network: c.net}).LANAddr(); got != c.want {
				t.Errorf("LAN address %q, want %q", got, c.want)
			}
		})
	}
}

func TestInfo(t *testing.T) {
	t.Parallel()
	got := node.Info(workstation(), node.Facts{
		ID: "myco-0123456789ab", State: bus.NodeReady, Version: "1.2.3", EngineUp: true,
		Models: []bus.ModelInfo{{Name: "gemma3:4b", Loaded: true}}, Types: []string{"inference", "ping"},
		Slots: 2, Busy: 1, QueueHost: true, FabricAddr: "192.168.1.5:7422",
	})
	want := bus.NodeInfo{
		ID: "myco-0123456789ab", Name: "attic", State: bus.NodeReady, Tier: "executive", GPUTier: "ultra",
		Capabilities: node.Capabilities(workstation(), true),
		Models:       []bus.ModelInfo{{Name: "gemma3:4b", Loaded: true}},
		Types:        []string{"inference", "ping"}, Slots: 2, Busy: 1, QueueHost: true,
		Version: "1.2.3", FabricAddr: "192.168.1.5:7422", Host: "attic", Cores: 4,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("info (-want +got):\n%s", diff)
	}
}

func TestInfoHasNoNullLists(t *testing.T) {
	t.Parallel()
	b, err := json.Marshal(node.Info(node.Profile{}, node.Facts{Name: "attic"}))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), "null") {
		t.Errorf("a list is null: %s", b)
	}
}

func TestProfileJSON(t *testing.T) {
	t.Parallel()
	b, err := json.Marshal(node.Profile{
		Hostname: "attic",
		GPUs: []node.GPU{{
			Name: "RTX 3090", VRAMTotalMB: 24576, VRAMUsedMB: 576, VRAMFreeMB: 24000,
			TemperatureC: new(41), DriverVersion: "550.54.14", CUDAVersion: "12.4",
		}},
		CPU:     node.CPU{Model: "Ryzen 7", CoresPhysical: 8, CoresLogical: 16, FrequencyMHz: 3600, Architecture: "amd64"},
		Memory:  node.Memory{TotalMB: 32768, AvailableMB: 30000, UsedMB: 2768, PercentUsed: 8.4},
		Disks:   []node.Disk{{Path: "/", TotalGB: 100, UsedGB: 60, FreeGB: 40, PercentUsed: 60}},
		Network: []node.Interface{{Name: "eth0", IPv4: "192.168.1.5", MAC: "02:00:00:00:00:01"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"hostname":"attic","gpus":[{"index":0,"name":"RTX 3090","vram_total_mb":24576,` +
		`"vram_used_mb":576,"vram_free_mb":24000,"temperature_c":41,"utilization_pct":null,` +
		`"driver_version":"550.54.14","cuda_version":"12.4"}],"cpu":{"model":"Ryzen 7",` +
		`"cores_physical":8,"cores_logical":16,"frequency_mhz":3600,"architecture":"amd64"},` +
		`"memory":{"total_mb":32768,"available_mb":30000,"used_mb":2768,"percent_used":8.4},` +
		`"disks":[{"path":"/","total_gb":100,"used_gb":60,"free_gb":40,"percent_used":60}],` +
		`"network":[{"name":"eth0","ipv4":"192.168.1.5","mac":"02:00:00:00:00:01","is_loopback":false}]}`
	if diff := cmp.Diff(want, string(b)); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
}

// The disk of a folder is the one that is mounted nearest above it.
func TestRoom(t *testing.T) {
	t.Parallel()
	p := node.Profile{Disks: []node.Disk{{Path: "/", FreeGB: 7.9}, {Path: "/home", FreeGB: 100}, {Path: "/homes", FreeGB: 3}, {Path: "/home/full", FreeGB: 0.2}}}
	for path, want := range map[string]int64{
		"/usr/share/ollama": 7 << 30, "/home/a/.ollama/models": 100 << 30, "/home": 100 << 30, "/homes/x": 3 << 30, "/home/full/x": 1, "/homestead": 7 << 30, "models": 0,
	} {
		if got := p.Room(path); got != want {
			t.Errorf("%s: %d bytes, want %d", path, got, want)
		}
	}
	if got := (node.Profile{}).Room("/"); got != 0 {
		t.Errorf("no disk is known: %d", got)
	}
}
