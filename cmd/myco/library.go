package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/filelock"
	"github.com/mycoswarm/mycoswarm/internal/library"
)

// libraryCmd holds the commands about libraries.
type libraryCmd struct {
	Add    libraryAddCmd    `cmd:"" help:"Take files and folders into a library: nodes read them, and make vectors of their passages."`
	Update libraryUpdateCmd `cmd:"" help:"Read what has changed since in a library's files and folders."`
	Search librarySearchCmd `cmd:"" help:"Show the passages of a library that tell of something."`
	Ls     libraryLsCmd     `cmd:"" default:"withargs" help:"List the libraries, or the documents of one (default)."`
	Rm     libraryRmCmd     `cmd:"" help:"Delete a library, or take files and folders out of it; the documents stay where they are."`
}

// librariesDir is the folder of all libraries.
func librariesDir(environ []string) string { return filepath.Join(stateDir(environ), "libraries") }

// libraries are the names of all.
func libraries(environ []string) (names []string) {
	all, _ := library.List(librariesDir(environ))
	for _, l := range all {
		names = append(names, l.Name)
	}
	return names
}

// library opens a library that is there.
func (a *app) library(called string) (*library.Library, error) {
	l, err := library.Open(librariesDir(a.environ), called)
	return l, ofLibrary(called, err)
}

// hold keeps a library for this command alone to change.
func (a *app) hold(called string) (release func() error, err error) {
	release, err = library.Hold(librariesDir(a.environ), called)
	return release, ofLibrary(called, err)
}

// ofLibrary tells what to do about an error of a library.
func ofLibrary(called string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, filelock.ErrLocked):
		return bus.Errorf(bus.CodeConflict, "another command is changing the library %s", called).WithHint("wait until it is done, or end it")
	case errors.Is(err, library.ErrName):
		return bus.Errorf(bus.CodeInvalid, "%w", err).WithHint("myco library ls")
	case errors.Is(err, fs.ErrNotExist):
		return bus.Errorf(bus.CodeNotFound, "there is no library %q", called).WithHint("myco library ls")
	case errors.Is(err, library.ErrDamaged):
		return bus.Errorf(bus.CodeFailed, "%w", err).WithHint("myco library rm %s, and myco library add %s FILE", called, called)
	}
	return fmt.Errorf("the library %s: %w", called, err)
}

// passageView is a passage that was found.
type passageView struct {
	Library string `json:"library"`
	File    string `json:"file"`
	Page    int    `json:"page,omitempty"`
	Title   string `json:"title,omitempty"`
	Text    string `json:"text,omitempty"`
}

// place is where v stands in its file, which is called so.
func (v passageView) place(file string) string {
	file = oneLine(file)
	if v.Page > 0 {
		return file + ", page " + strconv.Itoa(v.Page)
	}
	return file
}

// passages are the n best of the libraries, the best first. Without a daemon they are found by their words.
func (a *app) passages(ctx context.Context, conn *bus.Conn, libraries []string, question string, n int) ([]passageView, error) {
	type ranked struct {
		passageView
		score float64
	}
	var all []ranked
	h := a.partsOfOne(conn)
	for _, called := range libraries {
		l, err := a.library(called)
		if err != nil {
			return nil, err
		}
		docs, err := l.Documents()
		if err != nil {
			return nil, fmt.Errorf("read the library %s: %w", called, err)
		}
		q := library.Query{Text: question, Model: l.Model}
		if l.Model != "" && conn != nil {
			r, _, err := h.embed(ctx, l.Model, digestOf(l, docs), bus.Interactive, []string{embedPrompts(l.Model).question + question})
			switch e := bus.AsError(err); {
			case err == nil:
				q.Vector, q.Digest = r.Vectors[0], r.Digest
				a.tellOthers(l, docs, r)
			case e.Code == bus.CodeNoWorker:
				a.hint("[%s, which made the vectors of the library %s, is with no node at present: passages are found by their words alone]", l.Model, called)
			default:
				return nil, err
			}
		}
		for _, h := range library.Search(docs, q, n) {
			all = append(all, ranked{passageView{called, h.Document.Path, h.Passage.Page, h.Document.Title, h.Passage.Text}, h.Score})
		}
	}
	slices.SortStableFunc(all, func(a, b ranked) int { return cmp.Compare(b.score, a.score) })
	out := []passageView{}
	seen := map[string]bool{} // two libraries may have the same
	for _, r := range all {
		if len(out) < n && !seen[r.Text] {
			seen[r.Text] = true
			out = append(out, r.passageView)
		}
	}
	return out, nil
}

