package main

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/library"
)

// writeBook writes a book of so many pages, each a passage.
func writeBook(t *testing.T, path string, pages int) {
	t.Helper()
	var book strings.Builder
	for i := range pages {
		fmt.Fprintf(&book, "[page %d]\n\npage %d of the book\n\n", i+1, i+1)
	}
	writeFile(t, path, book.String())
}

// vectorsOf counts the vectors that are kept in d's library papers.
func vectorsOf(t *testing.T, d *daemon) (vectors int) {
	t.Helper()
	papers, err := library.Open(filepath.Join(d.dir, "mycoswarm", "libraries"), "papers")
	must(t, err)
	docs, err := papers.Documents()
	must(t, err)
	for _, doc := range docs {
		for _, p := range doc.Passages {
			vectors += min(len(p.Vector), 1)
		}
	}
	return vectors
}

// The vectors of a long document are kept as they are made, and whatever ends the command, the next goes on there.
func TestLibraryGoesOnWithinADocument(t *testing.T) {
	t.Parallel()
	d := setup(t)
	l := d.librarian()
	dir := folder(t, d)
	book := filepath.Join(dir, "sub", "pages.txt")
	writeBook(t, book, 3000)
	kept := func() int { return vectorsOf(t, d) }
	l.do(func() { l.embed = func() { l.gone = len(l.embeds) > 2000 } })
	d.myco("library", "add", "papers", book, "-m", "m").want(t, 3, "no node of the swarm has model", "try: myco library update papers, once a node has the model")
	made := 0
	l.do(func() { made, l.embeds, l.embed, l.gone = len(l.embeds)-1, nil, nil, false }) // the first asked whether there is such a model
	atEnd := kept()
	if atEnd < made-(embedTasks-1)*embedsAtOnce { // what was under way beside is given up
		t.Errorf("%d vectors of %d were kept at the end", atEnd, made)
	}
	if read := l.took(); len(read) != 1 {
		t.Errorf("read %q", read)
	}
	d.myco("library", "search", "papers", "page 2999").want(t, 0)
	l.do(func() { l.embeds = nil })
	d.myco("library", "update", "papers").want(t, 0, "[1 of 1: pages.txt, 3000 passages, vectors by tower]", "1 document, 3000 passages; 0 read now, 1 given vectors")
	l.do(func() {
		if again := len(l.embeds); again != 3000-atEnd+1 { // and the one that measures
			t.Errorf("%d vectors were made, where %d of 3000 were kept", again, atEnd)
		}
	})
	if read := l.took(); len(read) > 0 || kept() != 3000 {
		t.Errorf("read %q, and kept %d", read, kept())
	}
}

// What ends without warning, for want of power or memory, loses what was made in a few seconds.
func TestLibraryKeepsVectorsInSteps(t *testing.T) {
	t.Parallel()
	d := setup(t)
	l := d.librarian()
	book := filepath.Join(folder(t, d), "sub", "pages.txt")
	writeBook(t, book, 1000)
	papers, err := library.Create(filepath.Join(d.dir, "mycoswarm", "libraries"), "papers")
	must(t, err)
	papers.Sources = []string{book}
	var looks atomic.Int64 // at a clock that goes on for some time with each
	a := &app{streams: streams{err: io.Discard}, view: newView(io.Discard, nil, false), dataDir: d.dir, now: func() time.Time { return time.Unix(looks.Add(1)*int64(keptEvery/time.Second), 0) }}
	l.do(func() {
		l.embed = func() {
			if made := len(l.embeds); made > 512 && vectorsOf(t, d) == 0 {
				t.Errorf("of %d vectors none is kept", made)
			}
		}
	})
	must(t, a.updateLibrary(t.Context(), papers, "m"))
	if n := vectorsOf(t, d); n != 1000 {
		t.Errorf("%d vectors", n)
	}
}

