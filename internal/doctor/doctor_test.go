package doctor_test

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/doctor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	self  = bus.NodeID("myco-0123456789ab")
	tower = bus.NodeID("myco-ba9876543210")
	attic = bus.NodeID("myco-cccccccccccc")
)

// well are the facts of a node where nothing is wrong.
func well() doctor.Facts {
	return doctor.Facts{
		Start: "mycod",
		Dir: doctor.DirFacts{
			Path: "/data", Mode: os.ModeDir | 0o700, Owner: 1000, User: 1000, FreeBytes: 50 << 30, TotalBytes: 100 << 30,
		},
		Daemon: &bus.Diagnosis{
			NodeID: self, Name: "laptop", Version: "1.0.0", UptimeMS: 60_000, DataDir: "/data",
			Swarm: bus.SwarmInfo{ID: "s", Name: "home", QueueHost: tower, Term: 3},
			Listens: []bus.ListenDiagnosis{
				{What: "routes", Net: "tcp", Addr: "0.0.0.0:7422", Others: true},
				{What: "HTTP", Net: "tcp", Addr: "127.0.0.1:7890"},
			},
			Peers: []bus.PeerDiagnosis{
				{NodeID: tower, Name: "tower", State: bus.NodeReady, Routed: true, Version: "1.0.0", ClockSkewMS: 40},
				{NodeID: attic, Name: "attic", State: bus.NodeDraining, Routed: true, Version: "1.0.0", ClockSkewMS: -900},
			},
			MDNS:    bus.MDNSDiagnosis{On: true, Echo: true, Others: 2},
			Store:   bus.StoreDiagnosis{Linked: true},
			Engines: []bus.EngineDiagnosis{{URL: "http://127.0.0.1:11434", Kind: "ollama", Models: []string{"m:1b"}}},
		},
	}
}

// lost makes the first peer one without a route, and with dials.
func lost(f *doctor.Facts, dials ...bus.DialDiagnosis) {
	p := &f.Daemon.Peers[0]
	p.Routed, p.State, p.Dials = false, bus.NodeLost, dials
}

func TestAllIsWell(t *testing.T) {
	t.Parallel()
	r := doctor.Examine(well())
	if !r.OK || r.Worst() != doctor.OK {
		t.Errorf("%+v", r)
	}
	for _, c := range r.Checks {
		if c.Hint != "" || c.Detail == "" {
			t.Errorf("%+v: want a detail, and no hint", c)
		}
	}
}

