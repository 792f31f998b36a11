package plugin_test

import (
	"errors"
	"fmt"
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

// A plugin that could write what plugins are would let itself off.
func TestPluginMayNotChangePlugins(t *testing.T) {
	for name, c := range map[string]struct {
		write func(all, dir string) string
		good  bool
	}{
		"its data":               {func(_, dir string) string { return filepath.Join(dir, "data") }, true},
		"elsewhere":              {func(_, _ string) string { return "/dev" }, true},
		"its folder":             {func(_, dir string) string { return dir }, false},
		"another's folder":       {func(all, _ string) string { return filepath.Join(all, "two") }, false},
		"the folder of plugins":  {func(all, _ string) string { return all }, false},
		"what that is in":        {func(all, _ string) string { return filepath.Dir(all) }, false},
		"everything":             {func(_, _ string) string { return "/" }, false},
		"its plugin.toml":        {func(_, dir string) string { return filepath.Join(dir, plugin.ManifestName) }, false},
		"another's plugin.toml":  {func(all, _ string) string { return filepath.Join(all, "two", plugin.ManifestName) }, false},
		"where its program is":   {func(_, dir string) string { return filepath.Join(dir, "bin") }, false},
		"a link to its folder":   {func(all, _ string) string { return filepath.Join(filepath.Dir(all), "link") }, false},
		"in the other, its data": {func(all, _ string) string { return filepath.Join(all, "two", "data") }, true},
	} {
		t.Run(name, func(t *testing.T) {
			base := t.TempDir()
			all := filepath.Join(base, "plugins")
			dir := filepath.Join(all, "one")
			for _, d := range []string{filepath.Join(dir, "data"), filepath.Join(dir, "bin"), filepath.Join(all, "two", "data")} {
				if err := os.MkdirAll(d, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			writePlugin(t, all, "two", "type = \"two\"\nrun = [\"sh\"]")
			writePlugin(t, all, "one", fmt.Sprintf("type = \"one\"\nrun = [\"bin/main\"]\n[allow]\nwrite = [%q]", c.write(all, dir)))
			err := errors.Join(
				os.WriteFile(filepath.Join(dir, "bin", "main"), nil, 0o700), //nolint:gosec // it is a program
				os.Symlink(dir, filepath.Join(base, "link")),
			)
			if err != nil {
				t.Fatal(err)
			}
			found, err := plugin.Find(all)
			if err != nil || len(found) != 2 {
				t.Fatalf("%v, %v", found, err)
			}
			e := bus.AsError(found[0].Err)
			if c.good && e != nil {
				t.Error(e)
			}
			if !c.good && (e == nil || e.Code != bus.CodeForbidden || e.Hint == "") {
				t.Errorf("%+v, want CodeForbidden", e)
			}
		})
	}
}
