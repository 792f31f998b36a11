package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Where there is no systemd nothing is installed: to ask is no mistake, as to install is.
func TestWithoutSystemd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if e := withoutSystemd("linux", dir); e != nil {
		t.Errorf("with systemd: %v", e)
	}
	for _, c := range []struct{ goos, booted, says string }{
		{"linux", filepath.Join(dir, "none"), "this machine was not started by systemd"}, {"darwin", dir, "which darwin does not have"},
	} {
		e := withoutSystemd(c.goos, c.booted)
		if e == nil || e.Code != bus.CodeInvalid || !strings.Contains(e.Message, c.says) {
			t.Errorf("on %s: %v", c.goos, e)
			continue
		}
		if n := noService(e); n.Code != bus.CodeNotFound || !strings.Contains(n.Message, "no service is installed: ") || !strings.Contains(n.Message, c.says) || !strings.Contains(n.Hint, "myco doctor") {
			t.Errorf("asked on %s: %v, %s", c.goos, n, n.Hint)
		}
	}
}
