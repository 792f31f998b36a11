package markup

import (
	"regexp"
	"strings"

	"golang.org/x/net/html"
)

var exponent = regexp.MustCompile(`^[+\-−–]?[0-9n][0-9n.,]*$`)

// Raised is a text that stands raised, as it is read where nothing can be raised: 10 and a raised 6 are 10^6, and no 106.
func Raised(s string) string {
	if text := strings.TrimSpace(s); exponent.MatchString(text) {
		return "^" + text
	}
	return s
}

// lower puts what is raised in a page into its line.
func lower(sup *html.Node) {
	if text := sup.FirstChild; text != nil && text.Type == html.TextNode && text.NextSibling == nil {
		text.Data = Raised(text.Data)
	}
}
