//go:build e2e && linux

package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// indented are the lines of the first block of a page after a line that begins with head, as they are in a file.
func indented(t *testing.T, page, head string) string {
	t.Helper()
	_, rest, ok := strings.Cut(page, "\n"+head)
	_, rest, begins := strings.Cut(rest, "\n\n    ")
	if !ok || !begins {
		t.Fatalf("no block after %q", head)
	}
	block, _, _ := strings.Cut(rest, "\n\n")
	return strings.ReplaceAll(block, "\n    ", "\n") + "\n"
}

// Both plugins that the documentation has for an example tell what is wrong with a task that they cannot do, and do
// the next one.
func TestPluginExamples(t *testing.T) {
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "plugins.md"))
	if err != nil {
		t.Fatal(err)
	}
	all := t.TempDir()
	dir := filepath.Join(all, "words")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"plugin.toml": 0o600, "words.py": 0o700} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(indented(t, string(page), "`"+name+"`:")), mode); err != nil {
			t.Fatal(err)
		}
	}
	writePlugin(t, all, "gowords", "examples/plugin", "")
	a := harness.New(t, programs).Found(t, "a", "--plugins", all)
	harness.Poll(t, harness.Patience, "the plugins are ready", func() string {
		if r := a.Myco(t, "plugins"); strings.Count(r.Stdout, "ready") != 2 {
			return r.String()
		}
		return ""
	})
	for _, typ := range []string{"words", "gowords"} {
		for _, payload := range []string{`{}`, `{"text":7}`, `{"text":null}`, `"text"`, `[]`, `null`, ""} {
			if r := a.Myco(t, "run", typ, payload); r.Code != 2 || !strings.Contains(r.Stderr, `want {"text":"..."}`) {
				t.Errorf("%s with %q: %s", typ, payload, r)
			}
		}
		if r := a.Myco(t, "run", typ, `{"text":"one two three"}`); r.Code != 0 || r.Stdout != "3\n" {
			t.Errorf("%s: %s", typ, r)
		}
	}
}