// Under the name of a library's model there may be another one by now, whose vectors have other numbers.
func TestLibraryOfAModelThatWasReplaced(t *testing.T) {
	t.Parallel()
	d := setup(t)
	l := d.librarian()
	dir := folder(t, d)
	const tells = "another model was called m:latest when it made vectors of the library papers: 3 of its 3 documents are found by their words alone]\n  try: myco library update papers\n"
	d.myco("library", "add", "papers", dir, "-m", "m").want(t, 0)
	l.do(func() { l.more = 5 })
	l.took()
	d.myco("library", "search", "papers", "euros").want(t, 0, tells)
	d.myco("ask", "--library", "papers", "euros").want(t, 0, tells)
	d.myco("library", "update", "papers").want(t, 0, "boiler.txt, 1 passage, vectors by tower]", "0 read now, 3 given vectors, 0 gone")
	if o := d.myco("library", "search", "papers", "heating").want(t, 0); strings.Contains(o.err, "another model") || !strings.Contains(o.out, "boiler") {
		t.Errorf("found %q, said %q", o.out, o.err)
	}
	if read := l.took(); len(read) > 0 {
		t.Errorf("read %q", read)
	}
	d.myco("library", "update", "papers").want(t, 0, "0 read now, 0 gone")
	l.do(func() { l.gone = true })
	d.myco("library", "update", "papers").want(t, 0, "0 read now, 0 gone") // it is not needed
}

// A model of the same name may have as many numbers in a vector, which are of no use beside those of another.
func TestLibraryOfAModelOfAnotherDigest(t *testing.T) {
	t.Parallel()
	d := setup(t)
	l := d.librarian()
	is := func(digest string) func() { return func() { l.digest = func(bus.Task) string { return digest } } }
	dir := folder(t, d)
	const tells = "another model was called m:latest when it made vectors of the library papers: 3 of its 3 documents are found by their words alone]"
	d.myco("library", "add", "papers", dir, "-m", "m").want(t, 0) // nobody told the digest
	l.do(is("old"))
	d.myco("library", "update", "papers").want(t, 0, "0 read now, 0 gone")
	d.myco("library", "update", "papers", "-m", "n").want(t, 0, "0 read now, 3 given vectors")
	d.myco("library", "update", "papers", "-m", "m").want(t, 0, "0 read now, 3 given vectors")
	d.myco("library", "update", "papers").want(t, 0, "0 read now, 0 gone")
	l.do(is(""))
	if o := d.myco("library", "search", "papers", "heating").want(t, 0); strings.Contains(o.err, "another model") {
		t.Errorf("said %q", o.err)
	}
	l.do(is("new"))
	d.myco("library", "search", "papers", "euros").want(t, 0, tells)
	d.myco("library", "update", "papers").want(t, 0, "0 read now, 3 given vectors, 0 gone")
	if o := d.myco("library", "search", "papers", "heating").want(t, 0); strings.Contains(o.err, "another model") || !strings.Contains(o.out, "boiler") {
		t.Errorf("found %q, said %q", o.out, o.err)
	}
}

// Where nodes have different models of one name, a library stays with the one that it began with, as long as there is one.
func TestLibraryOfAModelThatDiffersBetweenNodes(t *testing.T) {
	t.Parallel()
	d := setup(t)
	l := d.librarian()
	with := slices.Clone(nodes)
	with[1].Embedders = []bus.ModelInfo{{Name: "m:latest", Digest: "old"}}
	d.nodes.Store(&with)
	elsewhere := "old"
	l.do(func() {
		l.digest = func(task bus.Task) string {
			if task.Node == other {
				return "old"
			}
			return elsewhere
		}
	})
	dir := folder(t, d)
	d.myco("library", "add", "papers", filepath.Join(dir, "bees.md"), "-m", "m").want(t, 0)
	l.do(func() { elsewhere = "new" })
	d.myco("library", "add", "papers", dir).want(t, 0, "2 read now, 0 gone")
	if o := d.myco("library", "search", "papers", "heating").want(t, 0); strings.Contains(o.err, "another model") {
		t.Errorf("said %q", o.err)
	}
	d.nodes.Store(&nodes) // none has the old one by now
	d.myco("library", "update", "papers").want(t, 0, "0 read now, 3 given vectors, 0 gone")
}
