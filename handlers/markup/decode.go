package markup

import (
	"bytes"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding"
)

// Decode returns a text as a string of UTF-8, and the name of the charset that it was in: that of a byte
// order mark, of contentType, which may be empty, or of what HTML tells of itself, in this order. A text that
// tells none is UTF-8 where it can be, and else what XML declares, or windows-1252, of which Latin-1 is a part: that is
// how browsers take it. A character may be cut at its end.
func Decode(body []byte, contentType string, asHTML bool) (text, name string) {
	head := body
	if !asHTML && !bytes.HasPrefix(body, []byte("<?xml")) {
		head = head[:min(3, len(head))] // room for the mark alone: a text about HTML is not to be taken at its word
	}
	e, name, certain := Charset(head, contentType)
	if !certain && utf8.Valid(withoutHalf(body)) {
		return withoutMark(string(body)), "utf-8"
	}
	b, err := e.NewDecoder().Bytes(body)
	if err != nil {
		b = body // no decoder fails at what it does not know, but puts a mark in its place
	}
	return withoutMark(string(b)), name
}

// xmlDeclaration is at the beginning of XML that tells its charset.
var xmlDeclaration = regexp.MustCompile(`^<\?xml\s[^>]*\sencoding=["']([A-Za-z0-9._:-]+)["']`)

// Charset tells the charset of a text by its beginning and by contentType, as browsers do, or else by the declaration of XML.
// It is certain where a byte order mark or contentType tells it, or HTML itself.
func Charset(head []byte, contentType string) (e encoding.Encoding, name string, certain bool) {
	e, name, certain = charset.DetermineEncoding(head, contentType)
	if declared := xmlDeclaration.FindSubmatch(head); !certain && declared != nil {
		// What can be read so far is not in UTF-16, whatever it says.
		if by, called := charset.Lookup(string(declared[1])); by != nil && !strings.HasPrefix(called, "utf-16") {
			return by, called, false
		}
	}
	return e, name, certain
}

func withoutMark(s string) string {
	return strings.TrimPrefix(strings.ToValidUTF8(s, "\ufffd"), "\ufeff")
}

// withoutHalf returns b without the beginning of a character at its end.
func withoutHalf(b []byte) []byte {
	for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
		if c := b[len(b)-i]; utf8.RuneStart(c) {
			if !utf8.FullRune(b[len(b)-i:]) {
				return b[:len(b)-i]
			}
			break
		}
	}
	return b
}

// Whole returns s without the beginning of a character at its end.
func Whole(s string) string { return string(withoutHalf([]byte(s))) }

// Clean takes out what steers a terminal and stands for nothing to read.
func Clean(s string) string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\r':
			return '\n'
		case unicode.IsControl(r) && r != '\n' && r != '\t':
			return -1
		}
		return r
	}, s)
}