// Each case changes one thing, which is found, and nothing else.
func TestExamine(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(f *doctor.Facts)
		check  string
		status doctor.Status
		says   []string
	}{
		"the directory is open to others": {
			func(f *doctor.Facts) { f.Dir.Mode = os.ModeDir | 0o755 }, "data directory", doctor.Warn, []string{"0755", "/data"},
		},
		"one whose path is no word of a shell": {
			func(f *doctor.Facts) { f.Dir.Mode, f.Dir.Path = os.ModeDir|0o755, "/my data" }, "data directory", doctor.Warn, []string{" " + bus.ShellWord("/my data")},
		},
		"it takes no more work": {
			func(f *doctor.Facts) { f.Daemon.Draining = true }, "drain", doctor.Warn, []string{"no more work", "myco drain laptop --off"},
		},
		"a plugin does not start": {
			func(f *doctor.Facts) {
				f.Daemon.Plugins = []bus.PluginInfo{
					{Name: "ocr", Type: "ocr"},
					{Name: "words", Error: bus.Errorf(bus.CodeForbidden, "plugin.toml may be written by others").WithHint("chmod go-w plugin.toml")},
				}
			}, "plugin words", doctor.Warn, []string{"may be written by others", "chmod go-w plugin.toml"},
		},
		"the folder of plugins cannot be read": {
			func(f *doctor.Facts) {
				f.Daemon.PluginsError = bus.Errorf(bus.CodeInvalid, "read the plugins: open /p: permission denied").WithHint("mycod --plugins DIR")
			}, "plugins", doctor.Warn, []string{"/p: permission denied", "does not count", "mycod --plugins DIR"},
		},
		"the directory is another user's": {
			func(f *doctor.Facts) { f.Dir.Owner = 0 }, "data directory", doctor.Warn, []string{"user id 0", "1000"},
		},
		"the directory cannot be read": {
			func(f *doctor.Facts) { f.Dir.Error = "permission denied" }, "data directory", doctor.Fail, []string{"/data", "permission denied"},
		},
		"the directory is a file": {
			func(f *doctor.Facts) { f.Dir.Mode = 0o600 }, "data directory", doctor.Fail, []string{"not a directory"},
		},
		"little is free": {
			func(f *doctor.Facts) { f.Dir.FreeBytes = 1 << 30 }, "disk", doctor.Warn, []string{"1.0 GiB of 100.0 GiB", "/data"},
		},
		"a small share is free": {
			func(f *doctor.Facts) { f.Dir.FreeBytes, f.Dir.TotalBytes = 18<<30, 200<<30 }, "disk", doctor.Warn, []string{"9 %"},
		},
		"the disk is full": {
			func(f *doctor.Facts) { f.Dir.FreeBytes = 10 << 20 }, "disk", doctor.Fail, []string{"10 MiB", "the store needs 64 MiB"},
		},
		"the store is cut off": {
			func(f *doctor.Facts) { f.Daemon.Store.Linked = false }, "store", doctor.Fail, []string{"not connected"},
		},
		"the store lost messages": {
			func(f *doctor.Facts) { f.Daemon.Store.Unreadable = 7 }, "store", doctor.Warn, []string{"7 messages", "/data"},
		},
		"put out": {
			func(f *doctor.Facts) { f.Daemon.Revoked = true }, "identity", doctor.Fail, []string{"put out", "home", "myco leave", "move " + filepath.FromSlash("/data/identity") + " away"},
		},
		"twins": {
			func(f *doctor.Facts) {
				f.Daemon.Twins = []bus.Twins{{Node: tower, Seen: []bus.Instance{{Host: "a", Addr: "192.0.2.1:7422"}, {Addr: "192.0.2.2:7422"}}}}
			}, "identity", doctor.Fail, []string{string(tower), "host a (192.0.2.1:7422)", "the host at 192.0.2.2:7422", "--data-dir"},
		},
		"a member refuses connections": {
			func(f *doctor.Facts) { lost(f, bus.DialDiagnosis{Addr: "192.0.2.1:7422", Result: bus.DialRefused}) },
			"route", doctor.Fail,
			[]string{"tower (myco-ba9876543210)", "192.0.2.1:7422: connection refused", "start mycod there"},
		},
		"a member is heard by another": {
			func(f *doctor.Facts) {
				lost(f, bus.DialDiagnosis{Addr: "192.0.2.1:7422", Result: bus.DialNoWay})
				f.Daemon.Peers[0].HeardBy = []string{"attic"}
			},
			"route", doctor.Fail,
			[]string{"no route to tower", "It is up: attic hears it", "client isolation"},
		},
		"large packets are lost": {
			func(f *doctor.Facts) { lost(f, bus.DialDiagnosis{Addr: "192.0.2.1:7422", Result: bus.DialMute}) },
			"route", doctor.Fail,
			[]string{"192.0.2.1:7422: it takes connections", "large packets", "mtu 1280"},
		},
		"a member has gone to another network": {
			func(f *doctor.Facts) { lost(f, bus.DialDiagnosis{Addr: "192.0.2.1:7422", Result: bus.DialNoWay}) },
			"route", doctor.Fail,
			[]string{"192.0.2.1:7422: unreachable", "its address has changed", "mycod --peer HOST:7422", "gone for good: myco revoke " + string(tower)},
		},
		"a member is turned away": {
			func(f *doctor.Facts) {
				lost(f, bus.DialDiagnosis{Addr: "192.0.2.1:7422", Result: bus.DialTurned, Node: tower})
			},
			"route", doctor.Fail,
			[]string{"this node's key is not in its roster", "whether this node was put out", "run there: myco nodes", "run here: myco leave", "run there: myco doctor"},
		},
		"a member went to another swarm": {
			func(f *doctor.Facts) {
				lost(f, bus.DialDiagnosis{Addr: "192.0.2.1:7422", Result: bus.DialStranger, Node: tower, Swarm: "0123456789ab"})
			}, "route", doctor.Fail, []string{"wrong swarm", "0123456789ab", "myco invite"},
		},
		"no address of a member is known": {
			func(f *doctor.Facts) { lost(f) }, "route", doctor.Fail, []string{"no address of it is known", "--peer", "myco revoke " + string(tower)},
		},
		"a member has a route and is silent": {
			func(f *doctor.Facts) { f.Daemon.Peers[0].State = bus.NodeLost }, "route", doctor.Fail, []string{"tower", "is not heard"},
		},
		"a member is heard late": {
			func(f *doctor.Facts) { f.Daemon.Peers[0].State = bus.NodeSuspect }, "route", doctor.Warn, []string{"tower", "is heard late"},
		},
		"a member left": {
			func(f *doctor.Facts) {
				lost(f, bus.DialDiagnosis{Addr: "192.0.2.1:7422", Result: bus.DialTimeout})
				f.Daemon.Peers[0].Left = true
			}, "route", doctor.Warn, []string{"tower", "in good order"},
		},
		"a peer of the wrong swarm": {
			func(f *doctor.Facts) {
				f.Daemon.Static = []bus.DialDiagnosis{{Addr: "192.0.2.1:7422", Result: bus.DialStranger, Node: "myco-999999999999"}}
			}, "peer", doctor.Fail, []string{"--peer 192.0.2.1:7422", "wrong swarm", "myco-999999999999", "myco join TOKEN", "config.toml"},
		},
		"a peer that is another server": {
			func(f *doctor.Facts) {
				f.Daemon.Static = []bus.DialDiagnosis{{Addr: "192.0.2.1:80", Result: bus.DialNotMycod, Error: "x"}}
			}, "peer", doctor.Fail, []string{"--peer 192.0.2.1:80", "not mycod"},
		},
		"a peer that is this node's copy": {
			func(f *doctor.Facts) {
				f.Daemon.Static = []bus.DialDiagnosis{{Addr: "192.0.2.1:7422", Result: bus.DialTwin, Node: self}}
			}, "peer", doctor.Fail, []string{"own identity", "--data-dir"},
		},
		"two others do not hear each other": {
			func(f *doctor.Facts) {
				f.Daemon.Links = []bus.LinkDiagnosis{
					{From: attic, FromName: "attic", To: tower, ToName: "tower"},
					{From: tower, FromName: "tower", To: attic, ToName: "attic"},
				}
			}, "link", doctor.Fail, []string{"between attic", "and tower", "both live"},
		},
		"a second host": {
			func(f *doctor.Facts) {
				f.Daemon.Links = []bus.LinkDiagnosis{{From: attic, FromName: "attic", To: tower, ToName: "tower", Local: true}}
			}, "link", doctor.Fail, []string{"between attic", "and tower", "two queue hosts"},
		},
		"multicast is broken": {
			func(f *doctor.Facts) { f.Daemon.MDNS.Problem = "port 5353 is blocked" }, "mDNS", doctor.Warn, []string{"5353", "--peer"},
		},
		"multicast ends at this machine": {
			func(f *doctor.Facts) { f.Daemon.MDNS.Others = 0 }, "mDNS", doctor.Warn, []string{"hears itself and nobody else", "2 routes"},
		},
		"nothing is heard": {
			func(f *doctor.Facts) { f.Daemon.MDNS.Echo = false }, "mDNS", doctor.Warn, []string{"not even this node's own"},
		},
		"the engine stopped": {
			func(f *doctor.Facts) {
				f.Daemon.Engines = []bus.EngineDiagnosis{{URL: "http://127.0.0.1:1", Error: "http://127.0.0.1:1 does not answer", Asked: true}}
			}, "engine", doctor.Fail, []string{"http://127.0.0.1:1 does not answer", "--engine", "config.toml"},
		},
		"the engine refuses its key": {
			func(f *doctor.Facts) {
				f.Daemon.Engines = []bus.EngineDiagnosis{{URL: "http://127.0.0.1:1", Error: "http://127.0.0.1:1 refuses requests", Hint: "put a key into FILE", Asked: true}}
			}, "engine", doctor.Fail, []string{"http://127.0.0.1:1 refuses requests", "put a key into FILE"},
		},
		"where Ollama would be a key is wanted": {
			func(f *doctor.Facts) {
				f.Daemon.Engines = []bus.EngineDiagnosis{{URL: "http://127.0.0.1:11434", Error: "it refuses requests", Hint: "put a key into FILE"}}
			}, "engine", doctor.Warn, []string{"there is none: it refuses requests", "put a key into FILE"},
		},
		"a refused question":   {func(f *doctor.Facts) { e := &f.Daemon.Engines[0]; e.Error, e.Hint = "it refuses m", "a key" }, "engine", doctor.Fail, []string{"it refuses m", "a key"}},
		"a bad file of keys":   {func(f *doctor.Facts) { f.Daemon.Engines[0].KeyFile = "line 1" }, "engine", doctor.Warn, []string{"keys cannot be used: line 1", "mend the file"}},
		"a key is in the open": {func(f *doctor.Facts) { f.Daemon.Engines[0].PlainKey = true }, "engine", doctor.Warn, []string{"the key of ollama at http://127.0.0.1:11434", "unencrypted", "https"}},
		"the engine hangs": {
			func(f *doctor.Facts) {
				f.Daemon.Engines = []bus.EngineDiagnosis{{URL: "http://127.0.0.1:1", Error: "late", Hung: true}}
			},
			"engine", doctor.Fail,
			[]string{"http://127.0.0.1:1", "it hangs"},
		},
		"there is no engine": {
			func(f *doctor.Facts) {
				f.Daemon.Engines, f.Daemon.Demo = []bus.EngineDiagnosis{{URL: "http://127.0.0.1:11434", Error: "refused"}}, true
			}, "engine", doctor.Warn, []string{"there is none: refused", "demo", "ollama serve"},
		},
		"mycod is where Ollama would be": {
			func(f *doctor.Facts) {
				f.Daemon.Engines = []bus.EngineDiagnosis{{URL: "http://127.0.0.1:11434", Error: "a node of a swarm, not an engine", Swarm: true}}
			}, "engine", doctor.Warn, []string{"a node of a swarm", "OLLAMA_HOST=127.0.0.1:11435 ollama serve", "mycod --engine http://127.0.0.1:11435"},
		},
		"the engine asked for is a node": {
			func(f *doctor.Facts) {
				f.Daemon.Engines = []bus.EngineDiagnosis{{URL: "http://127.0.0.1:7890", Error: "a node of a swarm, not an engine", Swarm: true, Asked: true}}
			}, "engine", doctor.Fail, []string{"a node of a swarm", "config.toml", "--engine http://127.0.0.1:7890"},
		},
		"the engine has no model": {
			func(f *doctor.Facts) { f.Daemon.Engines[0].Models = nil }, "engine", doctor.Warn, []string{"has no model", "myco pull gemma3:1b --node "},
		},
		"no node has the default model": {
			func(f *doctor.Facts) {
				f.Daemon.DefaultModel = &bus.MissingModel{Model: "qwen3:8b", Pull: "myco pull qwen3:8b"}
			}, "default model", doctor.Warn, []string{"no node has qwen3:8b", "--default-model", "myco pull qwen3:8b"},
		},
		"the search engine sends no JSON": {
			func(f *doctor.Facts) {
				f.Daemon.Search = &bus.SearchDiagnosis{URL: "http://192.0.2.9/", Error: bus.Errorf(bus.CodeForbidden, "the SearXNG at http://192.0.2.9/ sends no JSON").WithHint("have formats: [html, json]")}
			}, "search", doctor.Fail, []string{"the SearXNG at http://192.0.2.9/ sends no JSON", "formats: [html, json]"},
		},
		"the search engine is not there": {
			func(f *doctor.Facts) {
				f.Daemon.Search = &bus.SearchDiagnosis{URL: "http://192.0.2.9/", Error: bus.Errorf(bus.CodeUnavailable, "it refuses connections")}
			}, "search", doctor.Fail, []string{"the search engine at http://192.0.2.9/: it refuses connections", "start it, or have mycod --search"},
		},
		"no engine of the search engine answers": {
			func(f *doctor.Facts) {
				f.Daemon.Search = &bus.SearchDiagnosis{URL: "http://192.0.2.9/", Silent: []string{"one (CAPTCHA)"}, Error: bus.Errorf(bus.CodeUnavailable, "no engine answers")}
			}, "search", doctor.Fail, []string{"no answer from one (CAPTCHA)", "turn on engines"},
		},
		"the search engine finds nothing": {
			func(f *doctor.Facts) { f.Daemon.Search = &bus.SearchDiagnosis{URL: "http://192.0.2.9/"} },
			"search", doctor.Warn,
			[]string{"answers, and finds nothing", "turn on engines"},
		},
		"the engine is open": {
			func(f *doctor.Facts) { f.Daemon.Engines[0].Open = []string{"192.0.2.5:11434"} },
			"engine", doctor.Warn,
			[]string{"everybody on the network", "192.0.2.5:11434", "OLLAMA_HOST=127.0.0.1:11434"},
		},
		"versions": {
			func(f *doctor.Facts) { f.Daemon.Peers[1].Version = "2.0.0" }, "versions", doctor.Warn, []string{"1.0.0 on laptop, tower", "2.0.0 on attic"},
		},
		"a version that does not understand this one": {
			func(f *doctor.Facts) {
				p := &f.Daemon.Peers[1]
				p.Version, p.State, p.Wire = "3.0.0", bus.NodeIncompatible, bus.Wire{Version: 3, Oldest: 2}
			}, "versions", doctor.Fail, []string{"1.0.0 (protocol 1) on laptop, tower", "attic (mycod 3.0.0) speaks versions 2 to 3", "install the newer mycod on laptop"},
		},
		"a clock is ahead": {
			func(f *doctor.Facts) { f.Daemon.Peers[1].ClockSkewMS = 3_600_000 }, "clocks", doctor.Warn, []string{"attic", "1h0m0s ahead of", "NTP"},
		},
		"a clock is behind": {
			func(f *doctor.Facts) { f.Daemon.Peers[1].ClockSkewMS = -5_100 }, "clocks", doctor.Warn, []string{"attic", "5s behind"},
		},
		"no queue host": {
			func(f *doctor.Facts) { f.Daemon.Swarm.QueueHost = "" }, "queues", doctor.Fail, []string{"no node holds"},
		},
		"work that nobody can do": {
			func(f *doctor.Facts) {
				f.Daemon.Waiting = []bus.TaskInfo{{ID: "t1", Warning: "waits: no node has m"}, {ID: "t2", Warning: "waits: no node has m"}}
			}, "queues", doctor.Warn, []string{"2 tasks wait that no node can run: no node has m", "myco task cancel t1"},
		},
		"the daemon cannot tell": {
			func(f *doctor.Facts) { f.Daemon.Failed = []bus.DiagnosisFailure{{What: "the tasks", Error: "late"}} },
			"daemon", doctor.Warn,
			[]string{"the tasks: late"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := well()
			c.change(&f)
			r := doctor.Examine(f)
			if r.Worst() != c.status || r.OK != (c.status != doctor.Fail) {
				t.Errorf("worst %s, ok %t: want %s", r.Worst(), r.OK, c.status)
			}
			bad := 0
			for _, k := range r.Checks {
				if k.Status == doctor.OK {
					continue
				}
				bad++
				text := k.Detail + " " + k.Hint
				if k.Name != c.check || k.Hint == "" {
					t.Errorf("%+v: want %s, with a hint", k, c.check)
				}
				for _, s := range c.says {
					if !strings.Contains(text, s) {
						t.Errorf("%q does not say %q", text, s)
					}
				}
			}
			if bad != 1 {
				t.Errorf("%d things are wrong, want one: %+v", bad, r.Checks)
			}
		})
	}
}

