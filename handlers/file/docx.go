package file

import (
	"archive/zip"
	"bytes"
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

const (
	// docxPart and docxWhole are how much of one part of a DOCX, and of all that are read, is unpacked, in
	// bytes. A book of a thousand pages has 20 MB.
	docxPart  = 64 << 20
	docxWhole = 96 << 20
	// docxRoot is how much is read, in bytes, to find the part that is the document: it is done with whatever is a zip.
	docxRoot = 64 << 10
	// docxDepth is how deep elements may be nested, and docxEntries how many parts there may be.
	docxDepth   = 1000
	docxEntries = 10_000
)

var errBomb = errors.New("it is larger, unpacked, than what is read")

// isDOCX reports whether content is an archive with what a DOCX must have.
func isDOCX(content []byte) bool {
	if !bytes.HasPrefix(content, []byte("PK\x03\x04")) {
		return false
	}
	if z, err := zip.NewReader(bytes.NewReader(content), int64(len(content))); err == nil {
		return mainPart(z) != ""
	}
	return bytes.Contains(content, []byte("word/document")) // cut off: it is told that it is broken
}

// mainPart is the part of an archive that is the document: the one that its relationships name (ECMA-376, part 2, 9.3), as
// Word on the web calls it document2.xml, or else the one of the usual name. It is empty where there is none.
func mainPart(z *zip.Reader) string {
	main := "word/document.xml"
	if f, err := z.Open("_rels/.rels"); err == nil {
		// What cannot be read names none.
		_ = each(xml.NewDecoder(io.LimitReader(f, docxRoot)), func(e xml.StartElement) {
			target := strings.TrimPrefix(attr(e, "Target"), "/")
			if relates(e, "officeDocument") && strings.HasPrefix(target, "word/") {
				main = target
			}
		}, ignore, ignore)
		_ = f.Close() // it was read
	}
	if _, err := fs.Stat(z, main); err != nil {
		return ""
	}
	return main
}

// relates reports whether e is a relationship of a type, which is the last part of a URL.
func relates(e xml.StartElement, typ string) bool {
	return e.Name.Local == "Relationship" && path.Base(attr(e, "Type")) == typ
}

// isLocked reports whether content is a document of Office that has a password: an OLE file that holds the encrypted one
// in a stream of this name ([MS-OFFCRYPTO], 2.3.4.4).
func isLocked(content []byte) bool {
	return bytes.HasPrefix(content, []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")) &&
		bytes.Contains(content, []byte("E\x00n\x00c\x00r\x00y\x00p\x00t\x00e\x00d\x00P\x00a\x00c\x00k\x00a\x00g\x00e\x00"))
}

// docx is an archive that is read.
type docx struct {
	ctx  context.Context // of one reading
	zip  *zip.Reader
	left int64 // bytes that may still be unpacked
}

// readDOCX makes text of a DOCX.
func readDOCX(ctx context.Context, req bus.FileRequest) (bus.FileResult, error) {
	var res bus.FileResult
	fail := func(err error) (bus.FileResult, error) {
		if errors.Is(err, errBomb) {
			return res, bus.Errorf(bus.CodeFailed, "%s is not read: %w", named(req.Name), err)
		}
		return res, bus.Errorf(bus.CodeFailed, "%s is broken, or no DOCX that can be read: %w", named(req.Name), err)
	}
	z, err := zip.NewReader(bytes.NewReader(req.Content), int64(len(req.Content)))
	if err != nil {
		return fail(err)
	}
	if len(z.File) > docxEntries {
		return fail(errBomb)
	}
	d := &docx{ctx: ctx, zip: z, left: docxWhole}
	b := &body{plain: req.Format == bus.FileText, links: map[string]string{}, parts: map[string]string{}, styles: map[string]int{}, numbers: map[string]bool{}, notes: map[string]string{}}
	main := mainPart(z)
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
	res.Text, res.Truncated = b.out.text()
	if strings.TrimSpace(res.Text) == "" {
		return res, bus.Errorf(bus.CodeFailed, "%s holds no text", named(req.Name))
	}
	return res, nil
}

// part has take read a part of the archive; one that is not there is left out, unless it must be.
func (d *docx) part(name string, must bool, take func(*xml.Decoder) error) error {
	f, err := d.zip.Open(name)
	if err != nil && !must {
		return nil // what it would tell is an extra
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was read
	return take(xml.NewDecoder(&capped{d: d, r: f, left: docxPart}))
}

// capped reads until too much was unpacked, or the time is over.
type capped struct {
	d    *docx
	r    io.Reader
	left int64
}

func (c *capped) Read(b []byte) (int, error) {
	if c.d.ctx.Err() != nil {
		return 0, context.Cause(c.d.ctx)
	}
	n, err := c.r.Read(b)
	c.left, c.d.left = c.left-int64(n), c.d.left-int64(n)
	if c.left < 0 || c.d.left < 0 {
		return 0, errBomb
	}
	return n, err
}

// each calls start and end for every element, and text for what is between them.
func each(x *xml.Decoder, start func(xml.StartElement), end func(string), text func(string)) error {
	depth := 0
	for {
		t, err := x.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.StartElement:
			if depth++; depth > docxDepth {
				return errors.New("its elements are nested too deep")
			}
			start(t)
		case xml.EndElement:
			depth--
			end(t.Name.Local)
		case xml.CharData:
			text(string(t))
		}
	}
}

// attr is the value of an attribute, whatever its namespace.
func attr(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// readCore reads the title and the author.
func readCore(x *xml.Decoder, res *bus.FileResult) error {
	at := ""
	return each(x, func(e xml.StartElement) { at = e.Name.Local }, func(string) { at = "" }, func(s string) {
		switch at {
		case "title":
			res.Title = oneLine(res.Title + s)
		case "creator":
			res.Author = oneLine(res.Author + s)
		}
	})
}

func ignore(string) {}

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

// readStyles reads which styles are headings, and of which level: their ids are in the language of whoever
// wrote the document, their names are not.
func (b *body) readStyles(x *xml.Decoder) error {
	id := ""
	return each(x, func(e xml.StartElement) {
		switch e.Name.Local {
		case "style":
			id = attr(e, "styleId")
		case "name":
			name := strings.ToLower(attr(e, "val"))
			if level, found := strings.CutPrefix(name, "heading "); found {
				b.styles[id], _ = strconv.Atoi(level)
			} else if name == "title" {
				b.styles[id] = 1
			}
		}
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
