package file

import (
	"archive/zip"
	"bytes"
	"encoding/xml"
	"io"
	"io/fs"
	"path"
	"strings"
)

// office are the kinds of documents of Office that are read, each with where the part is that is the document, without the
// suffix: another suffix is that of another format.
var office = []struct{ kind, dir, main string }{
	{kindDOCX, "word/", "word/document"},
	{kindPPTX, "ppt/", "ppt/presentation"},
	{kindXLSX, "xl/", "xl/workbook"},
}

// officeKind is which of them content is, by the parts that it has; empty where it is none.
func officeKind(content []byte) string {
	if !bytes.HasPrefix(content, []byte("PK\x03\x04")) {
		return ""
	}
	z, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	for _, o := range office {
		switch {
		case err == nil && mainPart(z, o.kind) != "":
			return o.kind
		case err != nil && bytes.Contains(content, []byte(o.main)): // cut off: it is told that it is broken
			return o.kind
		}
	}
	return ""
}

// mainPart is the part of an archive that is the document of a kind: the one that its relationships name (ECMA-376, part 2,
// 9.3), as Word on the web calls it document2.xml, or else the one of the usual name. It is empty where there is none.
func mainPart(z *zip.Reader, kind string) string {
	dir, main := "", ""
	for _, o := range office {
		if o.kind == kind {
			dir, main = o.dir, o.main+".xml"
		}
	}
	if f, err := z.Open("_rels/.rels"); err == nil {
		// What cannot be read names none.
		_ = each(xml.NewDecoder(io.LimitReader(f, zipRoot)), func(e xml.StartElement) {
			target := strings.TrimPrefix(attr(e, "Target"), "/")
			if relates(e, "officeDocument") && strings.HasPrefix(target, dir) {
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

// relation is what a part of a document of Office refers to: another part by its name in the archive, or a place elsewhere.
type relation struct{ typ, target string }

// relations are those of a part, by their ids; none where it has none.
func (a *archive) relations(part string) (map[string]relation, error) {
	dir, base := path.Split(part)
	all := map[string]relation{}
	return all, a.part(dir+"_rels/"+base+".rels", false, func(x *xml.Decoder) error {
		return each(x, func(e xml.StartElement) {
			if e.Name.Local != "Relationship" {
				return
			}
			target := attr(e, "Target")
			if whole, is := strings.CutPrefix(target, "/"); is {
				target = whole
			} else if attr(e, "TargetMode") != "External" {
				target = path.Join(dir, target)
			}
			all[attr(e, "Id")] = relation{path.Base(attr(e, "Type")), target}
		}, ignore, ignore)
	})
}

// related is the id of the relation that an element tells of, which may have an id of its own beside it.
func related(e xml.StartElement) string {
	for _, a := range e.Attr {
		if a.Name.Local == "id" && a.Name.Space != "" {
			return a.Value
		}
	}
	return ""
}
