// Its plugins are of a shell.

//go:build unix

package daemon_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/config"
)

// served offers the type of a plugin.
type served struct{ flood }

func (served) Capability(ctx context.Context) (bus.Capability, error) {
	return bus.Capability{Type: "echo", Slots: 1}, nil
}

// A node has plugins beside those that are wrong, and keeps them in another swarm; no program takes over what
// one does.
func TestPlugins(t *testing.T) {
	t.Parallel()
	all := t.TempDir()
	for name, manifest := range map[string]string{
		"echo":   "type = \"echo\"\nunconfined = true\nrun = [\"sh\", \"-c\", 'while read -r l; do echo \"{\\\"result\\\":$l}\"; done']",
		"broken": "run = [\"sh\"]",
	} {
		check(t, os.Mkdir(filepath.Join(all, name), 0o700))
		check(t, os.WriteFile(filepath.Join(all, name, "plugin.toml"), []byte(manifest), 0o600))
	}
	a := start(t, "a")
	b := start(t, "b", func(c *config.Config) { c.PluginDir = all })
	list, err := b.conn.Plugins(b.ctx())
	check(t, err)
	if len(list) != 2 || list[0].Name != "broken" || list[0].Error == nil || list[1].Type != "echo" || list[1].Error != nil || list[1].Confined {
		t.Errorf("%+v", list)
	}
	if err := b.conn.Serve(b.ctx(), served{}); !errors.Is(err, &bus.Error{Code: bus.CodeConflict}) {
		t.Errorf("a program that serves a plugin's type: %v, want CodeConflict", err)
	}
	echo := func(n *node) {
		t.Helper()
		for chunk, err := range n.conn.Submit(n.ctx(), bus.Task{ID: bus.NewTaskID(), Type: "echo", Payload: []byte("7")}) {
			check(t, err)
			if chunk.End != nil && chunk.End.NodeID != b.Info().NodeID {
				t.Errorf("done by %+v", chunk.End)
			}
		}
	}
	echo(b)
	_, err = b.conn.Join(b.ctx(), a.invite())
	check(t, err)
	echo(b)
	list, err = b.conn.Plugins(b.ctx())
	check(t, err)
	if list[1].Processes != 1 {
		t.Errorf("after another swarm: %+v", list[1])
	}
}

// A plugin that is put into the folder works, without a start of the daemon, and so does one that was mended. One that is
// removed takes no more tasks, and ends with that which it has.
func TestPluginsComeAndGo(t *testing.T) {
	t.Parallel()
	all := filepath.Join(t.TempDir(), "plugins")
	fifo := filepath.Join(t.TempDir(), "fifo")
	check(t, exec.CommandContext(t.Context(), "mkfifo", fifo).Run())
	a := start(t, "a", func(c *config.Config) { c.PluginDir = all })
	look := func(what string, good func([]bus.PluginInfo) bool) {
		t.Helper()
		eventually(t, what, func() string {
			list, err := a.conn.Plugins(a.ctx())
			check(t, err)
			if good(list) {
				return ""
			}
			return fmt.Sprintf("%+v", list)
		})
	}
	write := func(manifest string) {
		t.Helper()
		check(t, os.MkdirAll(filepath.Join(all, "wait"), 0o700))
		check(t, os.WriteFile(filepath.Join(all, "wait", "plugin.toml"), []byte(manifest), 0o600))
	}
	look("no folder", func(list []bus.PluginInfo) bool { return len(list) == 0 })
	write("type = \"wait\"")
	look("a broken one is told of", func(list []bus.PluginInfo) bool {
		return len(list) == 1 && list[0].Error != nil && strings.Contains(list[0].Error.Message, "run is missing")
	})
	write(fmt.Sprintf("type = \"wait\"\nunconfined = true\nrun = [\"sh\", \"-c\", 'read -r l; echo \"{\\\"output\\\":$$}\"; read -r x < %s; echo \"{\\\"result\\\":$x}\"; read -r l']", fifo))
	look("it is mended", func(list []bus.PluginInfo) bool { return len(list) == 1 && list[0].Error == nil })

	pid, done := 0, false
	s, err := a.conn.Start(a.ctx(), bus.Task{Type: "wait"})
	check(t, err)
	for chunk, err := range s.Chunks() {
		check(t, err)
		if chunk.End != nil {
			done = true
			if string(chunk.End.Result) != "7" || chunk.End.Attempts != 1 {
				t.Errorf("the task of a plugin that was removed: %+v", chunk.End)
			}
			continue
		}
		check(t, json.Unmarshal(chunk.Data, &pid))
		check(t, os.RemoveAll(filepath.Join(all, "wait")))
		look("it is gone", func(list []bus.PluginInfo) bool { return len(list) == 0 })
		eventually(t, "the node has the type no more", func() string {
			nodes, err := a.conn.Nodes(a.ctx())
			check(t, err)
			if slices.Contains(nodes[0].Types, "wait") {
				return fmt.Sprint(nodes[0].Types)
			}
			return ""
		})
		check(t, os.WriteFile(fifo, []byte("7\n"), 0o600))
	}
	if !done || pid == 0 {
		t.Errorf("the task ended: %v, its process was %d", done, pid)
	}
	eventually(t, "its process ends, though it may be kept for 10 minutes", func() string {
		if p, err := os.FindProcess(pid); err == nil && p.Signal(syscall.Signal(0)) == nil {
			return fmt.Sprintf("process %d", pid)
		}
		return ""
	})
}

