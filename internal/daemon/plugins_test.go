package daemon_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
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
	if runtime.GOOS == "windows" {
		t.Skip("the plugin of this test is of a shell")
	}
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
	// What is done to the folder from now on counts from the next start, and that is told.
	for _, name := range []string{"broken", "late"} {
		check(t, os.MkdirAll(filepath.Join(all, name), 0o700))
		check(t, os.WriteFile(filepath.Join(all, name, "plugin.toml"), []byte("unconfined = true\nrun = [\"sh\"]\ntype = \""+name+"\""), 0o600))
	}
	list, err = b.conn.Plugins(b.ctx())
	check(t, err)
	if len(list) != 3 || list[1].Error != nil {
		t.Fatalf("after a change of the folder: %+v", list)
	}
	for i, want := range map[int]string{0: "it was mended after mycod started", 2: "it came after mycod started"} {
		if e := list[i].Error; e == nil || !strings.HasPrefix(e.Message, want) || e.Hint != "start mycod anew" {
			t.Errorf("%s: %+v, want %s", list[i].Name, e, want)
		}
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

// Whoever waits for a plugin that does not start is told why, and that it was given up before long.
func TestAPluginThatDoesNotStart(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the plugin of this test is a script")
	}
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
