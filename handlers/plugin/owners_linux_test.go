package plugin_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers/plugin"
)

// What others may change does not run with this user's rights.
func TestPluginOfOthers(t *testing.T) {
	const manifest = "type = \"ocr\"\nrun = [\"sh\", \"main.sh\"]"
	for name, spoil := range map[string]func(t *testing.T, all, dir string) error{
		"folder of all": func(_ *testing.T, all, _ string) error { return os.Chmod(all, 0o777) },                           //nolint:gosec // it is to be refused
		"script":        func(_ *testing.T, _, dir string) error { return os.Chmod(filepath.Join(dir, "main.sh"), 0o666) }, //nolint:gosec // as above
		"another's toml": func(t *testing.T, _, dir string) error {
			if os.Getuid() != 0 {
				t.Skip("only root gives files away")
			}
			return os.Chown(filepath.Join(dir, plugin.ManifestName), 65534, 65534)
		},
	} {
		t.Run(name, func(t *testing.T) {
			all := t.TempDir()
			dir := filepath.Dir(writePlugin(t, all, "one", manifest))
			if err := os.WriteFile(filepath.Join(dir, "main.sh"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if found, err := plugin.Find(all); err != nil || found[0].Err != nil {
				t.Fatalf("%v, %v", found, err)
			}
			if err := spoil(t, all, dir); err != nil {
				t.Fatal(err)
			}
			found, err := plugin.Find(all)
			if e := bus.AsError(found[0].Err); err != nil || e == nil || e.Code != bus.CodeForbidden || e.Hint == "" {
				t.Errorf("%+v, %v", e, err)
			}
		})
	}
	all := t.TempDir()
	path := writePlugin(t, all, "one", manifest)
	if err := errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)); err != nil {
		t.Fatal(err)
	}
	found, err := plugin.Find(all) // and does not wait for it
	if err != nil || found[0].Err == nil || !strings.Contains(found[0].Err.Error(), "no file of at most") {
		t.Errorf("%v, %v", found, err)
	}
}
