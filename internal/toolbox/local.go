package toolbox

import (
	"context"
	"fmt"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Local is what one machine has, and one of its users may read. Its methods are called concurrently.
type Local interface {
	// Document makes a task that reads a file; its content is in req then.
	Document(ctx context.Context, path string, req bus.FileRequest) (bus.Task, error)
	// Libraries are the user's.
	Libraries() ([]Library, error)
	// Passages are the n best of libraries that tell of a question, the best first.
	Passages(ctx context.Context, libraries []string, question string, n int) ([]Passage, error)
}

// Library is one of the user's.
type Library struct {
	Name      string   `json:"name"`
	Documents int      `json:"documents"`
	Passages  int      `json:"passages"`
	Model     string   `json:"model,omitempty"`
	Sources   []string `json:"made_of"`
}

// Passage is a part of a document in a library.
type Passage struct {
	Library string
	// Place is the file, with the page where it has pages.
	Place, Text string
}

var readTool = &mcp.Tool{
	Name: "read_document", Title: "Read a document",
	Description: "Read a document of this machine as text: PDF, DOCX, ODT, PPTX, ODP, XLSX, ODS, EPUB, HTML and plain text. A machine of the swarm makes the text. " +
		"A long one comes in parts: the answer tells how to get the next, and pages picks some." + ofOthers,
	InputSchema: inputOf[readInput](),
	Annotations: &mcp.ToolAnnotations{Title: "Read a document", ReadOnlyHint: true, IdempotentHint: true, OpenWorldHint: new(false)},
}

type readInput struct {
	Path     string `json:"path" jsonschema:"the file, by its whole path"`
	Pages    string `json:"pages,omitempty" jsonschema:"of a PDF or of slides, these pages alone: 1-3,7 or 5-"`
	Format   string `json:"format,omitempty" jsonschema:"markdown (the default) or text"`
	Node     string `json:"node,omitempty" jsonschema:"the machine that must read it, by its name"`
	Offset   int    `json:"offset,omitempty" jsonschema:"the character to begin with, counted from 0"`
	MaxChars int    `json:"max_chars,omitempty" jsonschema:"how many characters to tell at most (default 30000, at most 200000)"`
}

func (b *Box) read(ctx context.Context, c *call, in readInput) ([]string, error) {
	size, err := span(in.Offset, in.MaxChars)
	if err != nil {
		return nil, err
	}
	t, err := b.cfg.Local.Document(ctx, in.Path, bus.FileRequest{Pages: in.Pages, Format: in.Format})
	if err != nil {
		return nil, err
	}
	s, err := b.cfg.Swarm.Status(ctx)
	if err != nil {
		return nil, err
	}
	if t.Node, err = pin(s.Nodes, in.Node); err != nil {
		return nil, err
	}
	end, doc, err := done[bus.FileResult](ctx, c, t, s.Nodes)
	if err != nil {
		return nil, err
	}
	text, note, err := window(doc.Text, in.Offset, size)
	if err != nil {
		return nil, err
	}
	about := "[" + doc.Kind
	if doc.Pages > 0 {
		about += fmt.Sprintf(", %d pages", doc.Pages)
	}
	if n := len(doc.PagesEmpty); n > 0 {
		about += fmt.Sprintf(", %d of them without text", n)
	}
	if doc.Truncated {
		about += ", longer than a node reads"
	}
	return []string{bus.Foreign(text), about + "; read by " + name(s.Nodes, end.NodeID) + note + "]"}, nil
}

var librariesTool = &mcp.Tool{
	Name: "list_libraries", Title: "List the user's libraries",
	Description: "List the user's libraries, as JSON: collections of documents whose passages search_library finds.",
	InputSchema: inputOf[nothing](),
	Annotations: &mcp.ToolAnnotations{Title: "List the user's libraries", ReadOnlyHint: true, IdempotentHint: true, OpenWorldHint: new(false)},
}

func (b *Box) libraries(context.Context, *call, nothing) ([]string, error) {
	all, err := b.cfg.Local.Libraries()
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return []string{"There are no libraries. To make one, the user can run: myco library add NAME FOLDER"}, nil
	}
	return object(struct {
		Libraries []Library `json:"libraries"`
	}{all})
}

var passagesTool = &mcp.Tool{
	Name: "search_library", Title: "Search the user's libraries",
	Description: "Find the passages in the user's own documents that tell of a question, by meaning and by words, each with the file and the page where it stands. list_libraries tells which libraries there are." + ofOthers,
	InputSchema: inputOf[passagesInput](),
	Annotations: &mcp.ToolAnnotations{Title: "Search the user's libraries", ReadOnlyHint: true, IdempotentHint: true, OpenWorldHint: new(false)},
}

type passagesInput struct {
	Question  string   `json:"question" jsonschema:"what to look for: a question, or words"`
	Libraries []string `json:"libraries,omitempty" jsonschema:"names of list_libraries; without any, all"`
	Most      int      `json:"max_results,omitempty" jsonschema:"how many passages to tell at most (default 8, at most 50)"`
}

const (
	passagesUsual = 8
	passagesMost  = 50
)

func (b *Box) passages(ctx context.Context, _ *call, in passagesInput) ([]string, error) {
	switch {
	case strings.TrimSpace(in.Question) == "":
		return nil, bus.Errorf(bus.CodeInvalid, "the question is empty")
	case in.Most < 0 || in.Most > passagesMost:
		return nil, bus.Errorf(bus.CodeInvalid, "max_results %d: want 1 to %d", in.Most, passagesMost)
	case in.Most == 0:
		in.Most = passagesUsual
	}
	if len(in.Libraries) == 0 {
		all, err := b.cfg.Local.Libraries()
		if err != nil {
			return nil, err
		}
		for _, l := range all {
			in.Libraries = append(in.Libraries, l.Name)
		}
	}
	if len(in.Libraries) == 0 {
		return nil, bus.Errorf(bus.CodeNotFound, "there are no libraries").WithHint("myco library add NAME FOLDER")
	}
	found, err := b.cfg.Local.Passages(ctx, in.Libraries, in.Question, in.Most)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return []string{"Nothing of that is in " + strings.Join(in.Libraries, ", ") + "."}, nil
	}
	var all strings.Builder
	for i, p := range found {
		if i > 0 {
			all.WriteString("\n\n")
		}
		fmt.Fprintf(&all, "[%d] %s (library %s):\n%s", i+1, p.Place, p.Library, p.Text)
	}
	text, rest := part(all.String(), 0, textMost)
	if rest != "" {
		return []string{bus.Foreign(text), "[" + rest + ": ask for fewer passages]"}, nil
	}
	return []string{bus.Foreign(text)}, nil
}
