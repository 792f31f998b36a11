package file

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/xml"
	"io/fs"
	"net/url"
	"path"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers/markup"
)

// book is an EPUB that is read (EPUB 3.3).
type book struct {
	*archive
	root   string            // the part that tells of the others
	parts  map[string]string // by their ids
	spine  []string          // the ids of the chapters, in their order
	locked map[string]bool   // the parts that are encrypted
}

// container is the part of an EPUB that tells which one tells of the others.
const container = "META-INF/container.xml"

// isEPUB reports whether an archive is one, whatever stands at its beginning: the type should.
func isEPUB(content []byte) bool {
	z, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return false
	}
	_, err = fs.Stat(z, container)
	return err == nil
}

// readEPUB makes text of an EPUB, chapter by chapter.
func readEPUB(ctx context.Context, req bus.FileRequest) (bus.FileResult, error) {
	var res bus.FileResult
	fail := func(err error) (bus.FileResult, error) { return res, unreadable(req.Name, "EPUB", err) }
	a, err := openArchive(ctx, req.Content)
	if err != nil {
		return fail(err)
	}
	b := &book{archive: a, parts: map[string]string{}, locked: map[string]bool{}}
	if err := a.part(container, true, b.readContainer); err != nil {
		return fail(err)
	}
	if err := a.part("META-INF/encryption.xml", false, b.readLocks); err != nil {
		return fail(err)
	}
	if err := a.part(b.root, true, b.readPackage); err != nil {
		return fail(err)
	}
	if err := a.part(b.root, true, func(x *xml.Decoder) error { return readCore(x, &res) }); err != nil {
		return fail(err)
	}
	var w writer
	for _, id := range b.spine {
		if w.full || ctx.Err() != nil {
			break
		}
		name := b.parts[id]
		if b.locked[name] {
			return res, bus.Errorf(bus.CodeFailed, "%s has a protection against copying: its text is encrypted", named(req.Name)).WithHint("read it with the program that it was bought for")
		}
		text, cut, err := b.chapter(name, req.Format == bus.FileText)
		if err != nil {
			return fail(err)
		}
		res.Truncated = res.Truncated || cut
		if text = strings.TrimSpace(text); text != "" {
			w.add(text + "\n\n")
		}
	}
	err = w.into(&res, req.Name)
	return res, err
}

// readContainer reads which part tells of the others.
func (b *book) readContainer(x *xml.Decoder) error {
	return each(x, func(e xml.StartElement) {
		if e.Name.Local == "rootfile" && b.root == "" {
			b.root = attr(e, "full-path")
		}
	}, ignore, ignore)
}

// readLocks reads which parts are encrypted; often these are fonts alone.
func (b *book) readLocks(x *xml.Decoder) error {
	return each(x, func(e xml.StartElement) {
		if e.Name.Local == "CipherReference" {
			b.locked[unescaped(attr(e, "URI"))] = true
		}
	}, ignore, ignore)
}

// readPackage reads which parts are chapters, and in which order.
func (b *book) readPackage(x *xml.Decoder) error {
	return each(x, func(e xml.StartElement) {
		switch e.Name.Local {
		case "item":
			b.parts[attr(e, "id")] = path.Join(path.Dir(b.root), unescaped(attr(e, "href")))
		case "itemref":
			b.spine = append(b.spine, attr(e, "idref"))
		}
	}, ignore, ignore)
}

// chapter makes text of a part, and reports whether it has more.
func (b *book) chapter(name string, plain bool) (text string, cut bool, err error) {
	content, err := b.bytes(name)
	if err != nil {
		return "", false, err
	}
	if cut = len(content) > maxHTML; cut {
		content = content[:maxHTML]
	}
	source, _ := markup.Decode(content, "", true)
	text, more, err := markup.ReadAll(source, plain)
	return text, cut || more, err
}

// unescaped is a reference within the archive as the name of a part.
func unescaped(ref string) string {
	if name, err := url.PathUnescape(ref); err == nil {
		return name
	}
	return ref
}
