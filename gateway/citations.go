package gateway

import (
	"strings"
	"unicode/utf8"

	"github.com/mycoswarm/mycoswarm/bus"
)

// seen is what was found, and read, for an answer.
type seen []bus.SearchHit

func (s *seen) add(f *finding) {
	*s = append(*s, f.hits...)
	if f.page.URL != "" {
		*s = append(*s, bus.SearchHit{URL: f.page.URL, Title: f.page.Title})
	}
}

// citation is a place of a text that names a page. Start and End are counted in letters.
type citation struct {
	URL   string `json:"url"`
	Title string `json:"title"`
	Start int    `json:"start_index"`
	End   int    `json:"end_index"`
}

// citations are the places of a text that name what was found.
func (s seen) citations(text string) (out []citation) {
	told := map[string]bool{}
	for _, h := range s {
		if told[h.URL] {
			continue
		}
		told[h.URL] = true
		letters, counted := 0, 0 // of the text before counted
		for from := 0; ; {
			at := strings.Index(text[from:], h.URL)
			if at < 0 {
				break
			}
			at += from
			from = at + len(h.URL)
			if !endsAddress(text[from:]) {
				continue // another page, whose address begins with this one's
			}
			letters, counted = letters+utf8.RuneCountInString(text[counted:at]), at
			out = append(out, citation{h.URL, h.Title, letters, letters + utf8.RuneCountInString(h.URL)})
		}
	}
	return out
}
