package file

import (
	"bytes"
	"encoding/xml"
	"strconv"
	"strings"

	"github.com/mycoswarm/mycoswarm/handlers/markup"
)

const (
	// deepest is the lowest heading of Markdown, and of lists what is still told apart.
	deepest = 6
	// maxCells is the most cells of a row that are kept.
	maxCells = 1000
)

// body is the text of a DOCX or an ODT, or of a shape of a slide, as it is made.
type body struct {
	plain   bool
	links   map[string]string // targets by id
	parts   map[string]string // of the archive, by the types of their relations
	styles  map[string]style  // by id
	numbers map[string]bool   // numbered lists by number and level
	notes   map[string]string // texts of footnotes and endnotes, by kind and id
	cited   []string          // the texts of those that the document refers to, in this order
	out     writer

	paras  []*para // a text box in a paragraph has paragraphs of its own
	tables []*table
	skip   int    // inside of what says the same again
	text   bool   // inside of w:t
	raised bool   // the text of the present w:r is
	inList bool   // the last paragraph was of a list
	list   string // the last list, by its number; deeper levels may have others
}

// para is a paragraph.
type para struct {
	style
	b     bytes.Buffer
	power bool   // it ends with an exponent so far
	sign  string // a raised sign that it ends with, perhaps of an exponent
	link  string
	from  int // where the link's text begins
}

// style is what tells a paragraph from others.
type style struct {
	level int    // of a heading, 0 for none
	num   string // of a list
	depth int    // in the list
}

// table is a table; of one within a cell the text is kept alone.
type table struct {
	rows int
	row  []string
	cell []string
	span int // columns of the cell
}

// read makes text of the main part, and puts the notes behind it.
func (b *body) read(x *xml.Decoder) error {
	err := b.each(x, b.start, b.end)
	b.finish()
	return err
}

// finish puts the notes behind the text.
func (b *body) finish() {
	if b.inList {
		b.out.add("\n")
	}
	for i, text := range b.cited {
		gap := ": "
		if b.plain {
			gap = " "
		}
		b.out.add(b.mark(i+1) + gap + text + "\n")
	}
}

// each calls start and end for every element, and takes in the text within w:t.
func (b *body) each(x *xml.Decoder, start func(xml.StartElement), end func(string)) error {
	return each(x, start, end, b.chars)
}

func (b *body) chars(s string) {
	if !b.text || b.skip > 0 || b.out.full {
		return
	}
	b.put(s, b.raised)
}

// readNotes reads the texts of footnotes, or of endnotes.
func (b *body) readNotes(x *xml.Decoder) error {
	n, id := &body{plain: b.plain, styles: b.styles, numbers: b.numbers}, ""
	return n.each(x, func(e xml.StartElement) {
		if isNote(e.Name.Local) {
			id = attr(e, "id")
		}
		n.start(e)
	}, func(name string) {
		n.end(name)
		if isNote(name) {
			b.notes[name+" "+id] = strings.Join(strings.Fields(n.out.b.String()), " ")
			n.out = writer{}
		}
	})
}

func isNote(element string) bool { return element == "footnote" || element == "endnote" }

// cite puts the mark of a note into the text.
func (b *body) cite(text string) {
	if text != "" {
		b.cited = append(b.cited, text)
		b.write(b.mark(len(b.cited)))
	}
}

// mark is what stands for note n in the text, and before the note.
func (b *body) mark(n int) string {
	if b.plain {
		return "[" + strconv.Itoa(n) + "]"
	}
	return "[^" + strconv.Itoa(n) + "]"
}

func (b *body) para() *para {
	if len(b.paras) == 0 {
		return &para{} // its text belongs to nothing
	}
	return b.paras[len(b.paras)-1]
}

func (b *body) write(s string) { b.put(s, false) }

// put adds s to the paragraph. A raised number is an exponent, with a sign that stands before it by itself, and what is raised
// behind it goes on with it.
func (b *body) put(s string, raised bool) {
	p := b.para()
	first, sign := raised && !p.power, p.sign
	if p.sign = ""; !first {
		p.power = raised
	} else if text := markup.Raised(sign + s); text != sign+s {
		p.b.Truncate(p.b.Len() - len(sign))
		p.power, s = true, text
	} else if strings.Contains("+-−–", s) {
		p.sign = s
	}
	p.b.WriteString(s)
}

func (b *body) start(e xml.StartElement) {
	name := e.Name.Local
	was := strings.HasSuffix(name, "PrChange") // the properties before a change that is tracked
	if b.skip > 0 || was || name == "Fallback" || name == "instrText" || name == "del" || name == "moveFrom" {
		b.skip++
		return
	}
	p := b.para()
	switch name {
	case "p":
		b.paras = append(b.paras, &para{})
	case "pStyle":
		p.style = b.styles[attr(e, "val")]
	case "ilvl":
		p.depth, _ = strconv.Atoi(attr(e, "val"))
	case "numId":
		p.num = attr(e, "val")
	case "r":
		b.raised = false // as the mark of its paragraph may be
	case "t":
		b.text = true
	case "vertAlign":
		b.raised = attr(e, "val") == "superscript"
	case "position": // in half points, as LibreOffice has it
		above, _ := strconv.Atoi(attr(e, "val"))
		b.raised = b.raised || above > 0
	case "tab":
		if len(e.Attr) == 0 { // one with is a tab stop
			b.write("\t")
		}
	case "br", "cr":
		b.write("\n")
	case "noBreakHyphen":
		b.write("-")
	case "footnoteReference", "endnoteReference":
		b.cite(b.notes[strings.TrimSuffix(name, "Reference")+" "+attr(e, "id")])
	case "hyperlink":
		b.beginLink(p, b.links[attr(e, "id")])
	case "tbl":
		b.tables = append(b.tables, &table{})
	case "tr", "gridBefore", "tc", "gridSpan":
		if t := b.table(); t != nil {
			t.start(e)
		}
	}
}