// A member that drops packets may be behind a firewall: that is said beside the route.
func TestFirewall(t *testing.T) {
	t.Parallel()
	f := well()
	lost(&f, bus.DialDiagnosis{Addr: "192.0.2.1:7422", Result: bus.DialTimeout})
	r := doctor.Examine(f)
	var got []string
	for _, c := range r.Checks {
		if c.Status != doctor.OK {
			got = append(got, c.Name+" "+string(c.Status))
		}
		if c.Name == "firewall" && !strings.Contains(c.Detail, "TCP 7422 (routes)") {
			t.Errorf("%+v", c)
		}
	}
	if strings.Join(got, ",") != "route fail,firewall warn" {
		t.Errorf("wrong: %v", got)
	}
}

// What is normal is no fault: a node alone, without mDNS, beside other swarms, at its start; a large disk of which a tenth is free.
func TestNormal(t *testing.T) {
	t.Parallel()
	f := well()
	f.Daemon.Peers, f.Daemon.MDNS = nil, bus.MDNSDiagnosis{}
	f.Daemon.Nearby = []bus.NearbySwarm{{NodeID: tower, Name: "0123456789ab", JoinAddr: "192.0.2.9:7423"}}
	f.Daemon.Engines = append(f.Daemon.Engines, bus.EngineDiagnosis{URL: "http://127.0.0.1:9", Error: "refused"})
	f.Daemon.Search = &bus.SearchDiagnosis{URL: "http://192.0.2.9/", Found: 3, Silent: []string{"one (timeout)"}}
	f.Dir.FreeBytes, f.Dir.TotalBytes = 25<<30, 252<<30 // a small share of a large disk is much
	if r := doctor.Examine(f); r.Worst() != doctor.OK {
		t.Errorf("%+v", r)
	}
	f = well()
	f.Daemon.UptimeMS, f.Daemon.MDNS = 500, bus.MDNSDiagnosis{On: true}
	if r := doctor.Examine(f); r.Worst() != doctor.OK {
		t.Errorf("%+v", r)
	}
}

