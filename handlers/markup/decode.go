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

// xmlDeclaration is at the beginning of XML that tells its charset, and htmlMeta within the head of HTML.
var (
	xmlDeclaration = regexp.MustCompile(`^<\?xml\s[^>]*\sencoding=["']([A-Za-z0-9._:-]+)["']`)
	htmlMeta       = regexp.MustCompile(`(?i)<meta\s[^>]*charset\s*=\s*["']?\s*([A-Za-z0-9._:-]+)`)
)

// htmlHead is where HTML may name its charset, in bytes from its beginning.
const htmlHead = 1024

// Charset tells the charset of a text by its beginning and by contentType, as browsers do, or else by the declaration of XML.
// It is certain where a byte order mark or contentType tells it.
func Charset(head []byte, contentType string) (e encoding.Encoding, name string, certain bool) {
	e, name, certain = charset.DetermineEncoding(head, contentType)
	if certain || known(htmlMeta, head[:min(htmlHead, len(head))]) != "" {
		return e, name, certain
	}
	// Much XML says that it is UTF-8, as examples do, and is not. And what can be read so far is not in UTF-16, whatever it says.
	declared := known(xmlDeclaration, head)
	if declared == "" || IsUTF16(declared) || declared == "utf-8" && !MostlyUTF8(head) {
		return e, name, false
	}
	e, name = charset.Lookup(declared)
	return e, name, false
}

// known is the charset that tells finds named in head; empty for one that nobody knows.
func known(tells *regexp.Regexp, head []byte) string {
	named := tells.FindSubmatch(head)
	if named == nil {
		return ""
	}
	_, name := charset.Lookup(string(named[1]))
	return name
}

// IsUTF16 reports whether a charset is called so, of either order of bytes.
func IsUTF16(label string) bool {
	_, name := charset.Lookup(label)
	return strings.HasPrefix(name, "utf-16")
}

// MostlyUTF8 reports whether a text has more characters of UTF-8 beyond ASCII than bytes that are none: a log that was cut
// within a character, or a mailbox with one letter in another charset. In text of other charsets two bytes look like UTF-8 by
// chance alone.
func MostlyUTF8(text []byte) bool {
	more := 0
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && n == 1:
			more--
		case n > 1:
			more++
		}
		text = text[n:]
	}
	return more > 0
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
