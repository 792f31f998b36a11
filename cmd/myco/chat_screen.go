package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// answerScreen shows an answer on a terminal: as it comes, and each block rendered as Markdown as
// soon as it is whole. A block is replaced in place, and only while all of it is on the screen and
// its rows can be told; else it stays as it came. So nothing is ever left half erased, and what has
// scrolled away is never written twice.
type answerScreen struct {
	out io.Writer
	// size tells the columns and rows of the terminal; 0 where it does not know.
	size func() (width, height int)

	raw    string // what came since the last block that is done with
	width  int    // of the terminal when the answer began
	mute   bool   // its size has changed: rows cannot be told any more
	begun  bool
	column bool // the cursor is behind text
}

// write shows a piece.
func (s *answerScreen) write(piece string) {
	if !s.begun {
		s.width, _ = s.size()
		s.begun = true
	}
	piece = printable(piece)
	if piece == "" {
		return
	}
	fmt.Fprint(s.out, piece)
	s.raw += piece
	s.column = !strings.HasSuffix(piece, "\n")
	if strings.Contains(piece, "\n") {
		s.settle(lastBlock(s.raw))
	}
}

// finish renders what is left, and ends the last line.
func (s *answerScreen) finish() {
	s.settle(len(s.raw))
	if s.column {
		fmt.Fprint(s.out, "\n")
	}
	*s = answerScreen{out: s.out, size: s.size}
}

// settle is done with the first n bytes of raw.
func (s *answerScreen) settle(n int) {
	if n == 0 {
		return
	}
	done, rest := s.raw[:n], s.raw[n:]
	width, height := s.size()
	s.mute = s.mute || width != s.width || width <= 0
	up, sure := rowsOf(s.raw, max(width, 1))
	s.raw = rest
	if s.mute || !sure || up >= height {
		return
	}
	var b strings.Builder
	b.WriteString("\r")
	if up > 0 {
		b.WriteString(ansi.CursorUp(up))
	}
	b.WriteString(ansi.EraseScreenBelow + markdown(done, width) + "\n")
	if rest != "" {
		b.WriteString("\n" + rest)
	}
	fmt.Fprint(s.out, b.String())
	s.column = rest != "" && !strings.HasSuffix(rest, "\n")
}

// rowsOf tells how many rows below its beginning the cursor is once a terminal of that width has
// shown text. Terminals differ about the width of some characters, emoji above all: sure is false
// where that matters.
func rowsOf(text string, width int) (rows int, sure bool) {
	wide := rowsBy(text, width, ansi.GraphemeWidth)
	return wide, wide == rowsBy(text, width, ansi.WcWidth)
}

func rowsBy(text string, width int, method ansi.Method) (rows int) {
	for i, line := range strings.Split(text, "\n") {
		if i > 0 {
			rows++
		}
		column := 0
		for line != "" {
			cluster, w := ansi.FirstGraphemeCluster(line, method)
			line = line[len(cluster):]
			if column+w > width {
				rows, column = rows+1, 0
			}
			column += w
		}
	}
	return rows
}

// printable takes out what would steer the terminal: the text comes from a model, on a machine that
// may not be the user's.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r >= ' ' && r != 0x7f && (r < 0x80 || r > 0x9f) {
			return r
		}
		return -1
	}, strings.ReplaceAll(s, "\t", "    "))
}

// oneLine is a name that anybody may have given to a file, as a part of a line.
func oneLine(s string) string { return printable(strings.ReplaceAll(s, "\n", " ")) }