func TestWithoutADaemon(t *testing.T) {
	t.Parallel()
	away := bus.Errorf(bus.CodeUnavailable, "no daemon is running: nothing listens at x")
	for name, c := range map[string]struct {
		change func(f *doctor.Facts)
		says   string
	}{
		"never":                  {func(*doctor.Facts) {}, "it is not running"},
		"crashed":                {func(f *doctor.Facts) { f.Known = true }, "did not stop in good order"},
		"hung":                   {func(f *doctor.Facts) { f.DaemonError = bus.Errorf(bus.CodeTimeout, "late") }, "does not answer: late"},
		"hung, with its process": {func(f *doctor.Facts) { f.DaemonError, f.PID = bus.Errorf(bus.CodeTimeout, "late"), 4711 }, "end process 4711"},
		"forbidden":              {func(f *doctor.Facts) { f.DaemonError = bus.Errorf(bus.CodeForbidden, "not yours").WithHint("sudo") }, "not yours"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := well()
			f.Daemon, f.DaemonError = nil, away
			f.Dir.Missing = name == "never"
			f.Ports = []doctor.PortFacts{{What: "routes", Addr: "0.0.0.0:7422"}}
			c.change(&f)
			r := doctor.Examine(f)
			if r.OK || r.Checks[0].Name != "daemon" || !strings.Contains(r.Checks[0].Detail+"; "+r.Checks[0].Hint, c.says) || r.Checks[0].Hint == "" {
				t.Errorf("%+v, want %q", r.Checks[0], c.says)
			}
			for _, k := range r.Checks[1:] {
				if k.Status != doctor.OK {
					t.Errorf("%+v", k)
				}
			}
			f.Ports[0].Error = "in use"
			if r := doctor.Examine(f); !strings.Contains(r.Checks[3].Detail, "0.0.0.0:7422 for routes") || r.Checks[3].Status != doctor.Warn {
				t.Errorf("%+v", r.Checks[3])
			}
		})
	}
}

