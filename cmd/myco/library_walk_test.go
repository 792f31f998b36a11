package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gabriel-vasile/mimetype"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/library"
)

// What a disk is mounted on is an empty folder while it is unplugged, and to read it all anew takes long.
func TestLibraryOfADiskThatIsUnplugged(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.librarian()
	dir := folder(t, d)
	d.myco("library", "add", "papers", dir).want(t, 0)
	must(t, os.Rename(dir, dir+" elsewhere"))
	must(t, os.Mkdir(dir, 0o700))
	d.myco("library", "update", "papers").want(t, 3, "there is nothing to read in "+dir+" at present", "3 documents, 4 passages; 0 read now, 0 gone")
	d.myco("library", "add", "empty", dir).want(t, 0, "0 documents")
	writeFile(t, filepath.Join(dir, "new.txt"), "new")
	d.myco("library", "update", "papers").want(t, 0, "1 document, 1 passage; 1 read now, 4 gone")
}

// What ends the command, or takes a file away just before it is read, says nothing of what is in the file.
func TestLibraryOfAFileThatIsNotRead(t *testing.T) {
	t.Parallel()
	l, err := library.Create(t.TempDir(), "papers")
	must(t, err)
	path := filepath.Join(t.TempDir(), "boiler.txt")
	writeFile(t, path, "The boiler was sold.")
	info, err := os.Stat(path)
	must(t, err)
	must(t, l.Put(library.Document{Path: path, Passages: []library.Passage{{Text: "The boiler was bought."}}}))
	var told bytes.Buffer
	u := &libraryUpdate{holdups: (&app{streams: streams{err: &told}, now: time.Now}).holdups(nil), l: l}
	u.begin([]work{{path: path, info: info}})
	stays := func() {
		t.Helper()
		docs, err := l.Documents()
		if err != nil || len(docs) != 1 || docs[0].Problem != "" || len(docs[0].Passages) != 1 {
			t.Errorf("kept %+v, error %v", docs, err)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("Ctrl-C")
	cancel(why)
	if err := u.take(ctx, work{path: path, info: info}); !errors.Is(err, why) {
		t.Errorf("interrupted: error %v, want %v", err, why)
	}
	stays()
	must(t, os.Remove(path))
	must(t, u.take(t.Context(), work{path: path, info: info}))
	stays()
	if want := "[1 of 1: boiler.txt, not readable: there is no file " + path + "]\n"; told.String() != want {
		t.Errorf("told %q, want %q", told.String(), want)
	}
}

// What is left out of a folder is told, so that nobody looks in vain for what a book or a table says.
func TestLibraryTellsWhatIsLeftOut(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.librarian()
	dir := folder(t, d)
	for i, name := range []string{"a.JPG", "b.jpg", "c.epub", "d.1", "e.2", "f.3", "g.4"} {
		writeFile(t, filepath.Join(dir, name), "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00"+string(rune(i)))
	}
	long, err := os.Create(filepath.Join(dir, "long.txt"))
	must(t, err)
	must(t, long.Truncate(bus.MaxDocument+1))
	must(t, long.Close())
	d.myco("library", "add", "papers", dir).want(t, 0, "[left out, for they are no PDF, DOCX, ODT, PPTX, ODP, XLSX, ODS, EPUB or text of 64 MiB at most: 2 .jpg, 1 .1, 1 .2, 1 .3, 1 .4, 1 .epub, 4 others]")
	bare := filepath.Join(d.dir, "bare")
	must(t, os.Mkdir(bare, 0o700))
	writeFile(t, filepath.Join(bare, "__init__.py"), "")
	writeFile(t, filepath.Join(bare, "notes.txt"), "")
	writeFile(t, filepath.Join(bare, "cover.jpg"), "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00")
	d.myco("library", "add", "bare", bare).want(t, 0, "of 64 MiB at most: 2 empty, 1 .jpg]", "0 documents")
	d.myco("library", "add", "one", filepath.Join(dir, "bees.md")).want(t, 0)
	if o := d.myco("library", "update", "one"); strings.Contains(o.err, "left out") {
		t.Errorf("said %q", o.err)
	}
}

// What a document is, its content says: a PDF may have lost its suffix, and a text may tell of PDFs.
func TestLibraryGoesByContent(t *testing.T) {
	t.Parallel()
	d := setup(t)
	l := d.librarian()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "invoice"), "%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
	writeFile(t, filepath.Join(dir, "notes.md"), "Its first line is %PDF-1.7.")
	writeFile(t, filepath.Join(dir, "photo"), "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00")
	d.myco("library", "add", "papers", dir).want(t, 0, "2 documents", "1 without a suffix]")
	if read, want := l.took(), []string{"invoice", "notes.md"}; !slices.Equal(read, want) {
		t.Errorf("read %q, want %q", read, want)
	}
}

// Passages are of this machine, and words need no daemon.
func TestLibrarySearchWithoutADaemon(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.librarian()
	d.myco("library", "add", "papers", folder(t, d), "-m", "m").want(t, 0)
	must(t, os.Remove(filepath.Join(d.dir, bus.DaemonFile)))
	o := d.myco("library", "search", "papers", "boiler").want(t, 0, "[without a daemon passages are found by their words alone: no daemon is running")
	if !strings.Contains(o.out, "The boiler was replaced") {
		t.Errorf("found %q", o.out)
	}
	d.myco("library", "search", "none", "boiler").want(t, 3, `there is no library "none"`)
}

// What others made, such as the modules of a program, is kept out for good, and taken out where it is in.
func TestLibraryExcludes(t *testing.T) {
	t.Parallel()
	d := setup(t)
	l := d.librarian()
	dir := folder(t, d)
	must(t, os.Mkdir(filepath.Join(dir, "node_modules"), 0o700))
	writeFile(t, filepath.Join(dir, "node_modules", "readme.md"), "of others")
	reads := func(want ...string) {
		t.Helper()
		if read := l.took(); !slices.Equal(read, want) {
			t.Errorf("read %q, want %q", read, want)
		}
	}
	d.myco("library", "add", "papers", dir, "--exclude", "[").want(t, 2, "--exclude [: ")
	d.myco("library", "add", "papers", dir, "--exclude", "node_modules/", "--exclude", "sub/*.txt", "--exclude", "bad*").want(t, 0, "2 documents, 2 passages")
	reads("bees.md", "boiler.txt")
	d.myco("library", "update", "papers").want(t, 0, "0 read now, 0 gone")
	d.myco("library", "update", "papers", "--exclude", "bees.md", "--exclude", "node_modules", "--exclude", "bad.txt").want(t, 0, "1 read now, 1 gone")
	reads("pages.txt")
	d.myco("library", "update", "papers", "--exclude", "").want(t, 0, "4 documents, 5 passages; 2 read now")
	reads("bad.txt", "bees.md", "readme.md")
	d.myco("library", "add", "one", filepath.Join(dir, "bees.md"), "--exclude", "*").want(t, 0, "1 document") // a person names it
}

// People add the folders of their projects, whose ignore files name what programs have made there.
func TestLibraryLeavesOutWhatIsIgnored(t *testing.T) {
	t.Parallel()
	d := setup(t)
	l := d.librarian()
	dir := t.TempDir()
	for name, content := range map[string]string{
		".gitignore":          "\ufeff# made here\r\n/build/\r\n*.log\r\nnode_modules\r\n!keep.log\r\n",
		".git/config.txt":     "of git",
		"a.txt":               "a",
		"a.log":               "a",
		"keep.log":            "keep",
		"build/out.txt":       "out",
		"sub/build/mine.txt":  "mine", // /build is of the folder of its file
		"sub/.gitignore":      "/drafts/*.md\n!/b.log\n",
		"sub/.ignore":         "notes.txt\n",
		"sub/b.log":           "b",
		"sub/notes.txt":       "notes",
		"sub/drafts/x.md":     "x",
		"sub/drafts/y.txt":    "y",
		"other/notes.txt":     "other notes",
		"x/node_modules/r.md": "of others",
	} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700))
		writeFile(t, filepath.Join(dir, name), content)
	}
	reads := func(want ...string) {
		t.Helper()
		read := l.took()
		slices.Sort(read)
		if !slices.Equal(read, want) {
			t.Errorf("read %q, want %q", read, want)
		}
	}
	const left = "[left out, as .gitignore and .ignore files say: 5 files or folders; --no-ignore takes that in]"
	d.myco("library", "add", "papers", dir).want(t, 0, left, "6 documents")
	reads("a.txt", "b.log", "keep.log", "mine.txt", "notes.txt", "y.txt")
	if o := d.myco("library", "update", "papers", "--no-ignore").want(t, 0, "11 documents", "5 read now"); strings.Contains(o.err, ".gitignore") {
		t.Errorf("said %q", o.err)
	}
	reads("a.log", "notes.txt", "out.txt", "r.md", "x.md")
	d.myco("library", "update", "papers").want(t, 0, "0 read now, 0 gone")
	d.myco("library", "update", "papers", "--ignore").want(t, 0, left, "0 read now, 5 gone")
}

// Documents of offices are taken in, and are told in words that people use.
func TestKindsOfDocuments(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"report.docx": "", "report.odt": "", "report.epub": "", "budget.xlsx": "XLSX, 2 pages", "budget.ods": "ODS, 2 pages", "talk.pptx": "PPTX, 2 slides", "talk.odp": "ODP, 2 slides"} {
		path := filepath.Join("..", "..", "handlers", "file", "testdata", name)
		if is, err := document(path); err != nil || !is {
			t.Errorf("%s is a document: %v, error %v", name, is, err)
		}
		is, err := mimetype.DetectFile(path)
		must(t, err)
		got := fileView{File: name, FileResult: &bus.FileResult{Kind: is.String(), Pages: 2, PagesEmpty: []int{1}, Words: 1}}.footer()
		page := strings.TrimSuffix(want[strings.LastIndex(want, " ")+1:], "s")
		if want != "" && got != "-- "+name+", "+want+", 1 word, 1 "+page+" without text, 0s" {
			t.Errorf("%s: footer %q, want %s", name, got, want)
		}
	}
}
