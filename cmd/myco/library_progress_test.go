package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/mycoswarm/mycoswarm/internal/library"
)

// With --json an update is one object, which says what is missing of it.
func TestLibraryUpdateIsOneObject(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.librarian()
	dir := folder(t, d)
	d.myco("library", "add", "papers", dir).want(t, 0)
	if o := d.myco("--json", "library", "update", "papers").want(t, 0); strings.Contains(o.out, `"error"`) || strings.Count(o.out, "\n") != 1 {
		t.Errorf("printed %s", o.out)
	}
	must(t, os.Rename(dir, dir+".away"))
	o := d.myco("--json", "library", "update", "papers").want(t, 3, "myco: there is nothing to read in "+dir, "  try: myco library rm papers")
	if strings.Count(o.out, "\n") != 1 || !strings.Contains(o.out, `"name":"papers"`) || !strings.Contains(o.out, `"error":{"code":"not_found"`) {
		t.Errorf("printed %s", o.out)
	}
}

// In a person's terminal a folder of many documents is one line, and at its end what went wrong, by its kind.
func TestLibraryProgressInATerminal(t *testing.T) {
	t.Parallel()
	d := setup(t)
	l := d.librarian()
	l.do(func() { l.poison = "poison" })
	dir := t.TempDir()
	for i := range 20 {
		writeFile(t, filepath.Join(dir, fmt.Sprintf("%02d.txt", i)), "a text")
	}
	for _, name := range []string{"a", "b", "c", "d"} {
		writeFile(t, filepath.Join(dir, name+".txt"), "poison")
	}
	writeFile(t, filepath.Join(dir, "bad.txt"), "bad")
	papers, err := library.Create(filepath.Join(d.dir, "mycoswarm", "libraries"), "papers")
	must(t, err)
	papers.Sources = []string{dir}
	var out bytes.Buffer
	var looks atomic.Int64 // at a clock that goes on for a second with each
	a := &app{
		streams: streams{err: &out, interactive: true, columns: func() int { return 40 }}, view: newView(&out, nil, false), dataDir: d.dir,
		now: func() time.Time { return time.Unix(looks.Add(1), 0) },
	}
	if err := a.updateLibrary(t.Context(), papers, "m"); err == nil || !strings.Contains(err.Error(), "4 documents with passages to be found by words alone") {
		t.Errorf("error %v", err)
	}
	progress, end, _ := strings.Cut(out.String(), "[4 documents")
	want := `, no vectors of 1 passage: the engine choked: a.txt, b.txt, c.txt and 1 more]
[1 document, not readable: it is broken: bad.txt]
the library papers: 24 documents, 24 passages; 24 read now, 0 gone, 1 not readable
  try: myco ask --library papers QUESTION
`
	if end != want {
		t.Errorf("at the end %q, want %q", end, want)
	}
	lines := strings.Split(progress, "\r"+ansi.EraseEntireLine)
	if last := lines[len(lines)-1]; last != "" || strings.Contains(progress, "\n") || !strings.Contains(progress, "[24 of 25, ") || !strings.Contains(progress, " left: ") {
		t.Errorf("progress %q", progress)
	}
	for _, line := range lines {
		if ansi.StringWidth(line) > 40 {
			t.Errorf("%q is longer than the terminal", line)
		}
	}
}