// librarySearchCmd shows passages.
type librarySearchCmd struct {
	Library string   `predictor:"library" arg:"" help:"The library."`
	Words   []string `arg:"" help:"What to look for: a question, or words."`
	Most    int      `short:"n" default:"5" help:"So many passages at most." placeholder:"N"`
}

// foundView is what library search --json prints.
type foundView struct {
	Passages []passageView `json:"passages"`
}

// Run implements the command.
func (c *librarySearchCmd) Run(ctx context.Context, a *app) error {
	if c.Most < 1 || c.Most > 100 {
		return bus.Errorf(bus.CodeInvalid, "-n %d: want 1 to 100", c.Most).WithHint("myco library search --help")
	}
	conn, err := a.dial(ctx)
	switch e := bus.AsError(err); {
	case err == nil:
		defer conn.Close()
	case e.Code == bus.CodeUnavailable, e.Code == bus.CodeTimeout:
		a.hint("[without a daemon passages are found by their words alone: %s]", e.Message)
	default:
		return err
	}
	found, err := a.passages(ctx, conn, []string{c.Library}, strings.Join(c.Words, " "), c.Most)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return bus.Errorf(bus.CodeNotFound, "nothing of that is in the library %s", c.Library).WithHint("myco library ls %s", c.Library)
	}
	if a.json {
		a.object(foundView{found})
		return nil
	}
	for i, p := range found {
		gap := "\n"
		if i == 0 {
			gap = ""
		}
		a.foreign(gap + "==> " + p.place(p.File) + " <==\n" + p.Text + "\n")
	}
	return nil
}

// libraryLsCmd lists libraries, or documents.
type libraryLsCmd struct {
	Library string `predictor:"library" arg:"" optional:"" help:"The library whose documents to list."`
}

// libraryView is a library, or what was done to one.
type libraryView struct {
	Name      string   `json:"name"`
	Model     string   `json:"model,omitempty"`
	Sources   []string `json:"sources"`
	Exclude   []string `json:"exclude,omitempty"`
	NoIgnore  bool     `json:"no_ignore,omitempty"`
	Documents int      `json:"documents"`
	Passages  int      `json:"passages"`
	Failed    int      `json:"failed"`
}

// librariesView is what library ls --json prints.
type librariesView struct {
	Libraries []libraryView `json:"libraries"`
}

// documentView is a document of a library.
type documentView struct {
	File     string `json:"file"`
	Title    string `json:"title,omitempty"`
	Kind     string `json:"kind,omitempty"`
	Passages int    `json:"passages"`
	Problem  string `json:"problem,omitempty"`
}

// documentsView is what library ls NAME --json prints.
type documentsView struct {
	libraryView
	Files []documentView `json:"files"`
}

var (
	librariesGive = giving{shorten: map[string]int{"MADE OF": 12, "MODEL": 10}, wrap: []string{"MADE OF"}, drop: []string{"PASSAGES", "MODEL"}}
	documentsGive = giving{shorten: map[string]int{"FILE": 16, "TITLE": 10, "PROBLEM": 12}, wrap: []string{"FILE", "PROBLEM"}, drop: []string{"TITLE", "KIND"}}
)

// Run implements the command.
func (c *libraryLsCmd) Run(a *app) error {
	if c.Library != "" {
		return c.documents(a)
	}
	all, problems := library.List(librariesDir(a.environ))
	for _, err := range problems {
		a.failed("", bus.AsError(err))
	}
	v := librariesView{Libraries: []libraryView{}}
	var rows [][]string
	for _, l := range all {
		docs, err := l.Documents()
		if err != nil {
			return fmt.Errorf("read the library %s: %w", l.Name, err)
		}
		o := viewOf(l, docs)
		v.Libraries = append(v.Libraries, o)
		rows = append(rows, []string{o.Name, strconv.Itoa(o.Documents), strconv.Itoa(o.Passages), orDash(o.Model), strings.Join(o.Sources, ", ")})
	}
	switch {
	case a.json:
		a.object(v)
	case len(all) == 0:
		a.hint("no libraries yet\n  try: myco library add papers FOLDER")
	default:
		a.text(librariesGive.fitted(a.width(), []string{"LIBRARY", "DOCUMENTS", "PASSAGES", "MODEL", "MADE OF"}, rows))
	}
	return nil
}

