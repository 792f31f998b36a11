package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/sync/errgroup"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/cmd/internal/input"
)

const (
	// standardInput is the FILE that is none.
	standardInput = "-"
	// readsAtOnce is how many documents are under way at once: each is in memory here.
	readsAtOnce = 4
)

// readCmd makes text of documents.
type readCmd struct {
	Files  []string `arg:"" optional:"" name:"file" help:"Documents; - for standard input."`
	Pages  string   `help:"Of a PDF or of slides, these pages alone: 1-3,7 or 5-." placeholder:"PAGES"`
	Format string   `help:"markdown or text (default: markdown)." placeholder:"FORMAT"`
	Node   string   `help:"The node that must read them: its name, its id or the beginning of its id." placeholder:"NODE"`
}

// fileView is a document that was read, or not, with --json.
type fileView struct {
	File string `json:"file"`
	*bus.FileResult
	TaskID     bus.TaskID `json:"task_id,omitempty"`
	NodeID     bus.NodeID `json:"node_id,omitempty"`
	NodeName   string     `json:"node_name,omitempty"`
	Attempts   int        `json:"attempts,omitempty"`
	DurationMS float64    `json:"duration_ms"`
	Error      *bus.Error `json:"error,omitempty"`
	// unread is whether the file could not be opened, or read to its end, which tells nothing of what is in it.
	unread bool
}

// Run implements the command.
func (c *readCmd) Run(ctx context.Context, a *app) error {
	files, err := a.filesOf(c.Files, "read")
	if err != nil {
		return err
	}
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	pin, err := pinTo(ctx, conn, c.Node)
	if err != nil {
		return err
	}
	names := namesFrom(ctx, conn)
	first, several := true, len(files) > 1
	err = a.readAll(ctx, conn, files, bus.FileRequest{Pages: c.Pages, Format: c.Format}, pin, func(v fileView) {
		if v.NodeID != "" && (a.json || !a.quiet) {
			v.NodeName = nameOf(names(), v.NodeID)
		}
		if a.json && (several || v.Error == nil) { // an error alone is what the command ends with
			a.object(v)
		}
		if v.Error != nil {
			return
		}
		if !a.json {
			if several {
				gap := "\n"
				if first {
					gap = ""
				}
				a.text(gap + "==> " + oneLine(v.File) + " <==\n")
			}
			a.foreign(v.Text)
			if !strings.HasSuffix(v.Text, "\n") {
				a.text("\n")
			}
			first = false
		}
		a.hint("%s", v.footer())
	})
	if err != nil && several && ctx.Err() == nil {
		return a.told(bus.AsError(err))
	}
	return err
}

// What has slides.
const (
	typePPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
	typeODP  = "application/vnd.oasis.opendocument.presentation"
)

// kinds are what people call what has a long name.
var kinds = map[string]string{
	"application/pdf": "PDF",
	"application/vnd.openxmlformats-officedocument.wordprocessingml.document": "DOCX",
	"application/vnd.oasis.opendocument.text":                                 "ODT",
	"application/epub+zip":                                                    "EPUB",
	"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet":       "XLSX",
	"application/vnd.oasis.opendocument.spreadsheet":                          "ODS",
	typePPTX: "PPTX",
	typeODP:  "ODP",
}

// footer tells what was read, and who read it.
func (v fileView) footer() string {
	parts := []string{oneLine(called(v.File)), cmp.Or(kinds[v.Kind], v.Kind)}
	if v.Pages > 0 {
		parts = append(parts, plural(v.Pages, v.page()))
	}
	parts = append(parts, plural(v.Words, "word")+v.missing())
	if v.NodeName != "" {
		parts = append(parts, nameAndID(v.NodeName, v.NodeID))
	}
	parts = append(parts, (time.Duration(v.DurationMS) * time.Millisecond).String())
	if v.Attempts > 1 {
		parts = append(parts, fmt.Sprintf("%d attempts", v.Attempts))
	}
	return "-- " + strings.Join(parts, ", ")
}

// page is what people call a page of the document.
func (v fileView) page() string {
	if v.Kind == typePPTX || v.Kind == typeODP {
		return "slide"
	}
	return "page"
}

// missing tells what of the document is not in its text.
func (v fileView) missing() (what string) {
	if v.FileResult == nil {
		return ""
	}
	if n := len(v.PagesEmpty); n > 0 {
		what = ", " + plural(n, v.page()) + " without text"
	}
	if v.Truncated {
		what += ", cut at its longest"
	}
	return what
}