// The daemon of another user, or of another data directory, is told from none, and from what else has the port.
func TestAnotherDaemonAnswers(t *testing.T) {
	t.Parallel()
	f := well()
	f.Daemon, f.DaemonError, f.Dir.Missing = nil, bus.Errorf(bus.CodeUnavailable, "no daemon is running"), true
	f.Ports = []doctor.PortFacts{{What: "HTTP", Addr: "127.0.0.1:7890", Error: "in use", Node: true}}
	r := doctor.Examine(f)
	if c := r.Checks[0]; c.Status != doctor.Fail || !strings.Contains(c.Detail, "another answers at 127.0.0.1:7890") || !strings.Contains(c.Hint, "--data-dir") {
		t.Errorf("%+v", c)
	}
	if c := r.Checks[3]; c.Name != "ports" || c.Status != doctor.OK {
		t.Errorf("%+v: that a daemon has its ports is no fault", c)
	}
}

func TestLogIsNamed(t *testing.T) {
	t.Parallel()
	f := well()
	f.Daemon.Log = "journalctl -u mycod"
	if !slices.Contains(doctor.Examine(f).Checks, doctor.Check{Name: "log", Status: doctor.OK, Detail: "journalctl -u mycod"}) {
		t.Errorf("%+v does not tell where the log is", doctor.Examine(f))
	}
}

