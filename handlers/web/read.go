package web

import (
	"mime"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html/charset"

	"github.com/mycoswarm/mycoswarm/bus"
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
	if readerOf(p.media) == nil {
		return bus.Errorf(bus.CodeFailed, "the page is %q: pages of HTML and text are read, and no other kinds", p.media)
	}
	return nil
}

// read makes the result of p.
func (p *page) read(req bus.FetchRequest) (bus.FetchResult, error) {
	res := bus.FetchResult{
		URL: p.url.String(), Status: p.status, ContentType: clean(p.contentType), Format: req.Format,
		Bytes: len(p.body), Truncated: p.cut, FetchedAt: p.at,
	}
	read := readerOf(p.media)
	if req.Format == bus.FormatRaw {
		read = readText
	}
	if err := read(p, req, &res); err != nil {
		return res, err
	}
	if len(res.Text) > req.MaxBytes {
		res.Text, res.Truncated = whole(res.Text[:req.MaxBytes]), true
	}
	return res, nil
}

// readText is the reader of what is text already.
func readText(p *page, _ bus.FetchRequest, res *bus.FetchResult) error {
	res.Text = clean(p.decode(readerOf(p.media) != nil && isHTML(p.media)))
	return nil
}

func isHTML(media string) bool { return media == "text/html" || media == "application/xhtml+xml" }

// decode returns the page as a string of UTF-8. Its charset is that of a byte order mark, of the header, or
// of what HTML tells of itself, in this order. A page that tells none is UTF-8 where it can be, and else
// windows-1252, of which Latin-1 is a part: that is how browsers take it.
func (p *page) decode(asHTML bool) string {
	head := p.body
	if !asHTML {
		head = head[:min(3, len(head))] // room for the mark alone: a text about HTML is not to be taken at its word
	}
	e, _, certain := charset.DetermineEncoding(head, p.contentType)
	if !certain && utf8.Valid(withoutHalf(p.body)) {
		return withoutMark(string(p.body))
	}
	b, err := e.NewDecoder().Bytes(p.body)
	if err != nil {
		b = p.body // no decoder fails at what it does not know, but puts a mark in its place
	}
	return withoutMark(string(b))
}

func withoutMark(s string) string {
	return strings.TrimPrefix(strings.ToValidUTF8(s, "\ufffd"), "\ufeff")
}

// withoutHalf returns b without the beginning of a character at its end.
func withoutHalf(b []byte) []byte {
	for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
		if c := b[len(b)-i]; utf8.RuneStart(c) {
			if !utf8.FullRune(b[len(b)-i:]) {
				return b[:len(b)-i]
			}
			break
		}
	}
	return b
}

// whole is withoutHalf for a string.
func whole(s string) string { return string(withoutHalf([]byte(s))) }

// clean takes out what steers a terminal and stands for nothing to read.
func clean(s string) string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\r':
			return '\n'
		case unicode.IsControl(r) && r != '\n' && r != '\t':
			return -1
		}
		return r
	}, s)
}
