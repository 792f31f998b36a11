package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
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
}

// walk looks for documents in all sources.
func (u *libraryUpdate) walk(docs []library.Document) found {
	f := found{files: map[string]fs.FileInfo{}}
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
	return f
}

// walkSource adds what there is in one source to f, and counts its entries. The error is of the source itself.
func (u *libraryUpdate) walkSource(f *found, source string) (entries int, err error) {
	i, err := os.Stat(source)
	if err != nil {
		return 0, err
	}
	if !i.IsDir() {
		if _, err := document(source); err != nil {
			return 0, err
		}
		if i.Mode().IsRegular() { // whatever it is: a person has named it
			f.files[source] = i
		}
		return 1, nil
	}
	away := func(path string, err error) {
		if !errors.Is(err, fs.ErrNotExist) { // it has gone meanwhile
			f.away = append(f.away, path)
			u.hint("%v", err)
		}
	}
	root := source + string(filepath.Separator) // a link to a folder is followed that a person names
	return entries, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case path == root:
			return err
		case err != nil:
			away(path, err)
			return nil
		}
		entries++
		switch {
		case strings.HasPrefix(d.Name(), ".") && d.IsDir():
			return fs.SkipDir
		case strings.HasPrefix(d.Name(), "."), !d.Type().IsRegular():
			return nil
		}
		i, err := d.Info()
		if err != nil || i.Size() > bus.MaxDocument {
			return nil //nolint:nilerr // it has gone meanwhile
		}
		switch is, err := document(path); {
		case err != nil:
			away(path, err)
		case is:
			f.files[path] = i
		}
		return nil
	})
}

// document tells whether a file that is found in a folder is one: pictures, videos and programs are not sent to anybody.
func document(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	switch strings.ToLower(filepath.Ext(path)) {
	case ".pdf", ".docx":
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
		if m.Is("text/plain") {
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