// start begins a row or a cell, or takes in how many columns there are before it, or it spans: what a cell spans shows nothing.
func (t *table) start(e xml.StartElement) {
	columns, _ := strconv.Atoi(attr(e, "val"))
	switch e.Name.Local {
	case "tr":
		t.row = nil
	case "gridBefore":
		t.blank(columns)
	case "tc":
		t.cell, t.span = nil, 1
	case "gridSpan":
		t.span = columns
	}
}

// blank adds n cells without text to the row.
func (t *table) blank(n int) {
	for ; n > 0 && len(t.row) < maxCells; n-- {
		t.row = append(t.row, "")
	}
}

func (b *body) table() *table {
	if len(b.tables) == 0 {
		return nil
	}
	return b.tables[len(b.tables)-1]
}

func (b *body) end(name string) {
	if b.skip > 0 {
		b.skip--
		return
	}
	switch name {
	case "t":
		b.text = false
	case "r":
		b.raised = false
	case "hyperlink":
		b.endLink(b.para())
	case "p":
		if n := len(b.paras); n > 0 {
			p := b.paras[n-1]
			b.paras = b.paras[:n-1]
			b.endPara(p)
		}
	case "tc":
		if t := b.table(); t != nil && len(t.row) < maxCells {
			t.row = append(t.row, strings.Join(strings.Fields(strings.Join(t.cell, " ")), " "))
			t.blank(t.span - 1)
		}
	case "tr":
		b.endRow()
	case "tbl":
		b.endTable()
	}
}

// beginLink is before the text of a link.
func (b *body) beginLink(p *para, target string) {
	if p.link, p.from = target, p.b.Len(); p.link != "" && !b.plain {
		p.sign = "" // the text does not end with it any more
		p.b.WriteString("[")
	}
}

// endLink puts the target of a link behind its text.
func (b *body) endLink(p *para) {
	link := p.link
	p.link = ""
	if link == "" {
		return
	}
	p.sign = ""
	switch text := string(p.b.Bytes()[p.from:]); {
	case b.plain && text != link && strings.TrimSpace(text) != "":
		p.b.WriteString(" (" + link + ")")
	case b.plain:
	case text == "[":
		p.b.Truncate(p.from)
	default:
		p.b.WriteString("](" + strings.NewReplacer(" ", "%20", ")", "%29").Replace(link) + ")")
	}
}

func (b *body) endPara(p *para) {
	text := strings.TrimSpace(p.b.String())
	if text == "" {
		return
	}
	if t := b.table(); t != nil {
		t.cell = append(t.cell, text)
		return
	}
	isItem := p.num != "" && p.num != "0" && p.level == 0
	if b.inList && (!isItem || p.depth == 0 && p.num != b.list) {
		b.out.add("\n")
	}
	if b.inList = isItem; isItem && p.depth == 0 {
		b.list = p.num
	}
	switch {
	case isItem:
		mark := "- "
		if b.numbers[p.num+" "+strconv.Itoa(p.depth)] {
			mark = "1. " // Markdown counts by itself
		}
		indent := strings.Repeat("   ", max(0, min(p.depth, deepest)))
		b.out.add(indent + mark + strings.ReplaceAll(text, "\n", "\n"+indent+"   ") + "\n")
	case p.level > 0 && !b.plain:
		b.out.add(strings.Repeat("#", min(p.level, deepest)) + " " + strings.Join(strings.Fields(text), " ") + "\n\n")
	default:
		b.out.add(text + "\n\n")
	}
}

func (b *body) endRow() {
	t := b.table()
	if t == nil || len(t.row) == 0 {
		return
	}
	t.rows++
	if n := len(b.tables); n > 1 { // within a cell
		b.tables[n-2].cell = append(b.tables[n-2].cell, strings.Join(t.row, " "))
		return
	}
	if b.inList {
		b.out.add("\n")
		b.inList = false
	}
	if b.plain {
		b.out.add(strings.Join(t.row, "\t") + "\n")
		return
	}
	for i := range t.row {
		t.row[i] = strings.ReplaceAll(t.row[i], "|", `\|`)
	}
	b.out.add("| " + strings.Join(t.row, " | ") + " |\n")
	if t.rows == 1 {
		b.out.add("|" + strings.Repeat(" --- |", len(t.row)) + "\n")
	}
}

func (b *body) endTable() {
	n := len(b.tables)
	if n == 0 {
		return
	}
	if b.tables = b.tables[:n-1]; n == 1 {
		b.out.add("\n")
	}
}
