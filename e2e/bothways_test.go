//go:build e2e && linux

package e2e_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/e2e/figures"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
	"github.com/mycoswarm/mycoswarm/e2e/lab"
	"github.com/mycoswarm/mycoswarm/internal/protect"
)

const (
	// bothWaysTries is how often a row's test runs without its protection, until it fails as it
	// must: a fault may need some luck to do its harm, and a slow machine fails in other ways.
	bothWaysTries = 6
	// bothWaysAtOnce is how many such tests run at one time: they mostly wait in vain.
	bothWaysAtOnce = 4
	// bothWaysPatience is how long they wait in vain.
	bothWaysPatience = 15 * time.Second
	bothWaysLimit    = 5 * time.Minute // for one test
)

// bothWaysFirst are the tests that take longest, most of a minute or more, which begin before the others: none
// of them is waited for alone in the end.
var bothWaysFirst = []string{"TestSlowClientsAreCut", "TestVersionsApart", "TestRollingUpgrade", "TestQueueHostIsPoweredOff", "TestWorkerIsPoweredOff"}

// TestBothWays runs the test of each row of the catalogue on programs without the protection that
// holds the row's promise up, and wants it to fail, for the reason that the row gives: what passes
// without any protection is no test of it.
func TestBothWays(t *testing.T) {
	bare := programs
	if err := bare.Lab(t.Context()); err != nil {
		t.Fatal(err)
	}
	var rows sync.WaitGroup
	free := make(chan struct{}, bothWaysAtOnce)
	faults := slices.Concat(catalogue, guarded())
	slices.SortStableFunc(faults, func(a, b lab.Fault) int {
		return slices.Index(bothWaysFirst, b.Test) - slices.Index(bothWaysFirst, a.Test) // -1 for the others
	})
	for _, f := range faults {
		free <- struct{}{}
		rows.Go(func() {
			defer func() { <-free }()
			t.Run(f.Test, func(t *testing.T) {
				if harm := without(t, bare, f); harm != "" {
					t.Logf("without %q: %s", f.Without, harm)
					reached.mu.Lock()
					defer reached.mu.Unlock()
					if err := reached.Without(tested(t), f.Event, harm); err != nil {
						t.Errorf("note a harm: %v", err)
					}
				}
			})
		})
	}
	rows.Wait()
}

// without runs the test of f without its protection until it fails as it must, and returns what it
// said then; "" where it does not.
func without(t *testing.T, bin harness.Binaries, f lab.Fault) string {
	t.Helper()
	then, err := regexp.Compile(f.Then)
	if err != nil || f.Then == "" || len(f.Without) == 0 {
		t.Errorf("%q has no protection, or does not say how its test fails without: %v", f.Event, err)
		return ""
	}
	for try := 1; ; try++ {
		out, failed := runWithout(t, bin, f)
		harm := then.FindString(out)
		switch {
		case failed && harm != "":
			return harm
		case try < bothWaysTries:
		case failed:
			t.Errorf("without %q %s fails in another way than %q:\n%s", f.Without, f.Test, f.Then, out)
			return ""
		default:
			t.Errorf("without %q %s passes, %d times: it does not test what it promises, %q", f.Without, f.Test, try, f.Promise)
			return ""
		}
	}
}

// runWithout runs the test of f once, without its protection.
func runWithout(t *testing.T, bin harness.Binaries, f lab.Fault) (out string, failed bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bothWaysLimit)
	defer cancel()
	only := []string{"-test.run", "^" + f.Test + "$", "-test.timeout", bothWaysLimit.String()}
	cmd := exec.CommandContext(ctx, os.Args[0], only...)
	if f.Package != "" {
		cmd = exec.CommandContext(ctx, "go", append([]string{"test", "-count=1", "-tags", "lab", f.Package}, only...)...)
		cmd.Dir = ".."
	}
	names := make([]string, len(f.Without))
	for i, p := range f.Without {
		names[i] = string(p)
	}
	cmd.Env = append(os.Environ(), protect.Env+"="+strings.Join(names, protect.Separator), harness.EnvBinaries+"="+filepath.Dir(bin.Mycod),
		harness.EnvPatience+"="+bothWaysPatience.String(), figures.EnvRecord+"=", figures.EnvFull+"=", lab.EnvRows+"=")
	cmd.Env = append(cmd.Env, f.Small...)
	b, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Errorf("run %s without %q: %v", f.Test, f.Without, err)
	}
	return string(b), err != nil
}
