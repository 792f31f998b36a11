//go:build linux

package harness

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Patch replaces, in the source that a program is built from, what stands in a file exactly once.
type Patch struct{ File, Old, New string }

// BuildPatched builds mycod into dir with patches, for faults that a program as it is does not have: a
// wrong clock, or a check that an older one lacks. The source tree stays as it is.
func BuildPatched(ctx context.Context, dir string, patches ...Patch) (Binaries, error) {
	b := Binaries{Mycod: filepath.Join(dir, "mycod"), Myco: filepath.Join(dir, "myco")}
	root, err := Root()
	if err != nil {
		return b, err
	}
	text := map[string]string{}
	for _, p := range patches {
		file := filepath.Join(root, p.File)
		if _, ok := text[file]; !ok {
			src, err := os.ReadFile(file)
			if err != nil {
				return b, fmt.Errorf("patch: %w", err)
			}
			text[file] = string(src)
		}
		if n := strings.Count(text[file], p.Old); n != 1 {
			return b, fmt.Errorf("patch %s: it has %q %d times, want once", p.File, p.Old, n)
		}
		text[file] = strings.Replace(text[file], p.Old, p.New, 1)
	}
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for file, src := range text {
		to := filepath.Join(dir, fmt.Sprintf("%d-%s", len(overlay.Replace), filepath.Base(file)))
		if err := os.WriteFile(to, []byte(src), 0o600); err != nil {
			return b, fmt.Errorf("patch: %w", err)
		}
		overlay.Replace[file] = to
	}
	j, err := json.Marshal(overlay)
	if err != nil {
		return b, fmt.Errorf("patch: %w", err)
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, j, 0o600); err != nil {
		return b, fmt.Errorf("patch: %w", err)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-overlay", list, "-ldflags", "-X main.version="+Revision(ctx, root), "-o", dir+"/", "./cmd/mycod", "./cmd/myco")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return b, fmt.Errorf("build patched programs: %w\n%s", err, out)
	}
	return b, nil
}