// A folder of plugins that cannot be read any more is told of by doctor, until it can be.
func TestThePluginsFolderCannotBeRead(t *testing.T) {
	t.Parallel()
	all := filepath.Join(t.TempDir(), "plugins")
	check(t, os.Mkdir(all, 0o700))
	a := start(t, "a", func(c *config.Config) { c.PluginDir = all })
	told := func(what, want string) {
		t.Helper()
		eventually(t, what, func() string {
			d, err := a.conn.Diagnose(a.ctx())
			check(t, err)
			if e := d.PluginsError; e == nil && want == "" || e != nil && want != "" && strings.Contains(e.Message, want) && e.Hint != "" {
				return ""
			}
			return fmt.Sprint(d.PluginsError)
		})
	}
	told("it can be read", "")
	check(t, os.Remove(all))
	check(t, os.WriteFile(all, nil, 0o600)) // for root, that is what it cannot read
	told("it is no folder any more", all)
	check(t, os.Remove(all))
	told("it is not there, and has none", "")
}

// Whoever waits for a plugin that does not start is told why, and that it was given up before long.
func TestAPluginThatDoesNotStart(t *testing.T) {
	t.Parallel()
	all := t.TempDir()
	check(t, os.Mkdir(filepath.Join(all, "late"), 0o700))
	check(t, os.WriteFile(filepath.Join(all, "late", "plugin.toml"), []byte("type = \"late\"\nunconfined = true\nrun = [\"./late.sh\"]"), 0o600))
	check(t, os.WriteFile(filepath.Join(all, "late", "late.sh"), []byte("#!/no/shell\n"), 0o700)) //nolint:gosec // it is a program
	a := start(t, "a", func(c *config.Config) { c.PluginDir = all })
	s, err := a.conn.Start(a.ctx(), bus.Task{Type: "late", Payload: []byte("7")})
	check(t, err)
	eventually(t, "the cause is told", func() string {
		info, err := a.conn.Task(a.ctx(), s.Reply.ID)
		check(t, err)
		if !strings.Contains(info.Warning, `no node of the swarm has type "late"; last: the plugin late does not start: `) {
			return "it is said: " + info.Warning
		}
		return ""
	})
	for _, e := range s.Chunks() {
		err = e
	}
	if !errors.Is(err, &bus.Error{Code: bus.CodeDead}) || !strings.Contains(err.Error(), "gave up after 3 attempts, on a; last: the plugin late does not start: ") {
		t.Errorf("it ended with %v", err)
	}
}
