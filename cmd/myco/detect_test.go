package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/node"
)

func TestDetectViews(t *testing.T) {
	t.Parallel()
	profile := node.Profile{
		Hostname: "tower",
		GPUs: []node.GPU{
			{Name: "RTX 3090", VRAMTotalMB: 24576, VRAMFreeMB: 20480},
			{Index: 1, Name: "RTX 3060", VRAMTotalMB: 12288, VRAMFreeMB: 12000},
		},
		CPU:    node.CPU{Model: "Ryzen 7", CoresPhysical: 8, CoresLogical: 16, Architecture: "amd64"},
		Memory: node.Memory{TotalMB: 65536, AvailableMB: 32768},
		Disks:  []node.Disk{{Path: "/", TotalGB: 1000, FreeGB: 500}},
		Network: []node.Interface{
			{Name: "lo", IPv4: "127.0.0.1", IsLoopback: true},
			{Name: "eth0", IPv4: "192.168.1.7", MAC: "02:00:00:00:00:01"},
		},
	}
	engines := []engineView{{Kind: "ollama", URL: "http://127.0.0.1:11434", Models: []bus.ModelInfo{{Name: "gemma3:27b", Loaded: true}, {Name: "b"}}}}
	var out, errs bytes.Buffer
	a := &app{streams: streams{err: &errs}, view: newView(&out, nil, false), now: time.Now}
	m := viewMachine(profile, engines)
	m.GPUProcesses = []node.GPUProcess{
		{PID: 7, Name: "ollama_llama_se", UtilizationPct: new(80), MemoryMB: 9000, Engine: true}, {PID: 8, Name: "game", UtilizationPct: new(12), MemoryMB: 2048}, {PID: 9, Name: "Xorg"},
	}
	a.machine(m)
	a.object(m)
	a.machine(viewMachine(node.Profile{}, nil))
	a.text(gpuLines([]node.GPU{
		{Name: "NVIDIA GB10"},
		{Name: "Apple M2 Max", SharedMB: 49152},
		{Name: "AMD Radeon 8060S Graphics", VRAMTotalMB: 4096, VRAMFreeMB: 4000, SharedMB: 98304},
		{Name: "AMD Radeon 8060S Graphics", VRAMTotalMB: 98304, VRAMFreeMB: 98000, SharedMB: 32000},
		{Name: "AMD Phoenix1", Integrated: true},
	}))
	golden(t, "detect.golden", out.String()+errs.String())
}

// A daemon that leaves the demo model out, or has another, is heeded.
func TestDetectHeedsTheDaemon(t *testing.T) {
	t.Setenv("OLLAMA_HOST", "127.0.0.1:9") // nothing listens there
	d := setup(t)
	for _, c := range []struct {
		models []bus.ModelInfo
		demo   bool
		advice string
	}{
		{[]bus.ModelInfo{{Name: "tinylm", Demo: true}}, true, "It has no model but the demo."},
		{nil, false, "It has no model."},
		{[]bus.ModelInfo{{Name: "far"}}, false, "It can answer"},
	} {
		has := slices.Clone(nodes)
		has[0].Models = c.models
		d.nodes.Store(&has)
		o := d.myco("detect").want(t, 0, c.advice)
		if strings.Contains(o.out, "demo: tinylm") != c.demo || strings.Contains(o.out, "of mycod --engine: far\n") == (c.demo || c.models == nil) {
			t.Errorf("%v: printed %s", c.models, o.out)
		}
		if o := d.myco("detect", "--json").want(t, 0); strings.Contains(o.out, `"daemon_models":[{"name":"far"`) == (c.demo || c.models == nil) {
			t.Errorf("%v: printed %s", c.models, o.out)
		}
	}
	d.end()
	if o := d.myco("detect").want(t, 0, "It has no model but the demo."); !strings.Contains(o.out, "demo: tinylm") {
		t.Errorf("without a daemon: printed %s", o.out)
	}
}

// How many questions Ollama answers at one time the daemon knows by its own environment, which may be another than that of whoever asks.
func TestDetectTellsWhoseParallelCounts(t *testing.T) {
	ollama := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, map[string]string{
			"/api/version": `{"version":"0.17.4"}`, "/api/show": `{"capabilities":["completion"]}`, "/api/ps": `{"models":[]}`,
			"/api/tags": `{"models":[{"name":"m:1b","digest":"aa"}]}`,
		}[r.URL.Path])
	}))
	defer ollama.Close()
	t.Setenv("OLLAMA_HOST", ollama.URL)
	d := setup(t)
	for _, c := range []struct {
		here         string
		daemons, one bool
		told         bool
	}{
		{"", true, true, false}, {"", false, false, false}, {"4", false, false, false}, {"4", true, true, true},
	} {
		t.Setenv("OLLAMA_NUM_PARALLEL", c.here)
		has := slices.Clone(nodes)
		has[0].Models = []bus.ModelInfo{{Name: "m:1b", Engine: "ollama", Digest: "aa", OneAtATime: c.daemons}}
		d.nodes.Store(&has)
		if o := d.myco("detect").want(t, 0); strings.Contains(o.err, "that of mycod counts: it takes m:1b") != c.told {
			t.Errorf("%+v: said %s", c, o.err)
		}
		if o := d.myco("detect", "--json").want(t, 0); strings.Contains(o.out, `"one_at_a_time":true`) != c.one {
			t.Errorf("%+v: printed %s", c, o.out)
		}
	}
	d.end()
	for here, one := range map[string]bool{"": true, "4": false} {
		t.Setenv("OLLAMA_NUM_PARALLEL", here)
		if o := d.myco("detect", "--json").want(t, 0); strings.Contains(o.out, `"one_at_a_time":true`) != one {
			t.Errorf("without a daemon, OLLAMA_NUM_PARALLEL=%s: printed %s", here, o.out)
		}
	}
}

func TestBuildVersion(t *testing.T) {
	t.Parallel()
	info := &debug.BuildInfo{Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef"}}}
	info.Main.Version = "(devel)"
	for _, test := range []struct {
		linked            string
		info              *debug.BuildInfo
		version, revision string
	}{
		{"", info, "dev", "0123456789ab"},
		{"v1.2.3", info, "v1.2.3", "0123456789ab"},
		{"v1.2.3", nil, "v1.2.3", "unknown revision"},
	} {
		if v := buildVersion(test.linked, test.info); v.Version != test.version || v.Revision != test.revision {
			t.Errorf("%+v, want %s at %s", v, test.version, test.revision)
		}
	}
}

func TestTablesHaveNoColourWhereNoneIsWanted(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		environ []string
		want    string
	}{
		"not a terminal":  {nil, "STATE\nready\n"},
		"forced colours":  {[]string{"CLICOLOR_FORCE=1", "TERM=xterm-256color"}, "\x1b[1mSTATE\x1b[m\n\x1b[32mready\x1b[m\n"},
		"a dumb terminal": {[]string{"TERM=dumb"}, "STATE\nready\n"},
	} {
		var out bytes.Buffer
		newView(&out, test.environ, false).text(tabulate([]string{"STATE"}, [][]string{{state("ready")}}))
		if out.String() != test.want {
			t.Errorf("%s: %q, want %q", name, out.String(), test.want)
		}
	}
}
