package file

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers/markup"
)

// readText makes UTF-8 of a plain text, whatever charset it is in.
func readText(req bus.FileRequest) (bus.FileResult, error) {
	content := req.Content
	var res bus.FileResult
	if res.Charset = "utf-8"; !utf8.Valid(content) {
		e, name, certain := markup.Charset(content, req.MediaType)
		if certain || !markup.MostlyUTF8(content) {
			decoded, err := e.NewDecoder().Bytes(content)
			if err != nil {
				return res, bus.Errorf(bus.CodeFailed, "%s is no text in %s: %w", named(req.Name), name, err)
			}
			content, res.Charset = decoded, name
		}
	}
	w := writer{}
	w.add(string(content))
	err := w.into(&res, req.Name)
	return res, err
}

// writer takes text up to bus.MaxFileText.
type writer struct {
	b    strings.Builder
	full bool
}

// add takes s in, cleaned; what has no room is left out.
func (w *writer) add(s string) {
	if w.full || s == "" {
		return
	}
	s = clean(s)
	if room := bus.MaxFileText - w.b.Len(); len(s) > room {
		w.full = true
		for room > 0 && !utf8.RuneStart(s[room]) {
			room--
		}
		s = s[:room]
	}
	w.b.WriteString(s)
}

// text returns what was taken in, with one line feed at its end, and whether something was left out.
func (w *writer) text() (string, bool) {
	s := strings.Trim(w.b.String(), "\n")
	if s != "" && len(s) < bus.MaxFileText {
		s += "\n"
	}
	return s, w.full
}

// into puts the text into res. Where there is none, that is an error of the document, which is called name.
func (w *writer) into(res *bus.FileResult, name string) error {
	var cut bool
	res.Text, cut = w.text()
	res.Truncated = res.Truncated || cut
	if strings.TrimSpace(res.Text) == "" {
		return bus.Errorf(bus.CodeFailed, "%s holds no text", named(name))
	}
	return nil
}

// clean makes s valid UTF-8 with line feeds at the ends of lines, and without what a terminal would take for
// a command.
func clean(s string) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	s = strings.ReplaceAll(s, "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t':
			return r
		case r == '\r', r == '\f', r == '\v', r == '\u2028', r == '\u2029', r == '\u0085':
			return '\n'
		case unicode.IsControl(r), r == '\ufeff', r == '\ufffe':
			return -1
		}
		return r
	}, s)
}
