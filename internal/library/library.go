package library

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/internal/atomicfile"
	"github.com/mycoswarm/mycoswarm/internal/filelock"
)

const (
	// version is the format of the files.
	version = 1
	// metaFile says what a library is made of, and documents end in docSuffix.
	metaFile  = "library.json"
	docSuffix = ".doc"
)

// Meta says what a library is made of.
type Meta struct {
	Version int `json:"version"`
	// Model makes the vectors; empty where passages are found by their words alone.
	Model string `json:"model,omitempty"`
	// Sources are the files and folders, as absolute paths.
	Sources []string `json:"sources"`
	// Exclude are patterns of what does not count of folders; see Excludes.
	Exclude []string `json:"exclude,omitempty"`
	// NoIgnore is whether what the ignore files of folders name counts too.
	NoIgnore bool `json:"no_ignore,omitempty"`
}

// Document is one file of a library.
type Document struct {
	Version int
	Path    string // absolute
	// Size, in bytes, and ModTime are those of the file when it was read.
	Size    int64
	ModTime time.Time
	// Model made the vectors, be it of a part of the passages; empty where there are none.
	Model string
	// Digest tells that model from another of its name; empty where nobody has told.
	Digest string
	// Problem is why the file was not read; empty where it was.
	Problem string
	// Kind is a media type, and Title what the document says of itself; may be empty.
	Kind, Title string
	Passages    []Passage
}

// Passage is a piece of a document.
type Passage struct {
	Page int // counted from 1; 0 where there are no pages
	Text string
	// Vector has length 1; nil where no model has made one.
	Vector []float32
}

// By tells whether the vectors of d are by this model. A digest that nobody has told may be any.
func (d *Document) By(model, digest string) bool {
	return d.Model == model && (d.Digest == "" || digest == "" || d.Digest == digest)
}

// Library is a folder of documents. Any process may read it at any time, for each file is whole; one that changes it Holds
// it first.
type Library struct {
	Name string
	Meta
	dir string
}

// name is what a library may be called: it is a folder on all systems.
var name = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// ErrName is returned for a name that is none, by Open, Create and Hold.
var ErrName = errors.New("the name of a library has small letters, digits, and . _ - within, 64 at most")

// ErrDamaged is returned by Open and Create for a library that this program cannot read, and that has to be made anew.
var ErrDamaged = errors.New("is damaged, or of another version")

// Open reads what the library of this name in dir is made of. The error is fs.ErrNotExist where there is none.
func Open(dir, called string) (*Library, error) {
	if !name.MatchString(called) {
		return nil, fmt.Errorf("%q: %w", called, ErrName)
	}
	l := &Library{Name: called, dir: filepath.Join(dir, called)}
	b, err := atomicfile.Read(filepath.Join(l.dir, metaFile))
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &l.Meta); err != nil {
		return nil, fmt.Errorf("%s %w: %w", filepath.Join(l.dir, metaFile), ErrDamaged, err)
	}
	if l.Version != version {
		return nil, fmt.Errorf("%s %w: it has format %d, and this program reads %d", l.dir, ErrDamaged, l.Version, version)
	}
	return l, nil
}

// Create is Open, of a library without documents where there is none. It writes nothing.
func Create(dir, called string) (*Library, error) {
	l, err := Open(dir, called)
	if errors.Is(err, fs.ErrNotExist) {
		return &Library{Name: called, dir: filepath.Join(dir, called), Meta: Meta{Version: version, Sources: []string{}}}, nil
	}
	return l, err
}

// Hold keeps the library of this name for this process alone to change, until release is called or the process ends. The
// error is filelock.ErrLocked where another process has it.
func Hold(dir, called string) (release func() error, err error) {
	if !name.MatchString(called) {
		return nil, fmt.Errorf("%q: %w", called, ErrName)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "."+called+".lock"), os.O_RDWR|os.O_CREATE, 0o600) // beside it: Remove is a change
	if err != nil {
		return nil, err
	}
	if err := filelock.Lock(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error { return filelock.Close(f) }, nil
}

// List returns the libraries in dir by their names, and what is wrong with the others.
func List(dir string) (all []*Library, problems []error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, []error{err}
	}
	for _, e := range entries {
		l, err := Open(dir, e.Name())
		switch {
		case err == nil:
			all = append(all, l)
		case errors.Is(err, ErrName), errors.Is(err, fs.ErrNotExist): // something else
		default:
			problems = append(problems, err)
		}
	}
	return all, problems
}

// Dir is the folder of l.
func (l *Library) Dir() string { return l.dir }

// Save writes what l is made of.
func (l *Library) Save() error {
	b, err := json.MarshalIndent(l.Meta, "", " ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(l.dir, metaFile), b)
}

// Remove deletes the library of this name, damaged or not, with all that was made of its documents, which stay. The error
// is fs.ErrNotExist where there is none.
func Remove(dir, called string) error {
	if _, err := Open(dir, called); errors.Is(err, ErrName) || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.RemoveAll(filepath.Join(dir, called))
}

// file is where the document of a path is kept.
func (l *Library) file(path string) string {
	sum := sha256.Sum256([]byte(path))
	return filepath.Join(l.dir, hex.EncodeToString(sum[:16])+docSuffix)
}

// Put keeps d in place of what was kept of its path.
func (l *Library) Put(d Document) error {
	d.Version = version
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(d); err != nil {
		return fmt.Errorf("encode %s: %w", d.Path, err)
	}
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return err
	}
	return atomicfile.Write(l.file(d.Path), b.Bytes())
}

// Drop forgets the document of a path.
func (l *Library) Drop(path string) error {
	if err := atomicfile.Remove(l.file(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Documents reads all documents, by their paths. What cannot be read is left out, and is nothing but missing: whoever
// brings the library up to date reads its document anew.
func (l *Library) Documents() ([]Document, error) {
	entries, err := os.ReadDir(l.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	all := make([]Document, 0, len(entries))
	for _, e := range entries {
		f := filepath.Join(l.dir, e.Name())
		if filepath.Ext(f) != docSuffix {
			continue
		}
		b, err := atomicfile.Read(f)
		if errors.Is(err, fs.ErrNotExist) {
			continue // dropped meanwhile
		}
		if err != nil {
			return nil, err
		}
		var d Document
		if gob.NewDecoder(bytes.NewReader(b)).Decode(&d) == nil && d.Version == version && l.file(d.Path) == f {
			all = append(all, d)
		}
	}
	slices.SortFunc(all, func(a, b Document) int { return cmp.Compare(a.Path, b.Path) })
	return all, nil
}

// Excludes tells whether a file or folder of a source does not count. It is named by its path from there, with slashes. A
// pattern with a slash in it is of such paths, and one without of names in whatever folder, both as in path.Match.
func (m Meta) Excludes(rel string) bool {
	return slices.ContainsFunc(m.Exclude, func(pattern string) bool {
		name := path.Base(rel)
		if strings.Contains(pattern, "/") {
			name = rel
		}
		is, err := path.Match(pattern, name)
		return is && err == nil
	})
}

// Under tells whether path is source, or within it.
func Under(path, source string) bool {
	rel, err := filepath.Rel(source, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}