func TestDir(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	want := os.FileMode(0o750)
	if err := os.Chmod(dir, want); err != nil {
		t.Fatal(err)
	}
	d := doctor.Dir(dir)
	if runtime.GOOS == "windows" { // where it has the rights of the folder that it is in
		want = d.Mode.Perm()
	}
	if d.Missing || d.Error != "" || d.Mode.Perm() != want || d.Owner != d.User || d.TotalBytes < d.FreeBytes || d.FreeBytes == 0 {
		t.Errorf("%+v", d)
	}
	d = doctor.Dir(filepath.Join(dir, "none", "at", "all"))
	if !d.Missing || d.TotalBytes == 0 {
		t.Errorf("%+v: want the disk that it would be on", d)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if d := doctor.Dir(filepath.Join(file, "below")); d.Error == "" {
		t.Errorf("%+v: want an error", d)
	}
}

// A machine that its owner keeps is as it should be, and says so.
func TestOwnersUse(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]*bus.OwnerUse{
		"":                              nil,
		"is closed until 17:00":         {Closed: true, Why: "until 17:00"},
		"used by its owner: on battery": {Weight: 100, Why: "on battery"},
	} {
		f := well()
		f.Daemon.Owner = o
		r, got := doctor.Examine(f), ""
		for _, c := range r.Checks {
			if c.Name == "owner" {
				got = c.Detail
			}
		}
		if r.Worst() != doctor.OK || (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%+v: %q, want %q and no warning", o, got, want)
		}
	}
}
