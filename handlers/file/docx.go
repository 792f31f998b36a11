package file

import (
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"path"
	"strconv"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

// readDOCX makes text of a DOCX.
func readDOCX(ctx context.Context, req bus.FileRequest) (bus.FileResult, error) {
	var res bus.FileResult
	fail := func(err error) (bus.FileResult, error) { return res, unreadable(req.Name, "DOCX", err) }
	d, err := openArchive(ctx, req.Content)
	if err != nil {
		return fail(err)
	}
	b := &body{plain: req.Format == bus.FileText, links: map[string]string{}, parts: map[string]string{}, styles: map[string]style{}, numbers: map[string]bool{}, notes: map[string]string{}}
	main := mainPart(d.zip, kindDOCX)
	dir, base := path.Split(main)
	if err := d.part(dir+"_rels/"+base+".rels", false, b.readRelations); err != nil {
		return fail(err)
	}
	for _, part := range []struct {
		name string
		take func(*xml.Decoder) error
		must bool
	}{
		{b.part(dir, "styles"), b.readStyles, false},
		{b.part(dir, "numbering"), b.readNumbers, false},
		{b.part(dir, "footnotes"), b.readNotes, false},
		{b.part(dir, "endnotes"), b.readNotes, false},
		{"docProps/core.xml", func(x *xml.Decoder) error { return readCore(x, &res) }, false},
		{main, b.read, true},
	} {
		if err := d.part(part.name, part.must, part.take); err != nil {
			return fail(err)
		}
	}
	err = b.out.into(&res, req.Name)
	return res, err
}

// readCore reads the title and the author: of an ODT who began it, if that is told. A part that is damaged tells what it can.
func readCore(x *xml.Decoder, res *bus.FileResult) error {
	at, first := "", ""
	err := each(x, func(e xml.StartElement) {
		switch at = e.Name.Local; {
		case at == "title" && res.Title != "":
			res.Title += ": "
		case at == "creator" && res.Author != "":
			res.Author += ", "
		}
	}, func(string) { at = "" }, func(s string) {
		switch at {
		case "title":
			res.Title = oneLine(res.Title + s)
		case "creator":
			res.Author = oneLine(res.Author + s)
		case "initial-creator":
			first = oneLine(first + s)
		}
	})
	res.Author = cmp.Or(first, res.Author)
	if _, damaged := errors.AsType[*xml.SyntaxError](err); damaged {
		return nil
	}
	return err
}

// readRelations reads where links lead, by their ids, and where the other parts are, by their types.
func (b *body) readRelations(x *xml.Decoder) error {
	return each(x, func(e xml.StartElement) {
		switch {
		case relates(e, "hyperlink"):
			b.links[attr(e, "Id")] = oneLine(attr(e, "Target"))
		case e.Name.Local == "Relationship":
			b.parts[path.Base(attr(e, "Type"))] = attr(e, "Target")
		}
	}, ignore, ignore)
}

// part is where the part of a type is, for a main part in dir: by its usual name where that is not told.
func (b *body) part(dir, typ string) string {
	target := cmp.Or(b.parts[typ], typ+".xml")
	if whole, ok := strings.CutPrefix(target, "/"); ok {
		return whole
	}
	return path.Join(dir, target)
}

// readStyles reads which styles are headings, and of which level, and which are lists: their ids are in the language of whoever
// wrote the document, the names of Word's own are not.
func (b *body) readStyles(x *xml.Decoder) error {
	id, s := "", style{}
	return each(x, func(e xml.StartElement) {
		val := attr(e, "val")
		n, err := strconv.Atoi(val)
		switch e.Name.Local {
		case "style":
			id, s = attr(e, "styleId"), style{}
		case "name":
			name := strings.ToLower(val)
			if level, found := strings.CutPrefix(name, "heading "); found {
				s.level, _ = strconv.Atoi(level)
			} else if name == "title" {
				s.level = 1
			}
		case "basedOn":
			base := b.styles[val]
			base.level = cmp.Or(s.level, base.level)
			s = base
		case "outlineLvl":
			switch {
			case val == "9": // no heading, whatever it is based on
				s.level = 0
			case err == nil && n >= 0 && n < deepest:
				s.level = n + 1
			}
		case "ilvl":
			s.depth = n
		case "numId":
			s.num = val
		}
		b.styles[id] = s
	}, ignore, ignore)
}

// readNumbers reads which lists are numbered: by the number of the list and the level.
func (b *body) readNumbers(x *xml.Decoder) error {
	abstract, level, num := "", "", ""
	kinds := map[string]bool{} // by abstract list and level
	return each(x, func(e xml.StartElement) {
		switch e.Name.Local {
		case "abstractNum":
			abstract = attr(e, "abstractNumId")
		case "lvl":
			level = attr(e, "ilvl")
		case "numFmt":
			kinds[abstract+" "+level] = attr(e, "val") != "bullet" && attr(e, "val") != "none"
		case "num":
			num = attr(e, "numId")
		case "abstractNumId":
			for l := range 9 {
				at := " " + strconv.Itoa(l)
				b.numbers[num+at] = kinds[attr(e, "val")+at]
			}
		}
	}, ignore, ignore)
}
