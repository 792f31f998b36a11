//go:build e2e && linux

package e2e_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// A node is set up by the file in its user's home alone, and starts again as it was.
func TestSettingsFile(t *testing.T) {
	s := harness.New(t, programs)
	own := startEngine(t, s, engine.Config{Name: "a"})
	a := s.Node(t, "a")
	file := filepath.Join(a.Home, ".config", "mycoswarm", "config.toml")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("engine = [\""+own.URL()+"\"]\nslots = 7\nclosed = [\"00:00-24:00\"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		a.Start(t)
		status, err := a.Dial(t).Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n := status.Node; n.Slots != 7 || n.Owner == nil || !n.Owner.Closed || len(n.Models) == 0 {
			t.Errorf("%d slots, owner %v, models %v; want 7, closed, and those of its engine", n.Slots, n.Owner, n.Models)
		}
		a.Stop(t)
	}
}
