package web

import (
	"mime"
	"slices"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers/markup"
)

// reader makes the text of a page, and may fill in what the page tells of itself.
type reader func(p *page, req bus.FetchRequest, res *bus.FetchResult) error

// readerOf returns what reads a media type; nil where nothing does. A kind of document that is not text in
// itself gets its reader here.
func readerOf(media string) reader {
	main, sub, _ := strings.Cut(media, "/")
	switch {
	case media == "text/html", media == "application/xhtml+xml":
		return readHTML
	case main == "text", main == "application" && isText(sub):
		return readText
	}
	return nil
}

// textTypes are the application types that are text, beside those that end in one of them.
var textTypes = []string{"json", "xml", "yaml", "toml", "javascript", "markdown", "x-ndjson", "x-yaml", "x-javascript", "x-sh", "sql"}

func isText(sub string) bool {
	_, suffix, _ := strings.Cut(sub, "+")
	return slices.Contains(textTypes, sub) || suffix == "json" || suffix == "xml" || suffix == "yaml"
}

// mediaOf is the media type of a Content-Type; one that cannot be read stands for itself.
func mediaOf(contentType string) string {
	media, _, err := mime.ParseMediaType(contentType)
	if media == "" || err != nil && !strings.Contains(media, "/") {
		media, _, _ = strings.Cut(contentType, ";")
		media = strings.ToLower(strings.TrimSpace(media))
	}
	return media
}

// readable reports a page of a type that nothing here reads.
func (p *page) readable() error {
	if readerOf(p.media) == nil && !isDocument(p.media) {
		return unknown(p.media, "pages of HTML and text, PDF, DOCX, ODT, PPTX, ODP, XLSX, ODS and EPUB are read")
	}
	return nil
}

func unknown(media, read string) *bus.Error {
	return bus.Errorf(bus.CodeFailed, "the page is %q: %s, and no other kinds", media, read)
}

// read makes the result of p.
func (p *page) read(req bus.FetchRequest) (bus.FetchResult, error) {
	res := p.result(req)
	read := readerOf(p.media)
	if req.Format == bus.FormatRaw {
		read = readText
	}
	if err := read(p, req, &res); err != nil {
		return res, err
	}
	shorten(&res, req)
	return res, nil
}

// result is the result of p without its text.
func (p *page) result(req bus.FetchRequest) bus.FetchResult {
	return bus.FetchResult{
		URL: p.url.String(), Status: p.status, ContentType: markup.Clean(p.contentType), Format: req.Format,
		Bytes: len(p.body), Truncated: p.cut, FetchedAt: p.at,
	}
}

// shorten cuts a text that is longer than what was asked for.
func shorten(res *bus.FetchResult, req bus.FetchRequest) {
	if len(res.Text) > req.MaxBytes {
		res.Text, res.Truncated = markup.Whole(res.Text[:req.MaxBytes]), true
	}
}

// readHTML is the reader of HTML.
func readHTML(p *page, req bus.FetchRequest, res *bus.FetchResult) error {
	source, _ := markup.Decode(p.body, p.contentType, true)
	doc, err := markup.Read(source, p.url, req.Format == bus.FormatText)
	if err != nil {
		return unread(err)
	}
	res.Title, res.Byline, res.Site, res.Published, res.Text = doc.Title, doc.Byline, doc.Site, doc.Published, doc.Text
	res.Truncated = res.Truncated || doc.Cut
	return nil
}

func unread(err error) error {
	return bus.Errorf(bus.CodeFailed, "no text can be made of the page: %w", err).WithHint("myco fetch --format raw URL")
}

// readText is the reader of what is text already.
func readText(p *page, _ bus.FetchRequest, res *bus.FetchResult) error {
	text, _ := markup.Decode(p.body, p.contentType, isHTML(p.media))
	res.Text = markup.Clean(text)
	return nil
}

func isHTML(media string) bool { return media == "text/html" || media == "application/xhtml+xml" }
