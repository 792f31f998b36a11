package plugin_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers/plugin"
)

func writePlugin(t *testing.T, all, name, manifest string) string {
	t.Helper()
	dir := filepath.Join(all, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, plugin.ManifestName)
	if err := os.WriteFile(path, []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// notThere is the text of an error on every system.
const notThere = "no such file"

func TestManifest(t *testing.T) {
	for name, c := range map[string]struct{ manifest, want string }{
		"whole": {"type = \"ocr\"\nabout = \"text of pictures\"\nrun = [\"sh\", \"-c\", \"cat\"]\nslots = 3\nsilence = \"1h\"\nkeep = \"5s\"\nmemory = \"2GiB\"\nnice = 19\n[allow]\nnetwork = true\nprocesses = true\nread = [\"/\"]\nwrite = [\"/dev\"]", ""},
		"least": {"type = \"ocr\"\nrun = [\"cat\"]", ""},

		"a word too many":       {"type = \"ocr\"\nrun = [\"cat\"]\nslot = 3", "plugin.toml:3:1: there is no setting slot"},
		"no TOML":               {"type = ocr", "plugin.toml:1:8: "},
		"no type":               {"run = [\"cat\"]", "task type \"\""},
		"a type of mycod's own": {"type = \"inference\"\nrun = [\"cat\"]", "mycod does tasks of type \"inference\" itself"},
		"a type that is none":   {"type = \"O C R\"\nrun = [\"cat\"]", "task type \"O C R\""},
		"no program":            {"type = \"ocr\"", "run is missing"},
		"a program elsewhere":   {"type = \"ocr\"\nrun = [\"./main\"]", notThere},
		"too many slots":        {"type = \"ocr\"\nrun = [\"cat\"]\nslots = 65", "slots = 65: want 1 to 64"},
		"no slots":              {"type = \"ocr\"\nrun = [\"cat\"]\nslots = 0", "slots = 0"},
		"too nice":              {"type = \"ocr\"\nrun = [\"cat\"]\nnice = 20", "nice = 20: want 0 to 19"},
		"before others":         {"type = \"ocr\"\nrun = [\"cat\"]\nnice = -1", "nice = -1"},
		"little memory":         {"type = \"ocr\"\nrun = [\"cat\"]\nmemory = \"1MiB\"", "less than 64 MiB"},
		"memory without a unit": {"type = \"ocr\"\nrun = [\"cat\"]\nmemory = \"512\"", "not a size such as 512MiB"},
		"a time without a unit": {"type = \"ocr\"\nrun = [\"cat\"]\nsilence = \"5\"", "missing unit"},
		"a relative path":       {"type = \"ocr\"\nrun = [\"cat\"]\n[allow]\nread = [\"data\"]", "does not begin with /"},
		"a path that is not":    {"type = \"ocr\"\nrun = [\"cat\"]\n[allow]\nwrite = [\"/not/there\"]", notThere},
	} {
		t.Run(name, func(t *testing.T) {
			if runtime.GOOS == "windows" { // where paths begin with a disk
				c.manifest = strings.NewReplacer(`"/"`, `"C:/"`, `"/dev"`, `"C:/Windows"`, `"/not/there"`, `"C:/not/there"`).Replace(c.manifest)
			}
			all := t.TempDir()
			writePlugin(t, all, "one", c.manifest)
			found, err := plugin.Find(all)
			if err != nil || len(found) != 1 {
				t.Fatalf("%v, %v", found, err)
			}
			switch err := found[0].Err; {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want == notThere:
				if !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%v, want that something is not there", err)
				}
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestFindPlugins(t *testing.T) {
	if found, err := plugin.Find(filepath.Join(t.TempDir(), "none")); err != nil || found != nil {
		t.Errorf("no folder: %v, %v", found, err)
	}
	all := t.TempDir()
	const ocr = "type = \"ocr\"\nrun = [\"cat\"]"
	writePlugin(t, all, "b", ocr)
	writePlugin(t, all, "a", ocr)
	writePlugin(t, all, ".hidden", ocr)
	open := writePlugin(t, all, "open", "type = \"other\"\nrun = [\"cat\"]")
	if err := os.Chmod(open, 0o666); err != nil { //nolint:gosec // that is what is looked for
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(all, "README"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	found, err := plugin.Find(all)
	if err != nil || len(found) != 3 {
		t.Fatalf("%v, %v", found, err)
	}
	if a := found[0]; a.Name != "a" || a.Err != nil {
		t.Errorf("%+v", a)
	}
	if b := bus.AsError(found[1].Err); b == nil || b.Code != bus.CodeConflict {
		t.Errorf("a second plugin of the type: %v", found[1].Err)
	}
	if e := bus.AsError(found[2].Err); runtime.GOOS != "windows" && (e == nil || e.Code != bus.CodeForbidden || e.Hint != "chmod go-w "+open) {
		t.Errorf("one that all may write: %+v", e)
	}
}
