//go:build unix

package daemon

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/mycoswarm/mycoswarm/handlers/plugin"
)

// What others may write is out at the first look.
func TestAPluginIsOpenToOthers(t *testing.T) {
	w := watch(t)
	w.write("words/plugin.toml", whole)
	w.after(0)
	w.want("it is there", w.after(pluginsSettle), "words")
	if err := os.Chmod(filepath.Join(w.dir, "words", plugin.ManifestName), 0o666); err != nil { //nolint:gosec // that is what is looked for
		t.Fatal(err)
	}
	w.want("all may write it", w.after(0))
	if err := os.Chmod(filepath.Join(w.dir, "words", plugin.ManifestName), 0o600); err != nil {
		t.Fatal(err)
	}
	w.after(0)
	w.want("none may", w.after(pluginsSettle), "words")
}
