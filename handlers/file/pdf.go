package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/klippa-app/go-pdfium"
	pdferr "github.com/klippa-app/go-pdfium/errors"
	"github.com/klippa-app/go-pdfium/references"
	"github.com/klippa-app/go-pdfium/requests"
	"github.com/klippa-app/go-pdfium/webassembly"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/mycoswarm/mycoswarm/bus"
)

const (
	// pdfMemory is the most that PDFium may take for a document, in bytes, beside the document itself.
	pdfMemory = 256 << 20
	// wasmPage is the unit of WebAssembly's memory, in bytes.
	wasmPage = 64 << 10
	// pdfHead is where the mark of a PDF may be, in bytes from its beginning: readers take what is before it.
	pdfHead = 1024
	// maxPDFPages is the most pages that are read of one document.
	maxPDFPages = 20_000
	// maxBadPages is how many pages that cannot be read make a document broken.
	maxBadPages = 100
)

// isPDF reports whether a document is a PDF. Its mark may stand behind something else; so it does in a text that tells of
// PDFs.
func isPDF(name string, content []byte) bool {
	mark, head := []byte("%PDF-"), content[:min(len(content), pdfHead)]
	if bytes.HasPrefix(bytes.TrimLeft(head, "\ufeff \t\r\n"), mark) {
		return true
	}
	return bytes.Contains(head, mark) && (strings.EqualFold(path.Ext(name), ".pdf") || !utf8.Valid(content))
}

// pdfReader runs PDFium. Each document gets an instance of its own, with new memory, and what it did goes
// with it; what PDFium was compiled to stays.
type pdfReader struct {
	memory   int64
	compiled compiled
}

// start returns a PDFium that ends with ctx, without files, network or a clock to wait on.
func (p *pdfReader) start(ctx context.Context) (pool pdfium.Pool, err error) {
	err = p.compiled.use(ctx, func(cache wazero.CompilationCache) (err error) {
		pool, err = webassembly.Init(webassembly.Config{
			Context: ctx, MaxTotal: 1,
			FSConfig: wazero.NewFSConfig(), Stdout: io.Discard, Stderr: io.Discard,
			RuntimeConfig: wazero.NewRuntimeConfig().
				WithCoreFeatures(api.CoreFeaturesV2 | experimental.CoreFeaturesExceptionHandling).
				WithMemoryLimitPages(uint32(p.memory / wasmPage)).
				WithCloseOnContextDone(true).
				WithCompilationCache(cache),
		})
		return err
	})
	return pool, err
}

// read makes text of a PDF within limit, which counts from when PDFium is there.
func (p *pdfReader) read(ctx context.Context, req bus.FileRequest, limit time.Duration) (res bus.FileResult, err error) {
	bus.SetPhase(ctx, "prepare", prepareTime)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	pool, err := p.start(ctx)
	if err != nil {
		return res, bus.Retry(bus.Errorf(bus.CodeUnavailable, "PDFium does not start here: %w", err))
	}
	defer func() { _ = pool.Close() }() // it has closed what it could
	f, err := pool.GetInstanceWithContext(ctx)
	if err != nil {
		return res, bus.Retry(bus.Errorf(bus.CodeUnavailable, "PDFium does not start here: %w", err))
	}
	bus.SetPhase(ctx, "read", limit+grace)
	from := time.Now()
	slow := time.AfterFunc(limit, func() { cancel(tooSlow(req.Name, limit)) })
	defer slow.Stop()
	res, err = readPDF(f, req)
	if time.Since(from) > limit {
		cancel(tooSlow(req.Name, limit)) // the timer may be late where the machine is busy
	}
	if ctx.Err() != nil { // whatever came of it
		return res, context.Cause(ctx)
	}
	return res, err
}

// openPDF opens a document, and tells how many pages it has.
func openPDF(f pdfium.Pdfium, req bus.FileRequest) (doc references.FPDF_DOCUMENT, pages int, err error) {
	name := named(req.Name)
	opened, err := f.OpenDocument(&requests.OpenDocument{FileReader: bytes.NewReader(req.Content), FileReaderSize: int64(len(req.Content))})
	switch {
	case errors.Is(err, pdferr.ErrPassword):
		return doc, 0, bus.Errorf(bus.CodeFailed, "%s has a password", name).
			WithHint("make a copy without: qpdf --decrypt --password=... IN.pdf OUT.pdf")
	case errors.Is(err, pdferr.ErrSecurity):
		return doc, 0, bus.Errorf(bus.CodeFailed, "%s is encrypted in a way that is not known", name)
	case err != nil:
		return doc, 0, broken(name, err)
	}
	count, err := f.FPDF_GetPageCount(&requests.FPDF_GetPageCount{Document: opened.Document})
	if err != nil {
		return doc, 0, broken(name, err)
	}
	return opened.Document, count.PageCount, nil
}

