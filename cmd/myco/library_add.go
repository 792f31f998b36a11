package main

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
	"golang.org/x/sync/errgroup"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/library"
)

const (
	// passageSize is how long a passage is, in bytes, at most: some 250 tokens, which every model takes whole.
	passageSize = 1000
	// embedsAtOnce is how many passages go into one task, and embedTasks how many tasks of a document are under
	// way at once.
	embedsAtOnce = 64
	embedTasks   = 4
	// embedsTold is after how many passages of a document it is said how far it is: a book takes a while.
	embedsTold = 1024
)

// libraryAddCmd takes files into a library.
type libraryAddCmd struct {
	Library string   `predictor:"library" arg:"" help:"The library; it is made where there is none of this name."`
	Files   []string `arg:"" name:"file" help:"Files, and folders, of which all documents count."`
	Model   string   `predictor:"model" short:"m" help:"The model that makes the vectors (default: the library's, else one of the swarm that does nothing else)." placeholder:"MODEL"`
}

// Run implements the command.
func (c *libraryAddCmd) Run(ctx context.Context, a *app) error {
	release, err := a.hold(c.Library)
	if err != nil {
		return err
	}
	defer release() //nolint:errcheck // the process ends
	l, err := library.Create(librariesDir(a.environ), c.Library)
	if err != nil {
		return ofLibrary(c.Library, err)
	}
	for _, f := range c.Files {
		path, err := absolute(f)
		if err != nil {
			return err
		}
		switch i, err := os.Stat(path); {
		case err != nil:
			return bus.Errorf(bus.CodeInvalid, "there is no file or folder %s", f).WithHint("ls %s", quoted(filepath.Dir(path)))
		case !i.IsDir() && !i.Mode().IsRegular():
			return bus.Errorf(bus.CodeInvalid, "%s is neither a file nor a folder", f).WithHint("keep what comes out of it in a file, and add that")
		}
		if !slices.Contains(l.Sources, path) {
			l.Sources = append(l.Sources, path)
		}
	}
	return a.updateLibrary(ctx, l, c.Model)
}

// libraryUpdateCmd brings a library up to date.
type libraryUpdateCmd struct {
	Library string `predictor:"library" arg:"" help:"The library."`
	Model   string `predictor:"model" short:"m" help:"The model that makes the vectors from now on: all are made anew." placeholder:"MODEL"`
}

// Run implements the command.
func (c *libraryUpdateCmd) Run(ctx context.Context, a *app) error {
	release, err := a.hold(c.Library)
	if err != nil {
		return err
	}
	defer release() //nolint:errcheck // the process ends
	l, err := a.library(c.Library)
	if err != nil {
		return err
	}
	return a.updateLibrary(ctx, l, c.Model)
}

// absolute is the path of a file that a person names.
func absolute(name string) (string, error) {
	if name == "" { // it would be the folder that the shell is in
		return "", bus.Errorf(bus.CodeInvalid, "the name of the file is empty").WithHint("give its name; one out of a variable may be missing")
	}
	if strings.HasPrefix(name, "~/") {
		name = kong.ExpandPath(name)
	}
	path, err := filepath.Abs(name)
	if err != nil {
		return "", bus.Errorf(bus.CodeInvalid, "%s: %w", name, err)
	}
	return path, nil
}

// libraryUpdate is one update under way.
type libraryUpdate struct {
	*holdups
	l     *library.Library
	names func() []bus.NodeInfo

	files int // that are read
	// What is counted is held by holdups.mu.
	read, failed, bare int // bare are those read without vectors
}

// updateView is what library add --json and library update --json print.
type updateView struct {
	libraryView
	Read    int `json:"read"`
	Dropped int `json:"dropped"`
}

