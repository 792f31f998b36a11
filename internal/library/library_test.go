package library_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/internal/filelock"
	"github.com/mycoswarm/mycoswarm/internal/library"
)

func document(path string, texts ...string) library.Document {
	d := library.Document{Version: 1, Path: path, Size: 7, ModTime: time.Date(2026, 5, 1, 12, 0, 0, 5, time.UTC), Model: "m:latest", Kind: "text/plain", Title: "T"}
	for i, t := range texts {
		d.Passages = append(d.Passages, library.Passage{Page: i + 1, Text: t, Vector: []float32{1, 0.5, float32(i)}})
	}
	return d
}

// What is put is found by whoever opens the library next, and what is dropped is not.
func TestDocumentsStay(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "[mine] {1}") // is no pattern
	if _, err := library.Open(dir, "papers"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a library that is not there: %v", err)
	}
	l, err := library.Create(dir, "papers")
	if err != nil {
		t.Fatal(err)
	}
	if all, problems := library.List(dir); len(all)+len(problems) > 0 {
		t.Errorf("before it is saved: %v, %v", all, problems)
	}
	l.Model, l.Sources = "m:latest", []string{"/a"}
	a, b := document("/a/one.txt", "first", "second"), document("/a/two.txt")
	a2 := document("/a/one.txt", "anew")
	for _, err := range []error{l.Save(), l.Put(a), l.Put(b), l.Put(a2)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	again, err := library.Open(dir, "papers")
	if err != nil || !reflect.DeepEqual(again, l) {
		t.Errorf("opened %+v, %v; want %+v", again, err, l)
	}
	if docs, err := again.Documents(); err != nil || !reflect.DeepEqual(docs, []library.Document{a2, b}) {
		t.Errorf("documents %+v, %v", docs, err)
	}
	if err := errors.Join(again.Drop("/a/one.txt"), again.Drop("/a/one.txt")); err != nil {
		t.Error(err)
	}
	if docs, err := l.Documents(); err != nil || len(docs) != 1 {
		t.Errorf("documents %+v, %v", docs, err)
	}
	if err := library.Remove(dir, "papers"); err != nil {
		t.Error(err)
	}
	if all, problems := library.List(dir); len(all)+len(problems) > 0 {
		t.Errorf("once it is deleted: %v, %v", all, problems)
	}
}

// A file that is damaged is as if it was not there, for it is made anew; a library that is of another version says so.
func TestDamage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, err := library.Create(dir, "papers")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.Save(), l.Put(document("/one", "first")), l.Put(document("/two", "second"))); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "papers", "*.doc"))
	if err != nil || len(files) != 2 {
		t.Fatalf("%v, %v", files, err)
	}
	whole, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(files[0], whole[:len(whole)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	if docs, err := l.Documents(); err != nil || len(docs) != 1 {
		t.Errorf("documents %+v, %v", docs, err)
	}
	for _, meta := range []string{`{`, `{"version":2}`} {
		if err := os.WriteFile(filepath.Join(dir, "papers", "library.json"), []byte(meta), 0o600); err != nil {
			t.Fatal(err)
		}
		if all, problems := library.List(dir); len(all) > 0 || len(problems) != 1 {
			t.Errorf("%s: %v, %v", meta, all, problems)
		}
	}
	if err := errors.Join(library.Remove(dir, "papers"), library.Remove(dir, "papers")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("deleted twice: %v", err)
	}
}

// Two that change a library would each write sources without those of the other.
func TestHold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	release, err := library.Hold(dir, "papers")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := library.Hold(dir, "papers"); !errors.Is(err, filelock.ErrLocked) {
		t.Errorf("twice: %v", err)
	}
	other, err := library.Hold(dir, "letters")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(other(), release()); err != nil {
		t.Error(err)
	}
	if release, err = library.Hold(dir, "papers"); err != nil || release() != nil {
		t.Errorf("once it is released: %v", err)
	}
	if all, problems := library.List(dir); len(all)+len(problems) > 0 {
		t.Errorf("a lock is no library: %v, %v", all, problems)
	}
}

// A name is a folder, and never a way out of it.
func TestNames(t *testing.T) {
	t.Parallel()
	for _, called := range []string{"", ".", "..", "../x", "a/b", `a\b`, "A", "-a", ".a", "a\x00"} {
		if _, err := library.Create(t.TempDir(), called); !errors.Is(err, library.ErrName) {
			t.Errorf("%q: %v", called, err)
		}
	}
}

func TestUnder(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		path, source string
		want         bool
	}{
		{"/a/b", "/a", true}, {"/a", "/a", true}, {"/ab", "/a", false}, {"/a/..b", "/a", true}, {"/", "/a", false}, {"/b/a", "/a", false},
	} {
		if got := library.Under(filepath.FromSlash(tt.path), filepath.FromSlash(tt.source)); got != tt.want {
			t.Errorf("%s under %s: %v", tt.path, tt.source, got)
		}
	}
}

func TestExcludes(t *testing.T) {
	t.Parallel()
	m := library.Meta{Exclude: []string{"node_modules", "*.log", "drafts/old*", "[broken"}}
	for rel, want := range map[string]bool{
		"node_modules": true, "web/node_modules": true, "a/b/c.log": true, "c.log": true, "drafts/old 1.txt": true,
		"node_modules.txt": false, "log": false, "other/drafts/old": false, "drafts": false, "drafts/older/new.txt": false,
	} {
		if got := m.Excludes(rel); got != want {
			t.Errorf("%s: %v, want %v", rel, got, want)
		}
	}
}
