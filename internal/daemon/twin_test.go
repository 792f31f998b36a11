package daemon_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/config"
)

// copyOf is a node, not started yet, on a copy of n's data directory.
func copyOf(n *node, change ...func(*config.Config)) *node {
	n.t.Helper()
	dir := n.t.TempDir()
	check(n.t, os.CopyFS(dir, os.DirFS(n.cfg.DataDir)))
	check(n.t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			err = os.Chmod(path, 0o600) // os.CopyFS lets others read
		}
		return err
	}))
	return newNode(n.t, n.cfg.Name, append(change, func(c *config.Config) { c.DataDir = dir })...)
}

// inUse wants a copy refused, in words that name the other.
func inUse(t *testing.T, c, first *node) {
	t.Helper()
	start := time.Now()
	e := c.refused(bus.CodeConflict)
	t.Logf("refused after %v: %v", time.Since(start).Round(time.Millisecond), e)
	for _, s := range []string{"identity in use by", first.Info().FabricAddr, string(first.id()), c.cfg.DataDir} {
		if !strings.Contains(e.Message, s) {
			t.Errorf("%q does not say %q", e.Message, s)
		}
	}
	if !strings.Contains(e.Hint, "--data-dir") {
		t.Errorf("hint %q, want what to do", e.Hint)
	}
}

// A member tells the copy that the node it is a copy of goes on.
func TestCopyOfAMember(t *testing.T) {
	t.Parallel()
	a := start(t, "a", withDemo)
	b := start(t, "b", joining(a))
	settle(t, a, b)
	inUse(t, copyOf(b), b)
	inUse(t, copyOf(a, withPeer(b.Info().FabricAddr)), a)
	settle(t, a, b)
	paris(t, last(t, b, inference(t)), a)
}

// A copy that meets the node itself.
func TestCopyMeetsTheNode(t *testing.T) {
	t.Parallel()
	a := start(t, "a", withDemo)
	inUse(t, copyOf(a, withPeer(a.Info().FabricAddr)), a)
	settle(t, a)
	paris(t, last(t, a, inference(t)), a)
}

// The first of two copies meets the other one later: it goes on, and the other stops.
func TestCopyThatWasThereFirst(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	c := copyOf(a) // knows nobody
	c.run()
	check(t, a.stop())
	// The node itself comes back: now it is the one that is late.
	a.cfg.Peers = []string{c.Info().FabricAddr}
	e := a.refused(bus.CodeConflict)
	if !strings.Contains(e.Message, c.Info().FabricAddr) {
		t.Errorf("%q does not name %s", e.Message, c.Info().FabricAddr)
	}
}
