package main

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"github.com/alecthomas/kong"
	"golang.org/x/sync/errgroup"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/library"
)

// passageSize is how long a passage is, in bytes, at most: some 250 tokens, which every model takes whole.
const passageSize = 1000

// folderFlags tell what counts of the folders of a library.
type folderFlags struct {
	Exclude []string `sep:"none" help:"What does not count of folders: names such as node_modules or '*.log', or paths from there such as 'drafts/*'. Repeatable; kept for updates until given anew (an empty one excludes nothing)." placeholder:"PATTERN"`
	Ignore  *bool    `negatable:"" help:"Whether what .gitignore and .ignore files in folders name is left out (default: it is); kept for updates."`
}

// libraryAddCmd takes files into a library.
type libraryAddCmd struct {
	Library string   `predictor:"library" arg:"" help:"The library; it is made where there is none of this name."`
	Files   []string `arg:"" name:"file" help:"Files, and folders, of which all documents count."`
	Model   string   `predictor:"model" short:"m" help:"The model that makes the vectors (default: the library's, else one of the swarm that does nothing else)." placeholder:"MODEL"`
	folderFlags
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
			return bus.Errorf(bus.CodeInvalid, "there is no file or folder %s", f).WithHint("ls %s", bus.ShellWord(filepath.Dir(path)))
		case !i.IsDir() && !i.Mode().IsRegular():
			return bus.Errorf(bus.CodeInvalid, "%s is neither a file nor a folder", f).WithHint("keep what comes out of it in a file, and add that")
		case !utf8.ValidString(path): // JSON does not keep it, so that the next update would look elsewhere
			return bus.Errorf(bus.CodeInvalid, "the path %q is not in UTF-8", path).WithHint("rename it, or add a folder above it")
		}
		if !slices.Contains(l.Sources, path) {
			l.Sources = append(l.Sources, path)
		}
	}
	if err := c.keep(l); err != nil {
		return err
	}
	return a.updateLibrary(ctx, l, c.Model)
}

// libraryUpdateCmd brings a library up to date.
type libraryUpdateCmd struct {
	Library string `predictor:"library" arg:"" help:"The library."`
	Model   string `predictor:"model" short:"m" help:"The model that makes the vectors from now on: all are made anew." placeholder:"MODEL"`
	folderFlags
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
	if err := c.keep(l); err != nil {
		return err
	}
	return a.updateLibrary(ctx, l, c.Model)
}

// keep notes in l what a person has said of its folders.
func (f folderFlags) keep(l *library.Library) error {
	if f.Ignore != nil {
		l.NoIgnore = !*f.Ignore
	}
	if len(f.Exclude) == 0 {
		return nil
	}
	l.Exclude = nil
	for _, p := range f.Exclude {
		if _, err := path.Match(p, ""); err != nil {
			return bus.Errorf(bus.CodeInvalid, "--exclude %s: %w", p, err).WithHint("myco library add --help")
		}
		if p = strings.TrimSuffix(p, "/"); p != "" { // as .gitignore has folders
			l.Exclude = append(l.Exclude, p)
		}
	}
	return nil
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

	files int // to be read, or given vectors
	// What follows is held by holdups.mu.
	read, embedded, failed int    // embedded are those that had been read before, and got vectors now
	still                  int    // those that had been read before, and got none
	bare                   int    // those of which a passage has no vector
	numbers                int    // that a vector has; 0 until one was made
	digest                 string // of the model; empty until it is known
	// gone says that no node has the model, once that was found: the rest goes without vectors.
	gone atomic.Pointer[bus.Error]
	takings
}

// updateView is what library add --json and library update --json print.
type updateView struct {
	libraryView
	Read     int `json:"read"`
	Embedded int `json:"embedded"`
	Dropped  int `json:"dropped"`
	// Error tells what is missing of an update that came to its end.
	Error *bus.Error `json:"error,omitempty"`
}

// updateLibrary reads what is new or has changed in the sources of l, and forgets what is gone. What was read stays
// when it ends early.
func (a *app) updateLibrary(ctx context.Context, l *library.Library, model string) error {
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	u := &libraryUpdate{holdups: a.partsOfOne(conn), l: l, names: namesFrom(ctx, conn)}
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
	if err := u.measure(ctx, docs); err != nil {
		return err
	}
	f := u.walk(docs)
	dropped, err := u.drop(docs, f)
	if err != nil {
		return err
	}
	if err := u.takeAll(ctx, u.todo(docs, f.files)); err != nil {
		u.hint("[%d of %d: they stay, and myco library update %s goes on]", u.taken(), u.files, l.Name)
		return err
	}
	if docs, err = l.Documents(); err != nil {
		return fmt.Errorf("read the library %s: %w", l.Name, err)
	}
	v := updateView{libraryView: viewOf(l, docs), Read: u.read, Embedded: u.embedded, Dropped: dropped, Error: a.nextOf(u.missing(f))}
	if a.json {
		a.object(v)
	}
	embedded := ""
	if v.Embedded > 0 {
		embedded = fmt.Sprintf(", %d given vectors", v.Embedded)
	}
	a.hint("the library %s: %s, %s; %d read now%s, %d gone, %d not readable\n  try: myco ask --library %s QUESTION",
		l.Name, plural(v.Documents, "document"), plural(v.Passages, "passage"), v.Read, embedded, dropped, v.Failed, l.Name)
	if v.Error == nil {
		return nil
	}
	return a.told(v.Error)
}

