package main

import (
	"regexp"
	"strings"
)

// block is where a table or fenced code of Markdown stands in a text.
type block struct {
	from, to int
	// body and foot are where what is between its first lines and its last one begins and ends.
	body, foot int
	// open is what each piece of it begins with where it is cut, the line that opens code or the head of a table, and shut what ends
	// such a piece: the line that closes code.
	open, shut string
}

// cut is where the block is cut that a part of text from at to end ends in, and whether its pieces are to be blocks of their own:
// not where too little of them would be between open and shut.
func (b block) cut(text string, at, end, size int) (to int, pieces bool) {
	if strings.TrimSpace(text[end:max(end, b.foot)]) == "" { // the line alone that closes it remains
		end = at + len(head(text[at:], (end-at)*3/4))
	}
	switch {
	case end <= b.body && b.from > at:
		return b.from, false
	case end <= b.body || len(b.open)+len(b.shut) > size/4:
		return end, false
	}
	return end, b.shut != "" || text[end-1] == '\n' // half a row is none
}

var (
	// fenceLine opens fenced code: https://spec.commonmark.org/0.31.2/#fenced-code-blocks
	fenceLine = regexp.MustCompile("^[ \t>]*(?:(`{3,})[^`]*|(~{3,}).*)$")
	// underHead is the line between the names of a table's columns and its rows: https://github.github.com/gfm/#tables-extension-
	underHead = regexp.MustCompile(`^[ \t>]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$`)
)

// blocksOf finds the blocks of a text, in their order.
func blocksOf(text string) (out []block) {
	opened := ""             // the mark that opened the code that is not closed yet
	table := false           // the last line was one of a table
	at, before := 0, block{} // where the line begins, and where the one before it is
	for line := range strings.Lines(text) {
		end := at + len(line)
		line = strings.TrimRight(line, "\r\n")
		mark := fenceLine.FindStringSubmatch(line)
		row := strings.Contains(line, "|")
		switch {
		case opened != "":
			b := &out[len(out)-1]
			if b.to = end; closes(line, opened) {
				opened = ""
			} else {
				b.foot = end
			}
		case mark != nil:
			opened, table = mark[1]+mark[2], false
			before, _, _ := strings.Cut(line, opened)
			out = append(out, block{from: at, to: end, body: end, foot: end, open: line + "\n", shut: "\n" + before + opened})
		case table && row:
			out[len(out)-1].to, out[len(out)-1].foot = end, end
		case row && underHead.MatchString(line) && strings.Contains(text[before.from:before.to], "|"):
			table = true
			out = append(out, block{from: before.from, to: end, body: end, foot: end, open: text[before.from:end]})
		default:
			table = false
		}
		at, before = end, block{from: at, to: end}
	}
	return out
}

// closes tells whether a line closes fenced code that was opened by a mark.
func closes(line, opened string) bool {
	rest := strings.Trim(line, " \t>")
	return len(rest) >= len(opened) && strings.Trim(rest, opened[:1]) == ""
}
