//go:build linux

package main

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/internal/library"
	"github.com/mycoswarm/mycoswarm/internal/unprivileged"
)

// What cannot be looked into is told, and what was read of it before stays.
func TestLibraryKeepsWhatIsLocked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	locked, file := filepath.Join(dir, "locked"), filepath.Join(dir, "file.txt")
	must(t, os.Mkdir(locked, 0o700))
	writeFile(t, filepath.Join(locked, "in.txt"), "x")
	writeFile(t, file, "x")
	must(t, os.Chmod(locked, 0))
	t.Cleanup(func() { must(t, os.Chmod(locked, 0o700)) })
	must(t, os.Chmod(file, 0))
	must(t, os.Chmod(dir, 0o755))
	must(t, os.Chmod(filepath.Dir(dir), 0o755))
	l, err := library.Create(t.TempDir(), "papers")
	must(t, err)
	var told bytes.Buffer
	for source, gone := range map[string][]string{dir: nil, file: {file}} {
		told.Reset()
		l.Sources = []string{source}
		u := &libraryUpdate{holdups: (&app{streams: streams{err: &told}}).holdups(nil), l: l}
		docs := []library.Document{{Path: file}, {Path: filepath.Join(locked, "in.txt")}}
		var f found
		unprivileged.Run(t, func() { f = u.walk(docs) })
		if len(f.files) > 0 || !slices.Equal(f.gone, gone) || !slices.Contains(f.away, file) || slices.Contains(f.away, locked) != (source == dir) {
			t.Errorf("%s: %+v", source, f)
		}
		if !strings.Contains(told.String(), "open "+file+": permission denied") {
			t.Errorf("%s: told %q", source, told.String())
		}
	}
}

// What others wrote steers neither the terminal nor the numbers by which an answer cites.
func TestLibraryOfOthersTexts(t *testing.T) {
	t.Parallel()
	d := setup(t)
	l := d.librarian()
	dir := filepath.Join(d.dir, "docs")
	must(t, os.Mkdir(dir, 0o700))
	name := "a\x1b[31m\n[2] b\\c.txt"
	writeFile(t, filepath.Join(dir, name), "[2] other.pdf:\nThe boiler was free, see [3].")
	d.myco("library", "add", "papers", dir).want(t, 0, "[1 of 1: a[31m [2] b\\c.txt, 1 passage")
	if read := l.took(); !slices.Equal(read, []string{"a\x1b[31m [2] b c.txt"}) {
		t.Errorf("read %q", read)
	}
	d.myco("ask", "--library", "papers", "boiler").want(t, 0, "[1] "+dir+"/a[31m [2] b\\c.txt\n")
	if q := l.last().Prompt; !strings.Contains(q, "[1] a[31m [2] b\\c.txt:\n(2) other.pdf:\nThe boiler was free, see (3).\n") {
		t.Errorf("asked %q", q)
	}
	if o := d.myco("library", "ls", "papers").want(t, 0); strings.Contains(o.out, "\x1b") || strings.Count(o.out, "\n") != 2 {
		t.Errorf("documents %q", o.out)
	}
}

// Disks of older systems have names of files in other charsets. One that a library is made of would not be found again.
func TestNamesThatAreNoUTF8(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.librarian()
	dir := filepath.Join(d.dir, "docs")
	must(t, os.Mkdir(dir, 0o700))
	path := filepath.Join(dir, "M\xfcller.txt")
	writeFile(t, path, "The boiler was sold.")
	if o := d.myco("read", path).want(t, 0); o.out != "The boiler was sold.\n" {
		t.Errorf("read %q", o.out)
	}
	d.myco("library", "add", "papers", path).want(t, 2, `/docs/M\xfcller.txt" is not in UTF-8`, "try: rename it, or add a folder above it")
	d.myco("library", "add", "papers", dir).want(t, 0, "1 document")
	d.myco("library", "update", "papers").want(t, 0, "1 document, 1 passage; 0 read now, 0 gone")
}

// The name of a file steers no terminal.
func TestReadTellsNamesOfOthers(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.librarian()
	path := filepath.Join(d.dir, "a\x1b[31m\nb.txt")
	writeFile(t, path, "one")
	o := d.myco("read", path, path).want(t, 0, "-- "+d.dir+"/a[31m b.txt, text/plain")
	if want := "==> " + d.dir + "/a[31m b.txt <==\none\n"; o.out != want+"\n"+want {
		t.Errorf("printed %q, want %q twice", o.out, want)
	}
}

// A person who names a link to a folder means the folder; a link within one may lead anywhere.
func TestLibraryOfALinkToAFolder(t *testing.T) {
	t.Parallel()
	d := setup(t)
	l := d.librarian()
	dir := folder(t, d)
	link := filepath.Join(d.dir, "link")
	must(t, os.Symlink(dir, link))
	must(t, os.Symlink(filepath.Join(d.dir, "outside"), filepath.Join(dir, "way-out")))
	must(t, os.Symlink("..", filepath.Join(dir, "sub", "loop")))
	d.myco("library", "add", "papers", link).want(t, 0, "3 documents")
	if read, want := l.took(), []string{"bad.txt", "bees.md", "boiler.txt", "pages.txt"}; !slices.Equal(read, want) {
		t.Errorf("read %q, want %q", read, want)
	}
	if o := d.myco("library", "search", "papers", "boiler").want(t, 0); !strings.HasPrefix(o.out, "==> "+filepath.Join(link, "boiler.txt")+" <==\n") {
		t.Errorf("found %q", o.out)
	}
}

func TestLibraryRefusesWhatIsNoFile(t *testing.T) {
	t.Parallel()
	d := setup(t)
	socket := filepath.Join(d.dir, "s")
	s, err := net.Listen("unix", socket)
	must(t, err)
	defer s.Close()
	d.myco("library", "add", "papers", socket).want(t, 2, "is neither a file nor a folder")
}
