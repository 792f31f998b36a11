package file

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gabriel-vasile/mimetype"

	"github.com/mycoswarm/mycoswarm/bus"
)

const (
	// slots is how many documents a node reads at once: a large one takes hundreds of megabytes.
	slots = 1
	// readTime is how long one may take. A PDF of a thousand pages takes seconds on a small machine.
	readTime = 2 * time.Minute
	// prepareTime is for what comes before the first PDF, see pdf.go.
	prepareTime = 5 * time.Minute
	// queued is how many documents may have to wait for one another, see Read.
	queued = 8
	// grace is how much later than the limit the watchdog looks, so that the error is ours.
	grace = 10 * time.Second
)

// Config is what a Handler is told.
type Config struct {
	// Cache is a folder for what is compiled of PDFium before the first PDF, and for nothing else: about 25 MB.
	// Empty: it is compiled after each start, which takes seconds.
	Cache string
	// Limit is how long one document may take. Default 2 min.
	Limit time.Duration
	// Memory is the most that PDFium may take, in bytes. Default 256 MiB.
	Memory int64
	// Reader is a program, with its arguments, that is Main: documents become text there. Empty: they do in
	// this process, which keeps the memory that a large one took.
	Reader []string
	// ReadMemory is the most that Reader may take, in bytes. Default 512 MiB.
	ReadMemory int64
}

// Handler reads documents. The payload of a task is a bus.FileRequest, its output bus.FileProgress where there is
// something to tell, its result a bus.FileResult.
type Handler struct {
	cfg Config
	pdf *pdfReader
	// reading holds the one document that is read at a time.
	reading chan struct{}
	// alone is set in a process that ends with the document.
	alone bool
}

var _ bus.Handler = (*Handler)(nil)

// New returns a handler. It loads nothing before the first PDF.
func New(c Config) *Handler {
	c.Limit, c.Memory, c.ReadMemory = cmp.Or(c.Limit, readTime), cmp.Or(c.Memory, pdfMemory), cmp.Or(c.ReadMemory, childMemory)
	return &Handler{cfg: c, pdf: &pdfReader{compiled: compiled{dir: c.Cache}, memory: c.Memory}, reading: make(chan struct{}, slots)}
}

// Close frees what the first PDF loaded. Nothing may be read any more.
func (h *Handler) Close(ctx context.Context) error { return h.pdf.compiled.close(ctx) }

// Capability implements bus.Handler.
func (*Handler) Capability(context.Context) (bus.Capability, error) {
	return bus.Capability{Type: bus.TypeFile, Slots: slots}, nil
}

// errSlow is the cause of a reading that took longer than its limit.
var errSlow = errors.New("the time for one document is over")

// Handle implements bus.Handler. Errors have CodeInvalid for a request that is none and a kind of document
// that is not read, CodeTooLarge for one over a limit, and CodeFailed for one that cannot be read: broken, with
// a password, without text. All of these are final, as another node would find the same. One that is marked
// by bus.Retry, with CodeUnavailable, is of this machine: PDFium does not start here.
func (h *Handler) Handle(ctx context.Context, t *bus.Task, emit bus.Emit) (any, error) {
	req, err := bus.Request[bus.FileRequest](t)
	if err != nil {
		return nil, err
	}
	if isPDF(req.Name, req.Content) && h.pdf.compiled.none() {
		if err := emit(bus.FileProgress{Status: "the node prepares its PDF reader, once: this may take a minute"}); err != nil {
			return nil, err
		}
	}
	res, err := h.Read(ctx, req)
	if err != nil {
		return nil, err
	}
	return res, nil
}

