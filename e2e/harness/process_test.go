//go:build linux

package harness_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Killing a process takes its children along: a test leaves nothing behind.
func TestKillTakesTheGroup(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "log")
	p := harness.Launch(t, log, os.Environ(), []string{"sh", "-c", "sleep 600 & echo child $!; wait"}, "")
	child := 0
	harness.Poll(t, harness.Patience, "the child starts", func() string {
		out := p.Log(1)
		if _, err := fmt.Sscanf(out, "child %d", &child); err != nil {
			return out
		}
		return ""
	})
	p.Kill()
	harness.Poll(t, harness.Patience, "the child is gone", func() string {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child))
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return ""
		}
		return string(stat)
	})
}

func TestWaitTellsTheExitCode(t *testing.T) {
	t.Parallel()
	p := harness.Launch(t, filepath.Join(t.TempDir(), "log"), os.Environ(), []string{"sh", "-c", "read code; exit $code"}, "7\n")
	if code, err := p.Wait(harness.Patience); code != 7 || err != nil {
		t.Errorf("exit code %d, error %v, want 7", code, err)
	}
	p = harness.Launch(t, filepath.Join(t.TempDir(), "log"), os.Environ(), []string{"sleep", "600"}, "")
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code, err := p.Wait(harness.Patience); code != -1 || err != nil {
		t.Errorf("exit code %d, error %v, want -1: ended by a signal", code, err)
	}
}

func TestRunKeepsOutputsApart(t *testing.T) {
	t.Parallel()
	r := harness.Run(t.Context(), t, t.TempDir(), os.Environ(), []string{"sh", "-c", "cat; echo err >&2; exit 3"}, "in")
	if r.Code != 3 || r.Stdout != "in" || r.Stderr != "err\n" {
		t.Errorf("%s", r)
	}
}

func TestRootHoldsTheModule(t *testing.T) {
	t.Parallel()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil || !strings.HasPrefix(string(b), "module github.com/mycoswarm/mycoswarm\n") {
		t.Errorf("go.mod in %s: error %v, begins %.60q", root, err, b)
	}
}
