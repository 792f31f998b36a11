//go:build unix

package daemon_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/engine"
)

// A named pipe in the place of a file has the start fail that needs it, and not wait for who writes to the pipe.
func TestPipesInPlaceOfFiles(t *testing.T) {
	t.Parallel()
	pipe := func(dir, name string) string {
		path := filepath.Join(dir, name)
		check(t, os.MkdirAll(filepath.Dir(path), 0o700))
		check(t, syscall.Mkfifo(path, 0o600))
		return path
	}
	for _, name := range []string{bus.HTTPKeyFile, bus.UserCreds, bus.ObserverCred, "keys.json", "sched/journal", "sched/count", "sched/term", "store/store.version"} {
		n := newNode(t, "a")
		path := pipe(n.cfg.DataDir, name)
		if e := n.refused(bus.CodeForbidden); !strings.Contains(e.Message, path) || !strings.Contains(e.Message, "a named pipe") || e.Hint == "" {
			t.Errorf("%s: %v, hint %q", name, e, e.Hint)
		}
	}
	n := newNode(t, "a") // these a daemon goes without
	for _, name := range []string{"peers.json", "left.json", "phrase.shown", engine.SpeedsFile} {
		pipe(n.cfg.DataDir, name)
	}
	n.run()
	check(t, n.stop())
}
