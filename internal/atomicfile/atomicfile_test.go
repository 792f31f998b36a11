package atomicfile_test

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/mycoswarm/mycoswarm/internal/atomicfile"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// names lists what a folder holds.
func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	check(t, err)
	for _, f := range files {
		all = append(all, f.Name())
	}
	return all
}

func TestWrite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "one [1]")
	for _, want := range []string{"first", "second, and longer", "3"} {
		check(t, atomicfile.Write(path, []byte(want)))
		got, err := os.ReadFile(path)
		check(t, err)
		if string(got) != want {
			t.Errorf("the file holds %q, want %q", got, want)
		}
	}
	if got := names(t, dir); !slices.Equal(got, []string{"one [1]"}) {
		t.Errorf("the folder holds %q, want the file alone", got)
	}
	info, err := os.Stat(path)
	check(t, err)
	if mode := info.Mode().Perm(); mode != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("mode %#o, want 0600", mode)
	}
}

// TestReadersSeeAWhole has readers look while the file is replaced.
func TestReadersSeeAWhole(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	kinds := [][]byte{bytes.Repeat([]byte("a"), 300<<10), bytes.Repeat([]byte("b"), 200<<10)}
	check(t, atomicfile.Write(path, kinds[0]))
	var readers sync.WaitGroup
	end := make(chan struct{})
	readers.Go(func() {
		for {
			select {
			case <-end:
				return
			default:
			}
			b, err := atomicfile.Read(path)
			if err != nil || !bytes.Equal(b, kinds[0]) && !bytes.Equal(b, kinds[1]) {
				t.Errorf("read %d bytes that are no version of the file, error %v", len(b), err)
				return
			}
		}
	})
	for i := range 40 {
		if err := atomicfile.Write(path, kinds[(i+1)%2]); err != nil {
			t.Error(err)
		}
	}
	close(end)
	readers.Wait()
}

func TestFailedWriteLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "folder")
	check(t, os.MkdirAll(filepath.Join(path, "full"), 0o700))
	if err := atomicfile.Write(path, []byte("x")); err == nil {
		t.Error("a folder was replaced")
	}
	if got := names(t, dir); !slices.Equal(got, []string{"folder"}) {
		t.Errorf("the folder holds %q, want only what was there", got)
	}
	if err := atomicfile.Write(filepath.Join(dir, "none", "file"), nil); !os.IsNotExist(err) {
		t.Errorf("in a folder that is not there: error %v, want that it is not", err)
	}
}

// The room of another file is taken, whether it was shorter or longer.
func TestOver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, last := filepath.Join(dir, "file"), filepath.Join(dir, "last")
	if err := atomicfile.Over(last, path, []byte("x")); !os.IsNotExist(err) {
		t.Errorf("over a file that is not there: error %v, want that it is not", err)
	}
	for _, old := range []string{"", "a", "much longer than what comes"} {
		check(t, os.WriteFile(last, []byte(old), 0o600))
		check(t, atomicfile.Over(last, path, []byte("new")))
		if b, err := os.ReadFile(path); err != nil || string(b) != "new" {
			t.Errorf("over %q there is %q, %v", old, b, err)
		}
		if got := names(t, dir); !slices.Equal(got, []string{"file"}) {
			t.Errorf("the folder holds %q, want only the file", got)
		}
	}
}

func TestClean(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	keep := []string{".other.1", ".term", "term", "terms"}
	for _, name := range append([]string{".term.1", ".term.234"}, keep...) {
		check(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	check(t, atomicfile.Clean(filepath.Join(dir, "term")))
	if got := names(t, dir); !slices.Equal(got, keep) {
		t.Errorf("left %q, want %q", got, keep)
	}
	if err := atomicfile.Clean(filepath.Join(dir, "none", "file")); !os.IsNotExist(err) {
		t.Errorf("in a folder that is not there: error %v, want that it is not", err)
	}
}
