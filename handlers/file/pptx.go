package file

import (
	"cmp"
	"context"
	"encoding/xml"
	"strconv"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

// The lists of slides, as a body knows them: by the number of a list.
const (
	bullets = "bullets"
	numbers = "numbers"
)

// pptx is a slide of a PPTX, or its notes, as it is read (ECMA-376, part 1, 19 to 21).
type pptx struct {
	*body       // of the present shape
	slide       *slide
	ofNotes     bool
	placeholder string // what the shape is for; empty where it is no placeholder
	run         bool   // inside of a:r
	bare        bool   // the shape has no bullets where a paragraph tells of none
	told        bool   // a paragraph of it has told
	items       int
}

// readPPTX makes text of a PPTX.
func readPPTX(ctx context.Context, req bus.FileRequest) (bus.FileResult, error) {
	var res bus.FileResult
	fail := func(err error) (bus.FileResult, error) { return res, unreadable(req.Name, "PPTX", err) }
	a, err := openArchive(ctx, req.Content)
	if err != nil {
		return fail(err)
	}
	d, err := newDeck(req)
	if err != nil {
		return res, err
	}
	slides, err := a.slides(mainPart(a.zip, kindPPTX))
	if err != nil {
		return fail(err)
	}
	d.number = len(slides)
	for i, part := range slides {
		if !d.wants(i + 1) {
			continue
		}
		var s slide
		if err := a.slide(part, d.plain, &s); err != nil {
			return fail(err)
		}
		d.add(i+1, &s)
	}
	if err := a.part("docProps/core.xml", false, func(x *xml.Decoder) error { return readCore(x, &res) }); err != nil {
		return fail(err)
	}
	err = d.into(&res)
	return res, err
}

// slides are the parts that are slides, in their order.
func (a *archive) slides(main string) (parts []string, err error) {
	relations, err := a.relations(main)
	if err != nil {
		return nil, err
	}
	err = a.part(main, true, func(x *xml.Decoder) error {
		return each(x, func(e xml.StartElement) {
			if id := related(e); e.Name.Local == "sldId" && id != "" { // sections name them, too, without their part
				parts = append(parts, relations[id].target)
			}
		}, ignore, ignore)
	})
	return parts, err
}

// slide reads one, and its notes, into s.
func (a *archive) slide(part string, plain bool, s *slide) error {
	relations, err := a.relations(part)
	if err != nil {
		return err
	}
	links, notes := map[string]string{}, ""
	for id, r := range relations {
		switch r.typ {
		case "hyperlink":
			links[id] = oneLine(r.target)
		case "notesSlide":
			notes = r.target
		}
	}
	if err := a.part(part, true, newPPTX(s, plain, links, false).read); err != nil || notes == "" {
		return err
	}
	return a.part(notes, false, newPPTX(s, plain, nil, true).read)
}

func newPPTX(s *slide, plain bool, links map[string]string, ofNotes bool) *pptx {
	counted := map[string]bool{}
	for level := range 9 {
		counted[numbers+" "+strconv.Itoa(level)] = true
	}
	return &pptx{body: &body{plain: plain, links: links, numbers: counted}, slide: s, ofNotes: ofNotes}
}

func (p *pptx) read(x *xml.Decoder) error {
	return each(x, p.start, p.end, func(s string) { p.chars(s) }) // of the shape that is read then
}

func (p *pptx) start(e xml.StartElement) {
	if p.skip > 0 {
		p.body.start(e)
		return
	}
	switch name := e.Name.Local; name {
	case "sld":
		p.slide.hidden = attr(e, "show") == "0" || attr(e, "show") == "false"
	case "sp", "graphicFrame":
		p.shape()
	case "ph":
		p.placeholder = cmp.Or(attr(e, "type"), "obj")
	case "r", "fld":
		p.run = true
	case "rPr":
		baseline, _ := strconv.Atoi(attr(e, "baseline"))
		p.raised = baseline > 0
	case "pPr":
		p.para().depth, _ = strconv.Atoi(attr(e, "lvl"))
	case "buNone", "buChar", "buBlip", "buAutoNum":
		p.bullet(name)
	case "hlinkClick":
		if p.run {
			p.beginLink(p.para(), p.links[related(e)])
		}
	default:
		if p.body.start(e); name == "p" && p.isList() && p.table() == nil {
			p.para().num = bullets
		}
	}
}

// shape begins a shape.
func (p *pptx) shape() {
	p.body = &body{plain: p.plain, links: p.links, numbers: p.numbers}
	p.placeholder, p.run, p.bare, p.told, p.items = "", false, false, false, 0
}

// isList reports whether the shape has bullets of itself: it is a placeholder for text that is neither title nor subtitle.
func (p *pptx) isList() bool {
	return !p.bare && !p.ofNotes && (p.placeholder == "obj" || p.placeholder == "body")
}

// bullet takes in what a paragraph, or else the style of the shape, tells of what stands before it.
func (p *pptx) bullet(name string) {
	list := map[string]string{"buNone": "", "buAutoNum": numbers}
	num, known := list[name]
	if !known {
		num = bullets
	}
	if len(p.paras) == 0 {
		p.bare = p.bare || name == "buNone"
		return
	}
	p.para().num, p.told = num, true
}

func (p *pptx) end(name string) {
	if p.skip > 0 {
		p.body.end(name)
		return
	}
	switch name {
	case "r", "fld":
		p.run, p.raised = false, false
		p.endLink(p.para())
	case "sp", "graphicFrame":
		text := p.out.b.String()
		if p.items == 1 && !p.told { // a list of one thing is a sentence
			text = strings.ReplaceAll(strings.TrimPrefix(text, "- "), "\n   ", "\n")
		}
		p.slide.put(text, p.placeholder, p.ofNotes)
		p.shape()
	case "p":
		if p.para().num != "" && strings.TrimSpace(p.para().b.String()) != "" {
			p.items++
		}
		p.body.end(name)
	default:
		p.body.end(name)
	}
}