// updateLibrary reads what is new or has changed in the sources of l, and forgets what is gone. What was read stays
// when it ends early.
func (a *app) updateLibrary(ctx context.Context, l *library.Library, model string) error {
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	u := &libraryUpdate{holdups: a.holdups(conn), l: l, names: namesFrom(ctx, conn)}
	if err := u.choose(ctx, model); err != nil {
		return err
	}
	if err := l.Save(); err != nil {
		return fmt.Errorf("save the library %s: %w", l.Name, err)
	}
	docs, err := l.Documents()
	if err != nil {
		return fmt.Errorf("read the library %s: %w", l.Name, err)
	}
	f := u.walk(docs)
	dropped, err := u.drop(docs, f)
	if err != nil {
		return err
	}
	if err := u.takeAll(ctx, u.changed(docs, f.files), f.files); err != nil {
		u.hint("[%d of %d: they stay, and myco library update %s goes on]", u.read+u.failed, u.files, l.Name)
		return err
	}
	if docs, err = l.Documents(); err != nil {
		return fmt.Errorf("read the library %s: %w", l.Name, err)
	}
	v := updateView{libraryView: viewOf(l, docs), Read: u.read, Dropped: dropped}
	if a.json {
		a.object(v)
	}
	a.hint("the library %s: %s, %s; %d read now, %d gone, %d not readable\n  try: myco ask --library %s QUESTION",
		l.Name, plural(v.Documents, "document"), plural(v.Passages, "passage"), v.Read, dropped, v.Failed, l.Name)
	if len(f.gone) > 0 {
		return bus.Errorf(bus.CodeNotFound, "there is nothing to read in %s at present; what was read of it before stays", strings.Join(f.gone, ", ")).
			WithHint("myco library rm %s %s", l.Name, quoted(f.gone[0]))
	}
	if u.bare > 0 {
		return bus.Errorf(bus.CodeFailed, "%s without vectors, to be found by words alone: %s failed at it", plural(u.bare, "document"), l.Model).
			WithHint("myco library update %s, which tries again", l.Name)
	}
	return nil
}

// choose settles which model makes the vectors.
func (u *libraryUpdate) choose(ctx context.Context, model string) error {
	if model != "" && !bus.SameModel(model, u.l.Model) {
		// Before anything is kept: the vectors that there are count no more, be it for a slip of the keys.
		if _, _, err := u.embed(ctx, model, bus.Batch, []string{u.l.Name}); err != nil {
			return err
		}
		u.l.Model = bus.CanonicalModel(model)
	}
	if u.l.Model != "" {
		return nil
	}
	status, err := u.conn.Status(ctx)
	if err != nil {
		return err
	}
	if u.l.Model = embedder(status.Nodes); u.l.Model == "" {
		u.hint("no node has a model for embeddings: passages are found by their words alone\n  try: %s, and then myco library update %s",
			bus.PullCommand(status.Nodes, "nomic-embed-text", ""), u.l.Name)
	}
	return nil
}

// changed are the files that are not known as they are, in order.
func (u *libraryUpdate) changed(docs []library.Document, files map[string]fs.FileInfo) (out []string) {
	known := map[string]bool{}
	for _, d := range docs {
		i := files[d.Path]
		known[d.Path] = i != nil && i.Size() == d.Size && i.ModTime().Equal(d.ModTime) && (d.Model == u.l.Model || d.Problem != "")
	}
	for path := range files {
		if !known[path] {
			out = append(out, path)
		}
	}
	slices.Sort(out)
	return out
}

