package gateway

import (
	"strings"
	"unicode/utf8"

	"github.com/mycoswarm/mycoswarm/bus"
)

// text is what the model gets to read.
func (f *finding) text() string {
	switch {
	case f.err != nil:
		return "It failed: " + f.err.Message
	case f.call.Name == pageTool:
		return bus.ForeignPage(f.page.Title, f.page.URL, f.page.Text)
	}
	return bus.ForeignHits(f.hits)
}

// cut is the first most bytes of a text, whole letters. The rest is not held.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return strings.Clone(text[:most])
}

// namesPage reports whether a text names a page's address, whole but for a slash at its end.
func namesPage(text, page string) bool {
	page = strings.TrimSuffix(page, "/")
	for {
		_, rest, ok := strings.Cut(text, page)
		if !ok || page == "" {
			return false
		}
		if endsAddress(strings.TrimPrefix(rest, "/")) {
			return true
		}
		text = rest
	}
}

// endsAddress reports whether an address is whole before rest: else another one begins with it. What is behind a # is not sent.
func endsAddress(rest string) bool {
	rest = strings.TrimLeft(rest, ".,;:!?*_~|'")
	return rest == "" || rest[0] >= utf8.RuneSelf || strings.ContainsRune(" \t\r\n()[]{}<>\"`\\#", rune(rest[0]))
}
