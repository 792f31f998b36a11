package archtest_test

import (
	"bytes"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

// maxLines is the length that no Go file may pass; 400 is what to aim at.
const maxLines = 500

// tracked lists the files of the commit, by path from the root. In a tree without git, as
// from an archive, it lists every file.
func tracked(t *testing.T) []string {
	t.Helper()
	// A clone may belong to another user, which git refuses unless told.
	cmd := exec.CommandContext(t.Context(), "git", "-c", "safe.directory=*", "ls-files", "-z")
	cmd.Dir = root
	if out, err := cmd.Output(); err == nil {
		return strings.FieldsFunc(string(out), func(r rune) bool { return r == 0 })
	}
	var files []string
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			path, err = filepath.Rel(root, path)
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatalf("list the tree: %v", err)
	}
	return files
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, path))
	if os.IsNotExist(err) {
		return nil // deleted, not yet committed
	}
	if err != nil {
		t.Fatalf("read a tracked file: %v", err)
	}
	return b
}

func TestFilesStayReadable(t *testing.T) {
	t.Parallel()
	for _, path := range tracked(t) {
		if filepath.Ext(path) != ".go" {
			continue
		}
		if n := bytes.Count(read(t, path), []byte("\n")); n > maxLines {
			t.Errorf("%s has %d lines, over %d: perhaps it is two nouns", path, n, maxLines)
		}
	}
}

// machinePath matches absolute paths of one machine's home and working folders. It is spelled
// so that it does not match itself.
var machinePath = regexp.MustCompile(`(^|[^\w.*-])/(w[o]rk|r[o]ot|f[a]rm)/`)

func TestNoMachinePaths(t *testing.T) {
	t.Parallel()
	for _, path := range tracked(t) {
		b := read(t, path)
		if bytes.IndexByte(b, 0) >= 0 {
			continue // a binary
		}
		for i, line := range strings.Split(string(b), "\n") {
			if machinePath.MatchString(line) {
				t.Errorf("%s:%d names a folder of one machine: %s", path, i+1, strings.TrimSpace(line))
			}
		}
	}
}

func TestPackagesAreDocumented(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		if p.Doc == "" {
			t.Errorf("%s has no package comment: say what it owns and what it does not", p.path())
		}
	}
}

// TestLeaksAreChecked wants goleak in the TestMain of every package with tests.
func TestLeaksAreChecked(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		files := append(p.TestGoFiles, p.XTestGoFiles...)
		if len(files) == 0 {
			continue
		}
		found := false
		for _, f := range files {
			src, err := os.ReadFile(filepath.Join(p.Dir, f))
			if err != nil {
				t.Fatalf("read a test: %v", err)
			}
			found = found || bytes.Contains(src, []byte("func TestMain(")) && bytes.Contains(src, []byte("goleak."))
		}
		if !found {
			t.Errorf("%s has tests, and no TestMain with goleak.VerifyTestMain", p.path())
		}
	}
}

// TestTestsAreExternal wants tests in package x_test, so that they use what a caller can.
// A file named export_test.go, or export_ and what it opens, may give them more; one that ends
// in _internal_test.go says that it tests the inside.
func TestTestsAreExternal(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		for _, f := range p.TestGoFiles {
			if p.Name == "main" || strings.HasPrefix(f, "export_") || strings.HasSuffix(f, "_internal_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, f), nil, parser.PackageClauseOnly)
			if err != nil {
				t.Fatalf("parse a test: %v", err)
			}
			t.Errorf("%s/%s is in package %s, want %s_test", p.path(), f, file.Name.Name, p.Name)
		}
	}
}

// TestNothingSleeps allows time.Sleep only in the tests of packages where testing/synctest makes
// time pass. The linter sees to the rest.
func TestNothingSleeps(t *testing.T) {
	t.Parallel()
	bubbles, sleepers := map[string]bool{}, map[string][]string{}
	for _, path := range tracked(t) {
		dir := filepath.Dir(path)
		if !strings.HasSuffix(path, "_test.go") || dir == filepath.Join("internal", "archtest") {
			continue
		}
		src := read(t, path)
		bubbles[dir] = bubbles[dir] || bytes.Contains(src, []byte(`"testing/synctest"`))
		if bytes.Contains(src, []byte("time.Sleep(")) {
			sleepers[dir] = append(sleepers[dir], path)
		}
	}
	for dir, paths := range sleepers {
		if !bubbles[dir] {
			t.Errorf("%s sleeps: wait for a signal, with a generous limit", strings.Join(paths, ", "))
		}
	}
}