// takeAll takes files in, side by side. An error is not of a document.
func (u *libraryUpdate) takeAll(ctx context.Context, paths []string, files map[string]fs.FileInfo) error {
	u.files = len(paths)
	g, going := errgroup.WithContext(ctx)
	g.SetLimit(readsAtOnce)
	for _, path := range paths {
		if going.Err() != nil {
			break
		}
		g.Go(func() error { return u.take(going, path, files[path]) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// take reads one file, and keeps what comes of it.
func (u *libraryUpdate) take(ctx context.Context, path string, i fs.FileInfo) (err error) {
	d := library.Document{Path: path, Size: i.Size(), ModTime: i.ModTime(), Model: u.l.Model}
	v := u.readOne(ctx, path, bus.FileRequest{}, bus.Batch, "")
	vectors := "" // what became of them
	switch {
	case v.Error == nil:
		d.Kind, d.Title, d.Passages = v.Kind, v.Title, passagesOf(*v.FileResult)
		if vectors, err = u.vectors(ctx, &d); err != nil {
			return err
		}
	case ofTheDocument(v.Error.Code):
		d.Problem = v.Error.Message
	default:
		return v.Error
	}
	if err := u.l.Put(d); err != nil {
		return fmt.Errorf("keep %s: %w", path, err)
	}
	u.tell(d, v, vectors)
	return nil
}

// ofTheDocument tells whether another try would find the same.
func ofTheDocument(code bus.Code) bool {
	return code == bus.CodeInvalid || code == bus.CodeFailed || code == bus.CodeTooLarge
}

// tell says how far it is.
func (u *libraryUpdate) tell(d library.Document, v fileView, vectors string) {
	by := u.nameOf(v.NodeID)
	u.mu.Lock()
	defer u.mu.Unlock()
	what := plural(len(d.Passages), "passage") + ", read by " + by + vectors + v.missing()
	if d.Problem == "" {
		u.read++
	} else {
		u.failed++
		what = "not readable: " + d.Problem
	}
	if d.Model != u.l.Model {
		u.bare++
	}
	u.hint("[%d of %d: %s, %s]", u.read+u.failed, u.files, oneLine(filepath.Base(d.Path)), oneLine(what))
}

// nameOf is the name of a node, where somebody is told.
func (u *libraryUpdate) nameOf(id bus.NodeID) string {
	if u.quiet {
		return ""
	}
	return cmp.Or(nameOf(u.names(), id), string(id))
}

// vectors has the model of the library make the vectors of d's passages, and says what became of them. Where the model
// fails at one, d has none, and is found by its words until an update tries again.
func (u *libraryUpdate) vectors(ctx context.Context, d *library.Document) (what string, err error) {
	if u.l.Model == "" {
		return "", nil
	}
	by, err := u.embedAll(ctx, d)
	switch {
	case err == nil && by == "":
		return "", nil // there are no passages
	case err == nil:
		return ", vectors by " + u.nameOf(by), nil
	case !ofTheDocument(bus.AsError(err).Code):
		return "", err
	}
	d.Model = ""
	for i := range d.Passages {
		d.Passages[i].Vector = nil
	}
	return ", no vectors: " + bus.AsError(err).Message, nil
}

// embedAll has vectors made for the passages of d, and tells who made the last.
func (u *libraryUpdate) embedAll(ctx context.Context, d *library.Document) (by bus.NodeID, err error) {
	called := filepath.Base(d.Path)
	if d.Title != "" {
		called = d.Title
	}
	done := 0
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(embedTasks)
	for part := range slices.Chunk(d.Passages, embedsAtOnce) {
		g.Go(func() error {
			texts := make([]string, len(part))
			for i, p := range part { // what a passage is of tells much of what it is about
				texts[i] = embedPrompts(u.l.Model).passage + called + "\n" + p.Text
			}
			vectors, node, err := u.embed(ctx, u.l.Model, bus.Batch, texts)
			if err != nil {
				return err
			}
			for i := range part {
				part[i].Vector = library.Unit(vectors[i])
			}
			u.mu.Lock()
			defer u.mu.Unlock()
			by = node
			before := done
			if done += len(part); before/embedsTold < done/embedsTold {
				u.hint("[%s: vectors of %d of %d passages]", oneLine(filepath.Base(d.Path)), done, len(d.Passages))
			}
			return nil
		})
	}
	return by, g.Wait()
}

// pageLine is the line before a page of a document that has pages.
var pageLine = regexp.MustCompile(`(?m)^\[page (\d+)\]$`)

// passagesOf splits the text of a document, and knows the page of each part where there are pages.
func passagesOf(r bus.FileResult) (out []library.Passage) {
	add := func(page int, text string) {
		for _, part := range split(text, passageSize) {
			out = append(out, library.Passage{Page: page, Text: part})
		}
	}
	page, from := 0, 0
	if r.Pages > 0 { // else such a line is a part of the text
		for _, at := range pageLine.FindAllStringSubmatchIndex(r.Text, -1) {
			add(page, r.Text[from:at[0]])
			page, _ = strconv.Atoi(r.Text[at[2]:at[3]])
			from = at[1]
		}
	}
	add(page, r.Text[from:])
	return out
}
