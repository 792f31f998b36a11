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
	"sync"

	"github.com/mycoswarm/mycoswarm/internal/protect"
)

// EnvBinaries names a folder with mycod and myco to test in place of fresh ones.
const EnvBinaries = "MYCO_E2E_BIN"

// Binaries are the programs under test.
type Binaries struct{ Mycod, Myco string }

// Build builds both programs into dir, or takes those in the folder that MYCO_E2E_BIN names.
// Where MYCO_WITHOUT is set, mycod is one that heeds it.
func Build(ctx context.Context, dir string) (Binaries, error) {
	if named := os.Getenv(EnvBinaries); named != "" {
		dir = named
		if _, err := os.Stat(filepath.Join(dir, "myco")); err != nil {
			return Binaries{}, err
		}
	} else if err := build(ctx, dir+"/", "", "", "./cmd/mycod", "./cmd/myco"); err != nil {
		return Binaries{}, err
	}
	b := Binaries{Mycod: filepath.Join(dir, "mycod"), Myco: filepath.Join(dir, "myco")}
	if os.Getenv(protect.Env) != "" {
		return b, b.Lab(ctx)
	}
	_, err := os.Stat(b.Mycod)
	return b, err
}

// labBuild is held while the lab's mycod is built: tests run side by side.
var labBuild sync.Mutex

// Lab makes b's mycod one whose protections can be taken out. It is built beside the other, unless
// it is there and not older than that.
func (b *Binaries) Lab(ctx context.Context) error {
	labBuild.Lock()
	defer labBuild.Unlock()
	normal, err := os.Stat(b.Mycod)
	if err != nil {
		return err
	}
	b.Mycod = filepath.Join(filepath.Dir(b.Mycod), "mycod-lab")
	if lab, err := os.Stat(b.Mycod); err == nil && !lab.ModTime().Before(normal.ModTime()) {
		return nil
	}
	return build(ctx, b.Mycod, "", "lab", "./cmd/mycod")
}

// BuildNext builds both programs into dir as the next version, with a higher version of the protocol
// (see bus.Wire) and fields that others do not know. Where apart is set it no longer speaks what others
// do, nor can they read its store.
func BuildNext(ctx context.Context, dir string, apart bool) (Binaries, error) {
	b := Binaries{Mycod: filepath.Join(dir, "mycod"), Myco: filepath.Join(dir, "myco")}
	suffix, tags := "-next", "next"
	if apart {
		suffix, tags = "-apart", "next,apart"
	}
	return b, build(ctx, dir+"/", suffix, tags, "./cmd/mycod", "./cmd/myco")
}

// build runs `go build` of the tree; suffix comes after the commit in the programs' version.
func build(ctx context.Context, to, suffix, tags string, programs ...string) error {
	root, err := Root()
	if err != nil {
		return err
	}
	args := []string{"build", "-tags", tags, "-ldflags", "-X main.version=" + Revision(ctx, root) + suffix, "-o", to}
	cmd := exec.CommandContext(ctx, "go", append(args, programs...)...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the programs: %w\n%s", err, out)
	}
	return nil
}

// Revision names the commit that is tested, for the figures; empty in a tree without git.
func Revision(ctx context.Context, root string) string {
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
