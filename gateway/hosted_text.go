package gateway

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/mycoswarm/mycoswarm/bus"
)

// foreign is a text from the web as the model gets to read it: clients do not see the marks.
func foreign(text string) string { return bus.NeverObey + "\n\n" + bus.Marked(text) }

// pageText is what the model gets to read of a page.
func pageText(title, url, text string) string { return foreign(title + "\n" + url + "\n\n" + text) }

// text is what the model gets to read.
func (f *finding) text() string {
	switch {
	case f.err != nil:
		return "It failed: " + f.err.Message
	case f.call.Name == pageTool:
		return pageText(f.page.Title, f.page.URL, f.page.Text)
	}
	return hitsText(f.hits)
}

func hitsText(hits []bus.SearchHit) string {
	if len(hits) == 0 {
		return "Nothing was found."
	}
	var b strings.Builder
	for _, h := range hits {
		fmt.Fprintf(&b, "%s\n%s\n%s\n\n", h.Title, h.URL, h.Content)
	}
	return foreign(strings.TrimSuffix(b.String(), "\n\n"))
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
