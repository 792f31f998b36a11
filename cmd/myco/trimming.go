package main

import (
	"cmp"
	"strings"
	"unicode"
)

// fence is what fenced code stands between, mostly.
const fence = "```"

// trimming takes off what a model writes of a part, piece by piece, what is around the text: blank space, the lines that made a
// block of a piece of one, and a fence that models like to put around all of it.
type trimming struct {
	of     partOf
	held   string // may be taken off, or may be before what is
	opened bool   // what is to be taken off before the text is
	begun  bool   // text was returned
}

// add returns what is certain of what was held and of piece, and end what was held.
func (t *trimming) add(piece string) string {
	text := t.held + piece
	if !t.begun {
		text = strings.TrimLeftFunc(text, unicode.IsSpace)
		if !t.opened && text != "" {
			text, t.opened = t.unopened(text)
		}
		if t.held = text; !t.opened {
			return ""
		}
	}
	at := t.sure(text)
	t.held = text[at:]
	t.begun = t.begun || at > 0
	return text[:at]
}

// unopened is how an answer begins, without the lines that opened the piece of a block, once they are there.
func (t *trimming) unopened(text string) (rest string, known bool) {
	if t.of.open == "" { // one in a fence is held to its end: who knows what is behind it
		return text, strings.Contains(t.of.text, fence) || !strings.HasPrefix(text, fence) && !strings.HasPrefix(fence, text)
	}
	first, rest, one := strings.Cut(text, "\n")
	second, behind, two := strings.Cut(rest, "\n")
	switch table := strings.Count(t.of.open, "\n") > 1; {
	case !one || table && !two:
		return text, false
	case table && strings.Contains(first, "|") && underHead.MatchString(strings.TrimRight(second, "\r")):
		text = behind
	case !table && fenceLine.MatchString(strings.TrimRight(first, "\r")):
		text = rest
	}
	return strings.TrimLeftFunc(text, unicode.IsSpace), true
}

// sure is where what may still be taken off begins.
func (t *trimming) sure(text string) int {
	text = strings.TrimRightFunc(text, unicode.IsSpace)
	if t.of.shut == "" {
		return len(text)
	}
	at := strings.LastIndex(text, "\n")
	if line := text[at+1:]; (at >= 0 || !t.begun) && onlyMarks(line) {
		text = strings.TrimRightFunc(text[:at+1], unicode.IsSpace)
	}
	return len(text)
}

// onlyMarks tells whether a line closes code, or may come to.
func onlyMarks(line string) bool {
	line = strings.Trim(line, " \t>")
	return strings.Trim(line, "`") == "" || strings.Trim(line, "~") == ""
}

func (t *trimming) end() string {
	text := strings.TrimSpace(t.held)
	if t.begun {
		text = strings.TrimRightFunc(t.held, unicode.IsSpace)
	}
	t.held = ""
	if at := strings.LastIndex(text, "\n"); t.of.shut != "" && (at >= 0 || !t.begun) && (closes(text[at+1:], fence) || closes(text[at+1:], "~~~")) {
		return strings.TrimRightFunc(text[:at+1], unicode.IsSpace)
	}
	if t.opened {
		return text
	}
	return unfenced(text, t.of.text)
}

// unfenced is an answer without the fence that models like to put around all of it, where text has none.
func unfenced(answer, text string) string {
	answer = strings.TrimSpace(answer)
	first, rest, _ := strings.Cut(answer, "\n")
	inner, closed := strings.CutSuffix(rest, fence)
	if strings.Contains(text, fence) || !strings.HasPrefix(first, fence) || !closed || strings.Contains(inner, fence) {
		return answer
	}
	return cmp.Or(strings.TrimSpace(inner), answer)
}