func readPDF(f pdfium.Pdfium, req bus.FileRequest) (res bus.FileResult, err error) {
	name := named(req.Name)
	doc, count, err := openPDF(f, req)
	if err != nil {
		return res, err
	}
	pages, err := bus.ParsePages(req.Pages)
	if err != nil {
		return res, err
	}
	res.Kind, res.Pages = kindPDF, count
	res.Title, res.Author = about(f, doc, "Title"), about(f, doc, "Author")
	var w writer
	read, bad, failed := 0, error(nil), 0
	for n := 1; n <= count && !w.full; n++ {
		if !pages.Has(n) {
			continue
		}
		if read++; read > maxPDFPages {
			w.full = true
			break
		}
		text, err := pageText(f, doc, n)
		switch {
		case err != nil:
			bad = fmt.Errorf("page %d: %w", n, err)
			if failed++; failed >= maxBadPages {
				return res, broken(name, bad)
			}
			res.PagesEmpty = append(res.PagesEmpty, n)
		case text == "":
			res.PagesEmpty = append(res.PagesEmpty, n)
		default:
			w.add(fmt.Sprintf("[page %d]\n\n%s\n\n", n, text))
		}
	}
	switch {
	case count == 0:
		return res, bus.Errorf(bus.CodeFailed, "%s has no pages", name)
	case read == 0:
		return res, errNoPage(name, req.Pages, count)
	case len(res.PagesEmpty) == read && bad != nil:
		return res, broken(name, bad)
	case len(res.PagesEmpty) == read:
		return res, bus.Errorf(bus.CodeFailed, "%s has no text in the pages that were read (%d): they are pictures, such as of a scanner", name, read).
			WithHint("recognise the text first: ocrmypdf IN.pdf OUT.pdf")
	}
	res.Text, res.Truncated = w.text()
	return res, nil
}

func errNoPage(name, pages string, last int) *bus.Error {
	return bus.Errorf(bus.CodeInvalid, "%s has no page among %s: its last one is %d", name, pages, last)
}

// broken is the error for a PDF that PDFium cannot read, or that stopped it: where it was then is in the lines below.
func broken(name string, err error) *bus.Error {
	const help = "open it in a viewer, and where that shows it, print it to a new PDF there; or try: qpdf IN.pdf OUT.pdf"
	if errors.Is(err, pdferr.ErrFormat) { // it says so by a number
		return bus.Errorf(bus.CodeFailed, "%s is broken, or no PDF at all", name).WithHint(help)
	}
	why, _, _ := strings.Cut(err.Error(), "\n")
	return bus.Errorf(bus.CodeFailed, "%s is broken, or no PDF that can be read: %s", name, why).WithHint(help)
}

// pageText returns the text of page n, counted from 1; empty where it has none.
func pageText(f pdfium.Pdfium, doc references.FPDF_DOCUMENT, n int) (string, error) {
	page, err := f.FPDF_LoadPage(&requests.FPDF_LoadPage{Document: doc, Index: n - 1})
	if err != nil {
		return "", err
	}
	text, err := f.GetPageText(&requests.GetPageText{Page: requests.Page{ByReference: &page.Page}})
	if err != nil {
		return "", err
	}
	if _, err := f.FPDF_ClosePage(&requests.FPDF_ClosePage{Page: page.Page}); err != nil {
		return "", err
	}
	return pageMark.ReplaceAllString(strings.TrimSpace(clean(hyphens.Replace(text.Text))), "($1)"), nil
}

// pageMark is a line of a page that looks like the one that readPDF puts before each: what follows would be told as of
// another page.
var pageMark = regexp.MustCompile(`(?m)^\[(page \d+)\]$`)

// hyphens joins words that a line's end divides: PDFium marks those by U+0002 or U+FFFE.
var hyphens = strings.NewReplacer("\x02\r\n", "", "\x02\n", "", "\ufffe\r\n", "", "\ufffe\n", "", "\x02", "", "\ufffe", "")

// about is what a document says of itself under a tag; empty where it says nothing.
func about(f pdfium.Pdfium, doc references.FPDF_DOCUMENT, tag string) string {
	m, err := f.FPDF_GetMetaText(&requests.FPDF_GetMetaText{Document: doc, Tag: tag})
	if err != nil {
		return ""
	}
	return oneLine(m.Value)
}

// oneLine is what a document says of itself, within bounds.
func oneLine(s string) string {
	const most = 500
	r := []rune(strings.Join(strings.Fields(clean(s)), " "))
	return string(r[:min(len(r), most)])
}
