//go:build linux

package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// EnvBinaries names a folder with mycod and myco to test in place of fresh ones.
const EnvBinaries = "MYCO_E2E_BIN"

// Binaries are the programs under test.
type Binaries struct{ Mycod, Myco string }

// Build builds both programs into dir, or takes those in the folder that MYCO_E2E_BIN names.
func Build(ctx context.Context, dir string) (Binaries, error) {
	b := Binaries{Mycod: filepath.Join(dir, "mycod"), Myco: filepath.Join(dir, "myco")}
	if dir := os.Getenv(EnvBinaries); dir != "" {
		b = Binaries{Mycod: filepath.Join(dir, "mycod"), Myco: filepath.Join(dir, "myco")}
		_, err1 := os.Stat(b.Mycod)
		_, err2 := os.Stat(b.Myco)
		return b, errors.Join(err1, err2)
	}
	return b, build(ctx, dir, "", "")
}

// BuildNext builds both programs into dir as the next version, with a higher version of the protocol
// (see bus.Wire) and fields that others do not know. Where apart is set it no longer speaks what others
// do, nor can they read its store.
func BuildNext(ctx context.Context, dir string, apart bool) (Binaries, error) {
	b := Binaries{Mycod: filepath.Join(dir, "mycod"), Myco: filepath.Join(dir, "myco")}
	if apart {
		return b, build(ctx, dir, "-apart", "next,apart")
	}
	return b, build(ctx, dir, "-next", "next")
}

// build builds both programs into dir; suffix comes after the commit in their version.
func build(ctx context.Context, dir, suffix, tags string) error {
	root, err := Root()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-tags", tags, "-ldflags", "-X main.version="+revision(ctx, root)+suffix,
		"-o", dir+"/", "./cmd/mycod", "./cmd/myco")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build mycod and myco: %w\n%s", err, out)
	}
	return nil
}

// revision names the commit that is tested, for the figures; empty in a tree without git.
func revision(ctx context.Context, root string) string {
	// A clone may belong to another user, which git refuses unless told.
	cmd := exec.CommandContext(ctx, "git", "-c", "safe.directory=*", "describe", "--tags", "--always")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// Root finds the top of the source tree, above the working folder.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the source tree: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if up := filepath.Dir(dir); up != dir {
			dir = up
			continue
		}
		return "", errors.New("find the source tree: no go.mod above the working folder")
	}
}