// choose settles which model makes the vectors.
func (u *libraryUpdate) choose(ctx context.Context, model string) error {
	if model != "" && !bus.SameModel(model, u.l.Model) {
		// Before anything is kept: the vectors that there are count no more, be it for a slip of the keys.
		r, _, err := u.embed(ctx, model, "", bus.Batch, []string{u.l.Name})
		if err != nil {
			return err
		}
		u.l.Model, u.numbers, u.digest = bus.CanonicalModel(model), len(r.Vectors[0]), r.Digest
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

// work is one file to take in.
type work struct {
	path  string
	info  fs.FileInfo
	known *library.Document // what was read of it as it is now, and lacks vectors; nil where it has to be read
}

// todo are the files of which something is missing, in order.
func (u *libraryUpdate) todo(docs []library.Document, files map[string]fs.FileInfo) (all []work) {
	whole := map[string]bool{}
	known := map[string]*library.Document{}
	for i, d := range docs {
		if now := files[d.Path]; now != nil && now.Size() == d.Size && now.ModTime().Equal(d.ModTime) {
			known[d.Path] = &docs[i]
			whole[d.Path] = d.Problem != "" || len(u.lacking(&d)) == 0
		}
	}
	for path, info := range files {
		if !whole[path] {
			all = append(all, work{path, info, known[path]})
		}
	}
	slices.SortFunc(all, func(a, b work) int { return cmp.Compare(a.path, b.path) })
	return all
}

// takeAll takes files in, side by side. An error is not of a document.
func (u *libraryUpdate) takeAll(ctx context.Context, all []work) error {
	u.begin(all)
	defer u.finish()
	g, going := errgroup.WithContext(ctx)
	g.SetLimit(readsAtOnce)
	for _, w := range all {
		if going.Err() != nil {
			break
		}
		g.Go(func() error { return u.take(going, w) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// take reads one file, unless that was done before, and keeps what comes of it, even where its vectors come to no end.
func (u *libraryUpdate) take(ctx context.Context, w work) error {
	u.beside(func() { u.show(filepath.Base(w.path)) })
	d := library.Document{Path: w.path, Size: w.info.Size(), ModTime: w.info.ModTime()}
	by, missing := "", ""
	if w.known != nil {
		d = *w.known
	} else {
		v := u.readOne(ctx, w.path, bus.FileRequest{}, bus.Batch, "")
		switch {
		case v.Error == nil:
			d.Kind, d.Title, d.Passages = v.Kind, v.Title, passagesOf(*v.FileResult)
			by, missing = ", read by "+u.nameOf(v.NodeID), v.missing()
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case v.unread: // what was made of it before stays, and the next update tries again
			d.Problem = v.Error.Message
			u.tell(d, false, "", "")
			return nil
		case ofTheDocument(v.Error.Code):
			d.Problem = v.Error.Message
		default:
			return v.Error
		}
	}
	vectors, bare, err := u.vectors(ctx, &d)
	if err := u.l.Put(d); err != nil {
		return fmt.Errorf("keep %s: %w", w.path, err)
	}
	if err != nil {
		return err
	}
	u.tell(d, w.known != nil, by+vectors, missing+bare)
	return nil
}

// ofTheDocument tells whether another try would find the same.
func ofTheDocument(code bus.Code) bool {
	return code == bus.CodeInvalid || code == bus.CodeFailed || code == bus.CodeTooLarge
}

// tell says how far it is, and what became of d, of which something may be missing.
func (u *libraryUpdate) tell(d library.Document, known bool, what, missing string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	what = plural(len(d.Passages), "passage") + what + missing
	switch {
	case d.Problem != "":
		u.failed++
		what = "not readable: " + d.Problem
		u.troubled(d, what)
	case known && missing == "":
		u.embedded++
	case known:
		u.still++
	default:
		u.read++
	}
	if len(u.lacking(&d)) > 0 {
		u.bare++
	}
	if missing != "" {
		u.troubled(d, strings.TrimPrefix(missing, ", "))
	}
	u.behind += d.Size
	if u.standing {
		u.show(u.at)
	} else {
		u.hint("[%d of %d: %s, %s]", u.taken(), u.files, oneLine(filepath.Base(d.Path)), oneLine(what))
	}
}

// taken is how many files are taken in.
func (u *libraryUpdate) taken() int { return u.read + u.embedded + u.still + u.failed }

// nameOf is the name of a node, where somebody is told.
func (u *libraryUpdate) nameOf(id bus.NodeID) string {
	if u.quiet {
		return ""
	}
	return cmp.Or(nameOf(u.names(), id), string(id))
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
