package file

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"

	"golang.org/x/net/html/charset"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers/markup"
)

const (
	// zipPart and zipWhole are how much of one part of an archive, and of all that are read, is unpacked, in
	// bytes. A book of a thousand pages has 20 MB.
	zipPart  = 64 << 20
	zipWhole = 96 << 20
	// zipRoot is how much is read, in bytes, to find the part that is the document: it is done with whatever is a zip.
	zipRoot = 64 << 10
	// xmlDepth is how deep elements may be nested, and zipEntries how many parts there may be.
	xmlDepth   = 1000
	zipEntries = 10_000
)

var (
	errBomb   = errors.New("it is larger, unpacked, than what is read")
	errEnough = errors.New("enough of it was read")
)

// archive is a zip of XML that is read: a document of Office, an OpenDocument or an EPUB.
type archive struct {
	ctx  context.Context // of one reading
	zip  *zip.Reader
	left int64 // bytes that may still be unpacked
	// enough has the reading of the present part end with errEnough.
	enough bool
}

func openArchive(ctx context.Context, content []byte) (*archive, error) {
	z, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err == nil && len(z.File) > zipEntries {
		err = errBomb
	}
	return &archive{ctx: ctx, zip: z, left: zipWhole}, err
}

// unreadable is the error for an archive that is called name, and is no document of a kind that can be read.
func unreadable(name, kind string, err error) *bus.Error {
	if errors.Is(err, errBomb) {
		return bus.Errorf(bus.CodeFailed, "%s is not read: %w", named(name), err)
	}
	return bus.Errorf(bus.CodeFailed, "%s is broken, or no %s that can be read: %w", named(name), kind, err)
}

// part has take read a part of the archive; one that is not there is left out, unless it must be.
func (a *archive) part(name string, must bool, take func(*xml.Decoder) error) error {
	f, err := a.zip.Open(name)
	if err != nil && !must {
		return nil // what it would tell is an extra
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was read
	a.enough = false                 // of another part, at the end of that
	x := xml.NewDecoder(&capped{a: a, r: f, left: zipPart})
	x.CharsetReader, x.Entity = inCharset, xml.HTMLEntity // as older EPUBs have
	return take(x)
}

// inCharset makes UTF-8 of XML in a charset. What is called UTF-16, as programs for .NET do, is not in it, for so far it could be
// read.
func inCharset(label string, in io.Reader) (io.Reader, error) {
	if markup.IsUTF16(label) {
		return in, nil
	}
	return charset.NewReaderLabel(label, in)
}

// bytes returns what is in a part of the archive.
func (a *archive) bytes(name string) ([]byte, error) {
	f, err := a.zip.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was read
	return io.ReadAll(&capped{a: a, r: f, left: zipPart})
}

// capped reads until too much was unpacked, or the time is over.
type capped struct {
	a    *archive
	r    io.Reader
	left int64
}

func (c *capped) Read(b []byte) (int, error) {
	if c.a.ctx.Err() != nil {
		return 0, context.Cause(c.a.ctx)
	}
	if c.a.enough {
		c.a.enough = false
		return 0, errEnough
	}
	n, err := c.r.Read(b)
	c.left, c.a.left = c.left-int64(n), c.a.left-int64(n)
	if c.left < 0 || c.a.left < 0 {
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
			if depth++; depth > xmlDepth {
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

func ignore(string) {}
