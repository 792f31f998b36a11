package archtest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const module = "github.com/mycoswarm/mycoswarm"

// pkg is what these tests read of `go list -json`.
type pkg struct {
	ImportPath   string
	Dir          string
	Name         string
	Doc          string
	Imports      []string
	TestGoFiles  []string
	XTestGoFiles []string
}

// path is the package's folder in the tree; "." for the root.
func (p pkg) path() string {
	return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
}

func goCommand(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = "../.."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return out
}

var listed struct {
	once sync.Once
	out  []byte
}

// packages lists every package of the module, the end-to-end tests among them.
func packages(t *testing.T) []pkg {
	t.Helper()
	listed.once.Do(func() {
		listed.out = goCommand(t, "list", "-tags", "e2e",
			"-json=ImportPath,Dir,Name,Doc,Imports,TestGoFiles,XTestGoFiles", "./...")
	})
	var all []pkg
	for d := json.NewDecoder(bytes.NewReader(listed.out)); ; {
		var p pkg
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("read go list: %v", err)
		}
		all = append(all, p)
	}
	if len(all) == 0 {
		t.Fatal("go list found no packages")
	}
	return all
}

// rooms are the points of the star. A package belongs to the longest room that it lies under.
var rooms = []string{
	"bus/fabric", "bus/store", "node", "sched", "handlers", "gateway",
	"internal/config", "internal/engine", "internal/identity",
}

// hubs may import everything: they wire the rooms together, or test them whole.
var hubs = []string{"cmd", "internal/daemon", "e2e"}

func under(path, room string) bool { return path == room || strings.HasPrefix(path, room+"/") }

func roomOf(path string) string {
	for _, r := range rooms {
		if under(path, r) {
			return r
		}
	}
	return path
}

// wires reports whether a package may import everything: a hub, or a test bench such as
// bus/fabric/fabrictest.
func wires(path string) bool {
	return strings.HasSuffix(path, "test") || slices.ContainsFunc(hubs, func(h string) bool { return under(path, h) })
}

// breaks tells what is wrong with package from importing package to, both of this module.
func breaks(from, to string) string {
	switch {
	case wires(from):
		return ""
	case from == "bus":
		return "package bus imports nothing of this module"
	case to == "bus", roomOf(from) == roomOf(to):
		return ""
	case to == "internal/protect":
		return "" // it is empty but in a program of the fault lab
	case to == "internal/atomicfile", to == "internal/filelock", to == "internal/neterr", to == "internal/rhythm":
		return "" // they know systems and clocks, and nothing of what is done with them
	case under(from, "bus") && under(to, "bus/internal"):
		return ""
	}
	return "the rooms meet only in package bus; declare a small interface where it is used, and wire it in internal/daemon"
}

func TestImportsAreAStar(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		for _, imp := range p.Imports {
			if !under(imp, module) {
				continue
			}
			to := pkg{ImportPath: imp}.path()
			if why := breaks(p.path(), to); why != "" {
				t.Errorf("%s imports %s: %s", p.path(), to, why)
			}
		}
	}
}

func TestStarRule(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		from, to string
		ok       bool
	}{
		{"sched", "bus", true},
		{"sched/jet", "sched", true},
		{"internal/engine/demo", "internal/engine/demo/gguf", true},
		{"internal/daemon", "sched", true},
		{"cmd/myco", "node", true},
		{"bus", "bus/fabric", false},
		{"bus/fabric", "bus", true},
		{"bus/fabric", "bus/store", false},
		{"bus/fabric", "bus/internal/natslog", true},
		{"sched", "bus/internal/natslog", false},
		{"bus/fabric/fabrictest", "bus/store", true},
		{"sched", "bus/store", false},
		{"sched", "internal/protect", true},
		{"sched/jet", "internal/atomicfile", true},
		{"handlers/web", "internal/neterr", true},
		{"bus", "internal/atomicfile", false},
		{"bus/store", "internal/filelock", true},
		{"bus", "internal/protect", false},
		{"handlers", "internal/engine", false},
		{"node", "internal/identity", false},
		{"gateway", "sched", false},
		{"gateway", "internal/daemon", false},
	} {
		if got := breaks(c.from, c.to) == ""; got != c.ok {
			t.Errorf("%s imports %s: allowed %v, want %v", c.from, c.to, got, c.ok)
		}
	}
}

// owners are the only packages that import a heavy dependency directly.
var owners = map[string][]string{
	"github.com/nats-io/nats-server/": {"bus/fabric", "bus/store", "e2e/floor", "e2e/relay"},
	"github.com/grandcat/zeroconf":    {"node/discovery"},
	"github.com/NVIDIA/go-nvml/":      {"node"},
	"github.com/shirou/gopsutil/":     {"node"},
	"github.com/prometheus/":          {"internal/daemon/metrics"},
}

func TestHeavyDependenciesHaveOneOwner(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		for _, imp := range p.Imports {
			for dep, allowed := range owners {
				if strings.HasPrefix(imp+"/", dep) && !slices.Contains(allowed, p.path()) {
					t.Errorf("%s imports %s: only %s may", p.path(), imp, strings.Join(allowed, ", "))
				}
			}
		}
	}
}

func TestClientsStaySmall(t *testing.T) {
	t.Parallel()
	const server, mdns = "github.com/nats-io/nats-server/", "github.com/grandcat/zeroconf"
	for _, c := range []struct {
		path string
		not  []string
	}{
		{"bus", []string{server, mdns, "github.com/NVIDIA/go-nvml/", "github.com/shirou/gopsutil/"}},
		{"cmd/myco", []string{server, mdns}},
	} {
		for dep := range strings.FieldsSeq(string(goCommand(t, "list", "-deps", "./"+c.path))) {
			for _, not := range c.not {
				if strings.HasPrefix(dep+"/", not) {
					t.Errorf("%s links %s", c.path, dep)
				}
			}
		}
	}
}

// TestDecisionsArePure keeps the network out of the packages that only decide.
func TestDecisionsArePure(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		if p.path() != "sched" {
			continue
		}
		for _, imp := range p.Imports {
			if imp == "net" || strings.HasPrefix(imp, "net/") || strings.HasPrefix(imp, "github.com/nats-io/") {
				t.Errorf("%s imports %s: its effects lie behind an interface, in sched/jet", p.path(), imp)
			}
		}
	}
}
