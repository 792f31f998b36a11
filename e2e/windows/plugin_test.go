//go:build e2e && windows

package windows_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// runPlugin is a program that answers each task, starts another, and ends neither by itself.
func runPlugin() int {
	child := exec.Command(os.Args[0], asChild)
	if err := child.Start(); err != nil {
		fmt.Println(`{"error":{"message":"it has no child"}}`)
		return 1
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		fmt.Println(`{"result":"heard"}`)
	}
	<-time.After(time.Hour) // it is ended
	return 0
}

// TestPluginsEnd has a plugin, and what it has started, end with mycod, however that does.
func TestPluginsEnd(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	check(t, err)
	for name, end := range map[string]func(*node){"killed": (*node).kill, "stopped": (*node).stop} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := newJob(t)
			root := t.TempDir()
			dir := filepath.Join(root, "plugins", "hears")
			check(t, os.MkdirAll(dir, 0o700))
			manifest := fmt.Sprintf("type = \"hear\"\nunconfined = true\nrun = [%q, %q]\n", self, asPlugin)
			check(t, os.WriteFile(filepath.Join(dir, "plugin.toml"), []byte(manifest), 0o600))
			n := newNode(t, j, root, "node", "--no-demo-engine", "--plugins", filepath.Dir(dir))
			n.start()
			n.does("plugins").says(t, "hear")
			n.does("run", "hear", `{}`).says(t, "heard")
			if got := j.count(t); got < 4 { // a console may count too
				t.Errorf("%d processes run, want the test's, mycod, the plugin and its child", got)
			}
			end(n)
			j.gone(t)
		})
	}
}
