package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gabriel-vasile/mimetype"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/library"
)

// sniffed is how much of a file tells what it is.
const sniffed = 3072

// found is what there is in the sources of a library.
type found struct {
	files map[string]fs.FileInfo // documents
	// gone are the sources that are not there, and away what cannot be looked into, they among it: what was read of
	// it before stays, for a disk may be unplugged.
	gone, away []string
	left       map[string]string // what is not taken in, with what it is
	ignored    int               // files and folders that an ignore file names
}

// walk looks for documents in all sources.
func (u *libraryUpdate) walk(docs []library.Document) found {
	f := found{files: map[string]fs.FileInfo{}, left: map[string]string{}}
	for _, source := range u.l.Sources {
		switch entries, err := u.walkSource(&f, source); {
		case err != nil:
			f.gone = append(f.gone, source)
			if !errors.Is(err, fs.ErrNotExist) {
				u.hint("%v", err)
			}
		case entries == 0 && slices.ContainsFunc(docs, func(d library.Document) bool { return library.Under(d.Path, source) }):
			f.gone = append(f.gone, source) // what a disk is mounted on is an empty folder without it
		}
	}
	f.away = append(f.away, f.gone...)
	if f.ignored > 0 {
		what := "1 file or folder"
		if f.ignored > 1 {
			what = fmt.Sprintf("%d files or folders", f.ignored)
		}
		u.hint("[left out, as %s files say: %s; --no-ignore takes that in]", strings.Join(ignoreFiles, " and "), what)
	}
	if len(f.left) > 0 {
		u.hint("[left out, for they are no PDF, DOCX, ODT, PPTX, ODP, XLSX, ODS, EPUB or text of %d MiB at most: %s]", bus.MaxDocument>>20, tally(slices.Collect(maps.Values(f.left))))
	}
	return f
}

// tally counts what there is of each kind, the most frequent ones first.
func tally(kinds []string) string {
	const told = 6
	times := map[string]int{}
	for _, k := range kinds {
		times[k]++
	}
	order := slices.SortedFunc(maps.Keys(times), func(a, b string) int { return cmp.Or(cmp.Compare(times[b], times[a]), cmp.Compare(a, b)) })
	var parts []string
	rest := len(kinds)
	for _, k := range order[:min(len(order), told)] {
		parts = append(parts, fmt.Sprintf("%d %s", times[k], k))
		rest -= times[k]
	}
	if rest > 0 {
		parts = append(parts, fmt.Sprintf("%d others", rest))
	}
	return strings.Join(parts, ", ")
}

// walkSource adds what there is in one source to f, and counts its entries. The error is of the source itself.
func (u *libraryUpdate) walkSource(f *found, source string) (entries int, err error) {
	i, err := os.Stat(source)
	if err != nil {
		return 0, err
	}
	switch {
	case i.IsDir():
		w := folderWalk{u: u, f: f, source: source, root: source + string(filepath.Separator)}
		err := filepath.WalkDir(w.root, w.visit)
		return w.entries, err
	case i.Mode().IsRegular(): // whatever it is: a person has named it
		if _, err := document(source); err != nil {
			return 0, err
		}
		f.files[source] = i
	}
	return 1, nil // or what was a file is a pipe now
}

// folderWalk looks for documents in a source that is a folder.
type folderWalk struct {
	u       *libraryUpdate
	f       *found
	source  string
	root    string // source, so that a link to a folder is followed that a person names
	ignores ignores
	entries int
}

// visit is called by filepath.WalkDir.
func (w *folderWalk) visit(path string, d fs.DirEntry, err error) error {
	switch {
	case path == w.root:
		w.enter("")
		return err
	case err != nil:
		w.keepAway(path, err)
		return nil
	}
	w.entries++
	rel, err := filepath.Rel(w.source, path)
	if err != nil {
		return err // both are absolute, and one is within the other
	}
	switch out := w.leavesOut(rel, d); {
	case out && d.IsDir():
		return fs.SkipDir
	case d.IsDir():
		w.enter(rel)
	case !out:
		w.file(path, d)
	}
	return nil
}

// enter reads the ignore files of a folder before what is in it.
func (w *folderWalk) enter(rel string) {
	if w.u.l.NoIgnore {
		return
	}
	if err := w.ignores.read(w.source, rel); err != nil {
		w.u.hint("%v", err)
	}
}

// keepAway notes what cannot be looked into.
func (w *folderWalk) keepAway(path string, err error) {
	if !errors.Is(err, fs.ErrNotExist) { // it has gone meanwhile
		w.f.away = append(w.f.away, path)
		w.u.hint("%v", err)
	}
}

// leavesOut tells whether a file or folder does not count, whatever it is.
func (w *folderWalk) leavesOut(rel string, d fs.DirEntry) bool {
	if strings.HasPrefix(d.Name(), ".") || w.u.l.Excludes(filepath.ToSlash(rel)) {
		return true
	}
	ignored := w.ignores.match(rel, d.IsDir())
	if ignored {
		w.f.ignored++
	}
	return ignored
}

// file takes a file in, if it is a document.
func (w *folderWalk) file(path string, d fs.DirEntry) {
	if d.Type()&fs.ModeSymlink != 0 {
		w.f.left[path] = "behind a link"
		return
	}
	i, err := d.Info()
	if err != nil || !i.Mode().IsRegular() { // or it has gone meanwhile
		return
	}
	if i.Size() == 0 {
		w.f.left[path] = "empty"
		return
	}
	if i.Size() > bus.MaxDocument {
		w.f.left[path] = "too long"
		return
	}
	switch is, err := document(path); {
	case err != nil:
		w.keepAway(path, err)
	case is:
		w.f.files[path] = i
	default:
		w.f.left[path] = cmp.Or(oneLine(strings.ToLower(filepath.Ext(path))), "without a suffix")
	}
}

// document tells whether a file that is found in a folder is one: pictures, videos and programs are not sent to anybody.
func document(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	switch strings.ToLower(filepath.Ext(path)) {
	case ".pdf", ".docx", ".pptx", ".xlsx":
		return true, nil
	}
	head := make([]byte, sniffed)
	n, err := io.ReadFull(f, head)
	if n == 0 {
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return false, err
	}
	for m := mimetype.Detect(head[:n]); m != nil; m = m.Parent() {
		if m.Is("text/plain") || kinds[m.String()] != "" {
			return true, nil
		}
	}
	return false, nil
}

// drop forgets documents that are gone.
func (u *libraryUpdate) drop(docs []library.Document, f found) (dropped int, err error) {
	for _, d := range docs {
		away := slices.ContainsFunc(f.away, func(s string) bool { return library.Under(d.Path, s) })
		if _, there := f.files[d.Path]; there || away {
			continue
		}
		if err := u.l.Drop(d.Path); err != nil {
			return dropped, fmt.Errorf("forget %s: %w", d.Path, err)
		}
		dropped++
	}
	return dropped, nil
}