// Read is what a task has done, for handlers of other tasks, whose phases it sets: it makes text of a document,
// after those that were here before. Its errors are those of Handle, and the cause of ctx.
func (h *Handler) Read(ctx context.Context, req bus.FileRequest) (res bus.FileResult, err error) {
	if err := req.Validate(); err != nil {
		return res, err
	}
	bus.SetPhase(ctx, "wait", queued*(prepareTime+h.cfg.Limit+grace))
	select {
	case h.reading <- struct{}{}:
		defer func() { <-h.reading }()
	case <-ctx.Done():
		return res, context.Cause(ctx)
	}
	bus.SetPhase(ctx, "read", h.cfg.Limit+grace)
	req.Format = cmp.Or(req.Format, bus.FileMarkdown)
	if len(h.cfg.Reader) > 0 {
		res, err = h.readApart(ctx, req)
	} else {
		res, err = h.read(ctx, req)
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return res, err
}

// The kinds that are told apart by hand. What is plain text keeps what mimetype says of it.
const (
	kindPDF   = "application/pdf"
	kindDOCX  = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
	kindODT   = "application/vnd.oasis.opendocument.text"
	kindPPTX  = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
	kindODP   = "application/vnd.oasis.opendocument.presentation"
	kindXLSX  = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
	kindODS   = "application/vnd.oasis.opendocument.spreadsheet"
	kindEPUB  = "application/epub+zip"
	kindHTML  = "text/html"
	kindXHTML = "application/xhtml+xml"
	kindText  = "text/plain"
)

// read makes text of the document.
func (h *Handler) read(ctx context.Context, req bus.FileRequest) (bus.FileResult, error) {
	res, err := h.readKind(ctx, req)
	res.Format, res.Words = req.Format, len(strings.Fields(res.Text))
	return res, err
}

// readKind makes text of the document, by what its content is.
func (h *Handler) readKind(ctx context.Context, req bus.FileRequest) (bus.FileResult, error) {
	kind, is := kindOf(req.Name, req.Content)
	if req.Pages != "" && kind != kindPDF && kind != kindPPTX && kind != kindODP {
		return bus.FileResult{}, bus.Errorf(bus.CodeInvalid, "%s has no pages to choose from: it is %s", named(req.Name), kind).WithHint("leave out the pages")
	}
	if kind == kindPDF {
		return h.pdf.read(ctx, req, h.cfg.Limit)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, h.cfg.Limit, tooSlow(req.Name, h.cfg.Limit).WithHint("split it, and read its parts"))
	defer cancel()
	var res bus.FileResult
	var err error
	switch { // what else is read gets its case here
	case kind == kindDOCX:
		res, err = readDOCX(ctx, req)
	case kind == kindHTML:
		res, err = h.within(ctx, req, readHTML)
	case kind == kindODT:
		res, err = readODT(ctx, req)
	case kind == kindPPTX:
		res, err = readPPTX(ctx, req)
	case kind == kindODP:
		res, err = readODP(ctx, req)
	case kind == kindXLSX:
		res, err = h.within(ctx, req, readXLSX)
	case kind == kindODS:
		res, err = readODS(ctx, req)
	case kind == kindEPUB:
		res, err = h.within(ctx, req, readEPUB)
	case isText(is):
		res, err = readText(req)
	case isLocked(req.Content):
		return res, errLocked(req.Name)
	default:
		return res, errKind(req.Name, olderKind(kind, req.Content))
	}
	if ctx.Err() != nil {
		return res, context.Cause(ctx)
	}
	res.Kind = kind
	return res, err
}

func errLocked(name string) *bus.Error {
	return bus.Errorf(bus.CodeFailed, "%s has a password", named(name)).WithHint("save a copy without, with the program that wrote it")
}

func tooSlow(name string, limit time.Duration) *bus.Error {
	return bus.Errorf(bus.CodeFailed, "%s was not read within %v: %w", named(name), limit, errSlow).WithHint("read a part of it: --pages 1-50")
}

// htmlNames are the ends of names of files of HTML.
var htmlNames = []string{".html", ".htm", ".xhtml"}

// tableKinds are what prose is taken for that has as many commas in each paragraph.
var tableKinds = []string{"text/csv", "text/tab-separated-values"}

// kindOf tells what a document is, by its content; a name counts for text: one that is called otherwise is no
// HTML though it begins like it, as many files of Markdown do, and one that is called HTML may begin with
// something else.
func kindOf(name string, content []byte) (string, *mimetype.MIME) {
	pdf, is, made := isPDF(name, content), mimetype.Detect(content), officeKind(content)
	if is.Is(kindPDF) && !pdf {
		is = mimetype.Lookup(kindText)
	}
	kind, _, _ := strings.Cut(is.String(), ";")
	switch ext := strings.ToLower(path.Ext(name)); {
	case pdf:
		kind = kindPDF
	case made != "":
		kind = made
	case kind == "application/zip" && isEPUB(content):
		kind = kindEPUB
	case kind == kindXHTML, slices.Contains(htmlNames, ext) && isText(is):
		kind = kindHTML
	case kind == kindHTML && ext != "" && !slices.Contains(htmlNames, ext):
		kind = kindText
		is = mimetype.Lookup(kind)
	case slices.Contains(tableKinds, kind) && ext != "" && ext != ".csv" && ext != ".tsv" && ext != ".tab":
		kind = kindText
		is = mimetype.Lookup(kind)
	case is.Parent() == nil && utf8.Valid(content) && !bytes.ContainsRune(content, 0): // with colours of a terminal, say
		kind = kindText
		is = mimetype.Lookup(kind)
	}
	return kind, is
}

// isText reports whether a kind is text that is read as it is.
func isText(is *mimetype.MIME) bool {
	if is.Is(kindHTML) || is.Is("text/rtf") {
		return false
	}
	for m := is; m != nil; m = m.Parent() {
		if m.Is(kindText) {
			return true
		}
	}
	return false
}

// named is what a document is called in an error.
func named(name string) string {
	if name == "" {
		return "the document"
	}
	return fmt.Sprintf("%q", name)
}
