//go:build e2e && linux

package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// The program that README points to serves its kind and submits a task of it, on each node.
func TestExampleProgramServesAndSubmits(t *testing.T) {
	ctx := within(t, "example")
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "shout")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "./examples/shout")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the example: %v\n%s", err, out)
	}
	s := harness.New(t, programs)
	a := s.Found(t, "a")
	b := s.Join(t, a, "b")
	harness.Settle(t, a, b)
	for _, n := range []*harness.Node{a, b} {
		env := append(os.Environ(), "HOME="+n.Home, "MYCO_DATA_DIR="+n.Dir)
		r := harness.Run(ctx, t, t.TempDir(), env, []string{program}, "")
		if r.Code != 0 || r.Stdout != "\"HELLO\"\n" {
			t.Errorf("on node %s: %s", n.Name, r)
		}
	}
}
