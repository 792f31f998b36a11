package file

import (
	"fmt"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

// slide is one of a presentation.
type slide struct {
	title       string
	text, notes writer
	hidden      bool
}

// deck is the text of slides, as it is made. They are pages: citations tell them by the marks, and they can be chosen from.
type deck struct {
	name   string
	plain  bool
	spec   string // which are asked for
	pages  bus.Pages
	out    writer
	read   int
	empty  []int
	number int // of slides in all, or of the one that is being read
}

// newDeck returns one for what is asked for, whose pages are valid.
func newDeck(req bus.FileRequest) (*deck, error) {
	pages, err := bus.ParsePages(req.Pages)
	return &deck{name: req.Name, plain: req.Format == bus.FileText, spec: req.Pages, pages: pages}, err
}

// wants reports whether slide n is to be added, and counts it.
func (d *deck) wants(n int) bool {
	if d.out.full || !d.pages.Has(n) {
		return false
	}
	if d.read++; d.read > maxPDFPages {
		d.out.full = true
	}
	return !d.out.full
}

// add puts slide n, which is wanted, behind those before it.
func (d *deck) add(n int, s *slide) {
	text, notes := s.text.b.String(), s.notes.b.String()
	if s.title == "" && text == "" && notes == "" {
		d.empty = append(d.empty, n)
		return
	}
	head := fmt.Sprintf("Slide %d", n)
	if !d.plain {
		head = "# " + head
	}
	if s.hidden {
		head += " (hidden)"
	}
	if s.title != "" {
		head += ": " + s.title
	}
	d.out.add(fmt.Sprintf("[page %d]\n\n%s\n\n", n, head))
	d.out.add(pageMark.ReplaceAllString(text, "($1)"))
	if notes != "" {
		d.out.add("Speaker notes:\n\n" + pageMark.ReplaceAllString(notes, "($1)"))
	}
}

// into puts the text of the slides into res.
func (d *deck) into(res *bus.FileResult) error {
	res.Pages, res.PagesEmpty = d.number, d.empty
	if d.read == 0 && d.number > 0 {
		return errNoPage(named(d.name), d.spec, d.number)
	}
	return d.out.into(res, d.name)
}

// isFurniture tells of a placeholder, by its name in PPTX or ODP, that what stands in it is not of the slide itself: the date,
// the number, what is at the foot of all slides, and in notes the picture of the slide.
func isFurniture(placeholder string) bool {
	switch placeholder {
	case "dt", "ftr", "sldNum", "hdr", "sldImg", "date-time", "footer", "page-number", "header", "page":
		return true
	}
	return false
}

// put takes the text of a shape, which stands in a placeholder or in none, into the slide.
func (s *slide) put(text, placeholder string, ofNotes bool) {
	text = strings.Trim(text, "\n")
	switch title := placeholder == "title" || placeholder == "ctrTitle"; {
	case isFurniture(placeholder) || strings.TrimSpace(text) == "":
	case ofNotes:
		s.notes.add(text + "\n\n")
	case title && s.title == "":
		s.title = strings.Join(strings.Fields(text), " ")
	default:
		s.text.add(text + "\n\n")
	}
}