// called is what people call the file at path.
func called(path string) string {
	if path == standardInput {
		return "standard input"
	}
	return path
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	if strings.HasSuffix(what, "ch") {
		what += "e"
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// filesOf returns the files that a command is about: those named, or what is piped in.
func (a *app) filesOf(named []string, command string) ([]string, error) {
	inputs := 0
	for _, f := range named {
		if f == standardInput {
			inputs++
		}
	}
	switch {
	case inputs > 1:
		return nil, bus.Errorf(bus.CodeInvalid, "standard input is named %d times", inputs).WithHint("myco %s --help", command)
	case len(named) > 0:
		return named, nil
	case a.piped:
		return []string{standardInput}, nil
	}
	return nil, bus.Errorf(bus.CodeInvalid, "no document is named").WithHint("myco %s FILE", command)
}

// readAll has the swarm read files side by side, and calls each for them in their order. It returns the error
// of the first that was not read, once all are done; the others it prints.
func (a *app) readAll(ctx context.Context, conn *bus.Conn, files []string, ask bus.FileRequest, node bus.NodeID, each func(fileView)) error {
	views := make([]chan fileView, len(files))
	for i := range views {
		views[i] = make(chan fileView, 1)
	}
	var g errgroup.Group
	g.SetLimit(readsAtOnce)
	h := a.holdups(conn)
	go func() {
		for i, f := range files {
			g.Go(func() error {
				views[i] <- h.readOne(ctx, f, ask, bus.Interactive, node)
				return nil
			})
		}
	}()
	var failed *bus.Error
	for _, ready := range views {
		v := <-ready
		h.beside(func() { each(v) })
		switch {
		case v.Error == nil:
		case ctx.Err() != nil:
			failed = v.Error
		case failed == nil:
			failed = v.Error
		default:
			a.failed("", v.Error)
		}
	}
	if failed == nil {
		return nil
	}
	return failed
}

// documentName takes out of a file's name what a FileRequest does not take, and a file system may.
var documentName = strings.NewReplacer("\n", " ", `\`, " ")

// readOne has the swarm read one file.
func (h *holdups) readOne(ctx context.Context, path string, ask bus.FileRequest, lane bus.Lane, node bus.NodeID) fileView {
	start := h.now()
	v := fileView{File: path}
	err := func() error {
		content, err := h.document(ctx, path)
		if err != nil {
			v.unread = bus.AsError(err).Code != bus.CodeTooLarge
			return err
		}
		t, err := readTask(path, content, ask)
		if err != nil {
			return err
		}
		t.Lane, t.Node = lane, node
		end, err := h.done(ctx, t)
		v.TaskID, v.NodeID, v.Attempts = end.ID, end.NodeID, end.Attempts
		if err != nil {
			return err
		}
		r, err := bus.Result[bus.FileResult](end)
		v.FileResult = &r
		return err
	}()
	if err != nil {
		v.FileResult, v.Error = nil, h.nextOf(bus.AsError(err))
	}
	v.DurationMS = millis(h.now().Sub(start))
	return v
}

// readTask makes a task of a document, which is what is in the file at path.
func readTask(path string, content []byte, ask bus.FileRequest) (bus.Task, error) {
	if ask.Content = content; path != standardInput {
		ask.Name = documentName.Replace(filepath.Base(path))
	}
	if err := ask.Validate(); err != nil {
		if len(content) == 0 {
			err = bus.Errorf(bus.CodeInvalid, "%s is empty", called(path))
		}
		return bus.Task{}, err
	}
	return bus.NewTask(bus.TypeFile, ask)
}

// document returns what is in a file, or comes from standard input.
func (a *app) document(ctx context.Context, path string) ([]byte, error) {
	in := a.in
	switch {
	case path == "":
		return nil, bus.Errorf(bus.CodeInvalid, "the name of the file is empty").WithHint("give its name; one out of a variable may be missing")
	case path != standardInput:
		f, err := input.Open(ctx, ofHome(path))
		switch {
		case err != nil && ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case errors.Is(err, fs.ErrNotExist):
			return nil, bus.Errorf(bus.CodeInvalid, "there is no file %s", path).WithHint("ls %s", bus.ShellWord(filepath.Dir(path)))
		case err != nil:
			return nil, bus.Errorf(bus.CodeInvalid, "read the document: %w", err)
		}
		defer f.Close()
		if i, err := f.Stat(); err == nil && i.IsDir() {
			return nil, bus.Errorf(bus.CodeInvalid, "%s is a folder", path).WithHint("name the files in it: %s", filepath.Join(path, "*"))
		}
		in = input.Until(ctx, f)
	}
	b, err := io.ReadAll(io.LimitReader(in, bus.MaxDocument+1))
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, bus.Errorf(bus.CodeInvalid, "read the document: %w", err)
	}
	if len(b) > bus.MaxDocument {
		return nil, bus.Errorf(bus.CodeTooLarge, "%s is over the limit of %d bytes (%d MiB)", called(path), bus.MaxDocument, bus.MaxDocument>>20)
	}
	return b, nil
}

// ofHome is a path that may begin in the user's home: a shell leaves that so in --file=~/FILE.
func ofHome(path string) string {
	if strings.HasPrefix(path, "~/") {
		return kong.ExpandPath(path)
	}
	return path
}

// textsOf has the swarm read files, and returns their texts, each under its name where there are several.
func (a *app) textsOf(ctx context.Context, conn *bus.Conn, files []string, ask bus.FileRequest) (texts []string, err error) {
	names := namesFrom(ctx, conn)
	err = a.readAll(ctx, conn, files, ask, "", func(v fileView) {
		if v.Error != nil {
			return
		}
		if !a.quiet {
			v.NodeName = nameOf(names(), v.NodeID)
		}
		a.hint("%s", v.footer())
		text := strings.TrimSpace(v.Text)
		if len(files) > 1 {
			text = "Document " + filepath.Base(called(v.File)) + ":\n\n" + text
		}
		texts = append(texts, text)
	})
	return texts, err
}