func (c *libraryLsCmd) documents(a *app) error {
	l, err := a.library(c.Library)
	if err != nil {
		return err
	}
	docs, err := l.Documents()
	if err != nil {
		return fmt.Errorf("read the library %s: %w", l.Name, err)
	}
	v := documentsView{libraryView: viewOf(l, docs), Files: []documentView{}}
	var rows [][]string
	for _, d := range docs {
		v.Files = append(v.Files, documentView{d.Path, d.Title, d.Kind, len(d.Passages), d.Problem})
		kind := d.Kind
		if k := kinds[kind]; k != "" {
			kind = k
		}
		rows = append(rows, []string{oneLine(d.Path), strconv.Itoa(len(d.Passages)), orDash(kind), orDash(oneLine(d.Title)), orDash(oneLine(d.Problem))})
	}
	if a.json {
		a.object(v)
	} else {
		a.text(documentsGive.fitted(a.width(), []string{"FILE", "PASSAGES", "KIND", "TITLE", "PROBLEM"}, rows))
	}
	return nil
}

func viewOf(l *library.Library, docs []library.Document) libraryView {
	v := libraryView{Name: l.Name, Model: l.Model, Sources: l.Sources, Exclude: l.Exclude, NoIgnore: l.NoIgnore}
	for _, d := range docs {
		if d.Problem != "" {
			v.Failed++
			continue
		}
		v.Documents++
		v.Passages += len(d.Passages)
	}
	return v
}

// libraryRmCmd deletes a library, or a part of it.
type libraryRmCmd struct {
	Library string   `predictor:"library" arg:"" help:"The library."`
	Files   []string `arg:"" optional:"" name:"file" help:"Files and folders to take out; without any the library is deleted."`
}

// removedLibraryView is what library rm --json prints.
type removedLibraryView struct {
	Name    string `json:"name"`
	Deleted bool   `json:"deleted"` // the library as a whole
	Dropped int    `json:"dropped"` // the documents that were taken out of one that stays
}

// Run implements the command.
func (c *libraryRmCmd) Run(a *app) error {
	release, err := a.hold(c.Library)
	if err != nil {
		return err
	}
	defer release() //nolint:errcheck // the process ends
	if len(c.Files) > 0 {
		return c.takeOut(a)
	}
	if err := library.Remove(librariesDir(a.environ), c.Library); err != nil {
		return ofLibrary(c.Library, err)
	}
	if a.json {
		a.object(removedLibraryView{Name: c.Library, Deleted: true})
	}
	a.hint("the library %s is deleted; its documents are where they were", c.Library)
	return nil
}

// takeOut takes files and folders out of a library that stays.
func (c *libraryRmCmd) takeOut(a *app) error {
	l, err := a.library(c.Library)
	if err != nil {
		return err
	}
	for _, f := range c.Files {
		path, err := absolute(f)
		if err != nil {
			return err
		}
		i := slices.Index(l.Sources, path)
		if i < 0 {
			return bus.Errorf(bus.CodeNotFound, "the library %s is not made of %s", l.Name, path).WithHint("myco library ls")
		}
		l.Sources = slices.Delete(l.Sources, i, i+1)
	}
	docs, err := l.Documents()
	if err != nil {
		return fmt.Errorf("read the library %s: %w", l.Name, err)
	}
	dropped := 0
	for _, d := range docs {
		if !slices.ContainsFunc(l.Sources, func(s string) bool { return library.Under(d.Path, s) }) {
			if err := l.Drop(d.Path); err != nil {
				return fmt.Errorf("take %s out: %w", d.Path, err)
			}
			dropped++
		}
	}
	if err := l.Save(); err != nil {
		return fmt.Errorf("save the library %s: %w", l.Name, err)
	}
	if a.json {
		a.object(removedLibraryView{Name: l.Name, Dropped: dropped})
	}
	a.hint("%s fewer in the library %s", plural(dropped, "document"), l.Name)
	return nil
}
