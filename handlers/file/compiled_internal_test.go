package file

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
)

// shelf is a folder of what was compiled, and who uses it.
type shelf struct {
	t *testing.T
	c compiled
}

func newShelf(t *testing.T) *shelf {
	s := &shelf{t, compiled{dir: t.TempDir()}}
	t.Cleanup(func() {
		if err := s.c.close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// put writes a file as wazero does, of that age.
func (s *shelf) put(name string, age time.Duration) {
	s.t.Helper()
	path := filepath.Join(s.c.dir, name)
	err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte("x"), 0o600),
		os.Chtimes(path, time.Now(), time.Now().Add(-age)))
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *shelf) names() []string {
	var out []string
	for path := range s.c.files() {
		name, err := filepath.Rel(s.c.dir, path)
		if err != nil {
			s.t.Fatal(err)
		}
		out = append(out, filepath.ToSlash(name))
	}
	slices.Sort(out)
	return out
}

// What another version compiled goes when this one has; what a process writes at present stays.
func TestCompiledIsKeptOnce(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.put("wazero-1/a", time.Hour)
	s.put("wazero-1/a.1.tmp", time.Hour) // its process was ended in the midst of it
	s.put("wazero-2/b.2.tmp", 0)
	start := func(name string) func(wazero.CompilationCache) error {
		return func(wazero.CompilationCache) error {
			if name != "" {
				s.put(name, 0)
			}
			return nil
		}
	}
	for _, c := range []struct {
		makes string
		want  []string
	}{
		{"", []string{"wazero-1/a", "wazero-1/a.1.tmp", "wazero-2/b.2.tmp"}}, // it was used as it is
		{"wazero-2/b.3.tmp", []string{"wazero-1/a", "wazero-1/a.1.tmp", "wazero-2/b.2.tmp", "wazero-2/b.3.tmp"}},
		{"wazero-2/b", []string{"wazero-2/b", "wazero-2/b.2.tmp", "wazero-2/b.3.tmp"}},
		{"wazero-2/b", []string{"wazero-2/b", "wazero-2/b.2.tmp", "wazero-2/b.3.tmp"}},
	} {
		if err := s.c.use(t.Context(), start(c.makes)); err != nil {
			t.Error(err)
		}
		if got := s.names(); !slices.Equal(got, c.want) {
			t.Errorf("after %q was made: %v, want %v", c.makes, got, c.want)
		}
	}
}

// What does not start is made anew, at last without the folder; whoever leaves is not kept for that.
func TestCompiledDoesNotStart(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, starts := range []int{1, 2, 3, 4} {
		s := newShelf(t)
		s.put("wazero-1/a", 0)
		tries := 0
		err := s.c.use(t.Context(), func(wazero.CompilationCache) error {
			if tries++; tries < starts {
				return broken
			}
			return nil
		})
		if tries != min(starts, 3) || errors.Is(err, broken) != (starts == 4) {
			t.Errorf("it starts at try %d: %v after %d", starts, err, tries)
		}
		if kept := len(s.names()) > 0; kept != (starts == 1) {
			t.Errorf("it starts at try %d, and what was there is kept: %v", starts, kept)
		}
	}
	s := newShelf(t)
	ctx, leave := context.WithCancel(t.Context())
	tries := 0
	err := s.c.use(ctx, func(wazero.CompilationCache) error {
		tries++
		leave()
		return broken
	})
	if tries != 1 || !errors.Is(err, broken) {
		t.Errorf("whoever left: %v after %d tries", err, tries)
	}
}
