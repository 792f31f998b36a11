//go:build e2e && linux

package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// writePlugin makes a plugin of a program of this module, and returns the folder that it is in.
func writePlugin(t *testing.T, all, name, program, more string) {
	t.Helper()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(all, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-tags", "e2e", "-o", filepath.Join(dir, "main"), "./"+program)
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0") // it may run where there is no C library
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", program, err, out)
	}
	manifest := fmt.Sprintf("type = %q\nrun = [\"./main\"]\n%s", name, more)
	if err := os.WriteFile(filepath.Join(dir, "plugin.toml"), []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A plugin on one machine works for all, and does no harm to its own.
func TestPlugin(t *testing.T) {
	all := t.TempDir()
	writePlugin(t, all, "hostile", "e2e/hostile", "")
	writePlugin(t, all, "trusted", "e2e/hostile", "unconfined = true")
	s := harness.New(t, programs)
	a := s.Found(t, "a")
	b := s.Join(t, a, "b", "--plugins", all)
	harness.Settle(t, a, b)
	writePlugin(t, all, "words", "examples/plugin", "") // while b runs
	harness.Poll(t, harness.Patience, "b has the plugins", func() string {
		if r := b.Myco(t, "plugins"); r.Code != 0 || strings.Count(r.Stdout, "ready") != 3 || !strings.Contains(r.Stdout, "anything that mycod may") {
			return r.String()
		}
		return ""
	})
	harness.Poll(t, harness.Patience, "a hears of the plugins", func() string {
		if r := a.Myco(t, "plugins"); !strings.Contains(r.Stdout, "tasks of type words are done by b\n") {
			return r.String()
		}
		return ""
	})
	if r := a.Myco(t, "run", "words", `{"text":"one two three"}`); r.Code != 0 || r.Stdout != "3\n" {
		t.Errorf("%s", r)
	}
	if r := a.Myco(t, "run", "letters", `{}`); r.Code != 3 || !strings.Contains(r.Stderr, "b: hostile, trusted, words") {
		t.Errorf("a type that nobody does: %s", r)
	}

	attack, err := json.Marshal(map[string]any{
		"Key": filepath.Join(b.Dir, "identity", "node.key"), "PID": b.Info.PID, "Addr": strings.TrimPrefix(b.Info.HTTPURL, "http://"),
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, could := range map[string]bool{"hostile": false, "trusted": true} {
		r := a.Myco(t, "run", name, string(attack))
		told := map[string]string{}
		if err := json.Unmarshal([]byte(r.Stdout), &told); err != nil || len(told) < 6 {
			t.Fatalf("%v: %s", err, r)
		}
		for what, came := range told {
			if (came == "done") != could {
				t.Errorf("a plugin %q could %s: %s", name, what, came)
			}
		}
	}
	reach(t, "hostile plugin", 6, "the key, the daemon's environment and process, sockets, programs, its own folder: all refused; all of it without the confinement")
}

// A node dies, stops or leaves with a plugin at work: the work goes on elsewhere, and nothing of it is left there, not
// what the plugin has started.
func TestPluginsNodeGoes(t *testing.T) {
	t.Parallel()
	for how, goes := range map[string]func(*harness.Node){
		"killed":  func(n *harness.Node) { n.Kill() },
		"stopped": func(n *harness.Node) { n.Stop(t) },
		"left": func(n *harness.Node) {
			if r := n.Myco(t, "leave", "--yes"); r.Code != 0 {
				t.Errorf("%s", r)
			}
		},
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			shared := t.TempDir()
			pluginsNodeGoes(t, goes, how == "killed", shared, fmt.Sprintf("[allow]\nprocesses = true\nwrite = [%q]", shared))
		})
	}
	t.Run("killed, and the plugin not held back", func(t *testing.T) {
		t.Parallel()
		pluginsNodeGoes(t, func(n *harness.Node) { n.Kill() }, true, t.TempDir(), "unconfined = true")
	})
}

func pluginsNodeGoes(t *testing.T, goes func(*harness.Node), killed bool, shared, more string) {
	t.Helper()
	all := t.TempDir()
	writePlugin(t, all, "once", "e2e/hostile", more)
	s := harness.New(t, programs)
	a := s.Found(t, "a")
	with := []*harness.Node{s.Join(t, a, "b", "--plugins", all), s.Join(t, a, "c", "--plugins", all)}
	harness.Settle(t, a, with[0], with[1])
	conn := a.Dial(t)
	var pids []int
	var at *harness.Node
	for chunk, err := range conn.Submit(within(t, "a plugin's task"), bus.Task{Type: "once", Payload: fmt.Appendf(nil, `{"Once":%q}`, shared)}) {
		if err != nil {
			t.Fatal(err)
		}
		if chunk.End != nil {
			if at == nil || chunk.End.Attempts != 2 || chunk.End.NodeID == at.Info.NodeID {
				t.Errorf("it ended as %+v, after its node went", chunk.End)
			}
			continue
		}
		if err := json.Unmarshal(chunk.Data, &pids); err != nil || len(pids) != 2 {
			t.Fatalf("%s: %v", chunk.Data, err)
		}
		for _, n := range with {
			if n.Info.NodeID == chunk.Node {
				at = n
				goes(n)
			}
		}
	}
	for _, pid := range pids {
		harness.Poll(t, harness.Patience, "the plugin's processes end with its node", func() string {
			status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || err != nil || strings.Contains(string(status), ") Z ") {
				return ""
			}
			return string(status)
		})
	}
	if killed { // what is left in its folder goes when it starts again
		return
	}
	harness.Poll(t, harness.Patience, "the plugin's temporary folder is empty", func() string {
		left, err := os.ReadDir(filepath.Join(at.Dir, "plugins", "once"))
		if err != nil {
			t.Fatal(err)
		}
		if len(left) > 0 {
			return left[0].Name() + " is left"
		}
		return ""
	})
}
