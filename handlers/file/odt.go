package file

import (
	"cmp"
	"context"
	"encoding/xml"
	"strconv"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

// odtNames are the elements of an ODT that mean what one of a DOCX does, with the name of that.
var odtNames = map[string]string{"table": "tbl", "table-row": "tr", "table-cell": "tc", "covered-table-cell": "tc"}

// odtUnread are elements with text that nobody reads in a document: what was deleted, comments, and marks of notes, which are
// made anew.
var odtUnread = map[string]bool{"tracked-changes": true, "annotation": true, "note-citation": true, "forms": true, "scripts": true}

// odtSpaces is the most blanks that one element stands for.
const odtSpaces = 100

// odt is the text of an ODT, as it is made (OpenDocument 1.3, part 3).
type odt struct {
	*body
	lists []string        // the styles of the lists around the present paragraph, the outermost first
	item  bool            // an item of a list begins
	style string          // of lists, which is being read
	named string          // the style of texts that is being read
	super map[string]bool // the styles of texts that stand raised
	spans []string        // the styles of the texts around the present one
	above []*body         // the texts in which a note stands
}

// readODT makes text of an ODT.
func readODT(ctx context.Context, req bus.FileRequest) (bus.FileResult, error) {
	var res bus.FileResult
	o := &odt{body: &body{plain: req.Format == bus.FileText, numbers: map[string]bool{}}}
	if err := readOpenDocument(ctx, req, "ODT", &res, o.readStyles, o.read); err != nil {
		return res, err
	}
	err := o.out.into(&res, req.Name)
	return res, err
}

// readOpenDocument has styles and content read those parts of a document of a kind, and puts what it says of itself into res.
func readOpenDocument(ctx context.Context, req bus.FileRequest, kind string, res *bus.FileResult, styles, content func(*xml.Decoder) error) error {
	a, err := openArchive(ctx, req.Content)
	if err != nil {
		return unreadable(req.Name, kind, err)
	}
	locked := false
	for _, part := range []struct {
		name string
		take func(*xml.Decoder) error
		must bool
	}{
		{"META-INF/manifest.xml", func(x *xml.Decoder) error {
			return each(x, func(e xml.StartElement) { locked = locked || e.Name.Local == "encryption-data" }, ignore, ignore)
		}, false},
		{"styles.xml", styles, false},
		{"meta.xml", func(x *xml.Decoder) error { return readCore(x, res) }, false},
		{"content.xml", content, true},
	} {
		if err := a.part(part.name, part.must, part.take); err != nil && !locked {
			return unreadable(req.Name, kind, err)
		}
		if locked {
			return errLocked(req.Name)
		}
	}
	return nil
}

// readStyles reads which lists are numbered.
func (o *odt) readStyles(x *xml.Decoder) error { return each(x, o.textStyle, ignore, ignore) }

// textStyle takes in the style of a list, or of a text.
func (o *odt) textStyle(e xml.StartElement) {
	switch e.Name.Local {
	case "style":
		o.named = attr(e, "name")
	case "text-properties":
		where, _, _ := strings.Cut(attr(e, "text-position"), " ") // a percentage, or super or sub
		if above, _ := strconv.Atoi(strings.TrimSuffix(where, "%")); above > 0 || where == "super" {
			if o.super == nil {
				o.super = map[string]bool{}
			}
			o.super[o.named] = true
		}
	case "list-style":
		o.style = attr(e, "name")
	case "list-level-style-number":
		level, _ := strconv.Atoi(attr(e, "level"))
		o.numbers[o.style+" "+strconv.Itoa(level-1)] = true
	}
}

// read makes text of the content.
func (o *odt) read(x *xml.Decoder) error {
	err := each(x, o.start, o.end, o.chars)
	o.finish()
	return err
}

// chars takes in the text within a paragraph.
func (o *odt) chars(s string) {
	if o.skip > 0 || len(o.paras) == 0 || o.out.full {
		return
	}
	n := len(o.spans)
	o.put(odtBlanks.Replace(s), n > 0 && o.super[o.spans[n-1]])
}

// odtBlanks makes blanks of what has elements where it is meant.
var odtBlanks = strings.NewReplacer("\n", " ", "\t", " ")

func (o *odt) start(e xml.StartElement) {
	name := e.Name.Local
	if o.skip > 0 || odtUnread[name] {
		o.skip++
		return
	}
	switch name {
	case "list":
		outer := ""
		if n := len(o.lists); n > 0 {
			outer = o.lists[n-1]
		}
		o.lists = append(o.lists, cmp.Or(attr(e, "style-name"), outer, "list"))
	case "list-item":
		o.item = true
	case "p", "h":
		p := &para{}
		if name == "h" {
			p.level, _ = strconv.Atoi(cmp.Or(attr(e, "outline-level"), "1"))
		}
		if n := len(o.lists); o.item && n > 0 {
			p.num, p.depth, o.item = o.lists[n-1], n-1, false
		}
		o.paras = append(o.paras, p)
	case "s":
		n, _ := strconv.Atoi(cmp.Or(attr(e, "c"), "1"))
		o.write(strings.Repeat(" ", max(0, min(n, odtSpaces))))
	case "tab":
		o.write("\t")
	case "line-break":
		o.write("\n")
	case "a":
		o.beginLink(o.para(), oneLine(attr(e, "href")))
	case "span":
		o.spans = append(o.spans, attr(e, "style-name"))
	case "note":
		o.above = append(o.above, o.body)
		o.body = &body{plain: o.plain, numbers: o.numbers}
	default:
		o.textStyle(e)
		if as := odtNames[name]; as != "" {
			o.body.start(xml.StartElement{Name: xml.Name{Local: as}})
		}
	}
}

func (o *odt) end(name string) {
	if o.skip > 0 {
		o.skip--
		return
	}
	switch name {
	case "list":
		o.lists = o.lists[:len(o.lists)-1]
	case "list-item":
		o.item = false
	case "p", "h":
		o.body.end("p")
	case "a":
		o.endLink(o.para())
	case "span":
		o.spans = o.spans[:len(o.spans)-1]
	case "note":
		note, n := o.body, len(o.above)-1
		o.body, o.above = o.above[n], o.above[:n]
		o.cite(strings.Join(strings.Fields(note.out.b.String()), " "))
	default:
		o.body.end(odtNames[name])
	}
}

// hiding are the styles of an OpenDocument that hide what has them.
type hiding struct {
	style  string // which is being read
	hidden map[string]bool
}

// read takes in an element: a style, or its properties, of which an attribute may hide.
func (h *hiding) read(e xml.StartElement, properties, attribute, hides string) {
	switch e.Name.Local {
	case "style":
		h.style = attr(e, "name")
	case properties:
		if h.hidden == nil {
			h.hidden = map[string]bool{}
		}
		h.hidden[h.style] = attr(e, attribute) == hides
	}
}
