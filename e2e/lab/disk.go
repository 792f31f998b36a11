//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Mount puts a file system into dir, which is made, until the test ends. what are mount's
// arguments but for dir.
func Mount(t testing.TB, dir string, what ...string) (unmount func()) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), "mount", append(what, dir)...); err != nil {
		t.Fatal(err)
	}
	mounted := true
	unmount = func() {
		if mounted {
			mounted = false
			if err := run(context.WithoutCancel(t.Context()), "umount", dir); err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(unmount)
	return unmount
}

// Image makes a file of size MiB with an ext4 file system in it, to be mounted with
// Mount(t, dir, "-o", "loop", file).
func Image(t testing.TB, file string, size int64) {
	t.Helper()
	f, err := os.Create(file)
	if err == nil {
		err = errors.Join(f.Truncate(size<<20), f.Close())
	}
	if err == nil {
		err = run(t.Context(), "mkfs.ext4", "-q", file)
	}
	if err != nil {
		t.Fatalf("make a disk: %v", err)
	}
}

// CopyImage copies a disk as it is at this moment: what was written to a file system on it and
// not synced is not there, as after a loss of power.
func CopyImage(t testing.TB, from, to string) {
	t.Helper()
	if err := run(t.Context(), "cp", "--sparse=always", from, to); err != nil {
		t.Fatal(err)
	}
}

// Blocks lists the files of messages in a node's data directory whose stream's name begins with
// prefix, the largest first.
func Blocks(t testing.TB, data, prefix string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(data, "store", "jetstream", "*", "streams", prefix+"*", "msgs", "*.blk"))
	if err != nil {
		t.Fatal(err)
	}
	size := func(name string) int64 {
		st, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		return st.Size()
	}
	slices.SortFunc(all, func(a, b string) int { return int(size(b) - size(a)) })
	return all
}

// Damage spoils a file: it flips a bit in its middle, or cuts it short there.
func Damage(t testing.TB, file string, cut bool) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil || len(b) < 2 {
		t.Fatalf("damage %s, of %d bytes: %v", file, len(b), err)
	}
	if cut {
		b = b[:len(b)/2]
	} else {
		b[len(b)/2] ^= 1
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func run(ctx context.Context, name string, args ...string) error {
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
