package file

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

const (
	// maxSheetCells is how many cells of one sheet are read: more words than any model reads.
	maxSheetCells = 500_000
	// maxColumn is the last column that a cell may be in: that of Excel and of LibreOffice.
	maxColumn = 1 << 14
)

// cell is one that shows something.
type cell struct {
	col  int // from 1 on
	text string
	// value tells that it is no text: a number, a date, a truth, or what a formula makes.
	value bool
}

// sheets is the text of a spreadsheet, as it is made. An empty row parts one table of a sheet from the next, and columns in
// which a table has nothing are left out of it, so that a sheet with one cell far away is no longer than one with two.
type sheets struct {
	plain bool
	out   writer
	cut   bool // something was left out

	head  string // of the present sheet, until it is written
	cells int    // of it
	at    int    // its last row that shows something
	full  bool   // what comes of it is left out
	some  bool   // a sheet had something
	rows  [][]cell
	cols  map[int]bool // of the rows
}

// begin begins a sheet.
func (s *sheets) begin(name string, hidden bool) {
	if s.head = oneLine(name); !s.plain {
		s.head = "# " + s.head
	}
	if hidden {
		s.head += " (hidden)"
	}
	s.cells, s.at, s.full = 0, 0, false
}

// row takes in row n of the sheet, by its cells that show something, in their order.
func (s *sheets) row(n int, cells []cell) {
	if len(cells) == 0 || s.full {
		return
	}
	if s.cells+len(cells) > maxSheetCells {
		s.stop()
		return
	}
	if n != s.at+1 && !s.goesOn(cells) {
		s.flush()
	}
	if s.cols == nil {
		s.cols = map[int]bool{}
	}
	for _, c := range cells {
		s.cols[c.col] = true
	}
	s.cells += len(cells)
	s.some = true
	s.at, s.rows = n, append(s.rows, cells)
}

// goesOn reports whether a row that comes behind an empty one belongs to the table before it, as sums do: it has no names of
// columns, and columns of that table alone.
func (s *sheets) goesOn(cells []cell) bool {
	return len(s.rows) > 1 && slices.ContainsFunc(cells, func(c cell) bool { return c.value }) &&
		!slices.ContainsFunc(cells, func(c cell) bool { return !s.cols[c.col] })
}

// stop leaves out what comes of the sheet, and says so.
func (s *sheets) stop() {
	s.flush()
	s.full, s.cut = true, true
	if s.head != "" { // nothing was read of it
		s.out.add(s.head + "\n\n")
		s.head = ""
	}
	s.out.add(fmt.Sprintf("[the sheet goes on: what comes after row %d is left out]\n\n", s.at))
}

// unless makes an end of the sheet of an error that says that there is too much of it.
func (s *sheets) unless(err error) error {
	if s.full && (errors.Is(err, errEnough) || errors.Is(err, errBomb)) {
		return nil
	}
	if s.some && errors.Is(err, errBomb) {
		s.stop()
		return nil
	}
	return err
}

// flush writes a table.
func (s *sheets) flush() {
	rows := s.rows
	cols := make([]int, 0, len(s.cols))
	for c := range s.cols {
		cols = append(cols, c)
	}
	slices.Sort(cols)
	wide := len(cols) > maxCells
	if wide {
		cols, s.cut = cols[:maxCells], true
	}
	if s.rows, s.cols = nil, nil; len(rows) == 0 {
		return
	}
	if s.head != "" {
		s.out.add(s.head + "\n\n")
		s.head = ""
	}
	for len(rows) > 0 && len(rows[0]) == 1 && (len(rows) == 1 || len(rows[1]) > 1) { // what a table is called
		s.out.add(rows[0][0].text + "\n\n")
		rows = rows[1:]
	}
	for i, row := range rows {
		if s.out.full {
			return
		}
		s.out.add(s.line(row, cols))
		if i == 0 && !s.plain {
			s.out.add("|" + strings.Repeat(" --- |", len(cols)) + "\n")
		}
	}
	if len(rows) > 0 {
		s.out.add("\n")
	}
	if wide {
		s.out.add(fmt.Sprintf("[the table goes on: what comes after column %d is left out]\n\n", cols[maxCells-1]))
	}
}

// line is a row of a table that has these columns.
func (s *sheets) line(row []cell, cols []int) string {
	texts := make([]string, len(cols))
	for _, c := range row {
		if i, ok := slices.BinarySearch(cols, c.col); ok {
			texts[i] = c.text
		}
	}
	if s.plain {
		return strings.TrimRight(strings.Join(texts, "\t"), "\t") + "\n"
	}
	for i := range texts {
		texts[i] = strings.ReplaceAll(texts[i], "|", `\|`)
	}
	return "| " + strings.Join(texts, " | ") + " |\n"
}

// into puts the text into res.
func (s *sheets) into(res *bus.FileResult, name string) error {
	res.Truncated = s.cut
	return s.out.into(res, name)
}

// shown is a cell; one without text shows nothing.
func shown(col int, text string, value bool) (cell, bool) {
	text = strings.Join(strings.Fields(clean(text)), " ")
	return cell{col, text, value}, text != "" && col >= 1 && col <= maxColumn
}

// inOrder puts cells in the order of their columns, as they are in all but broken files, and leaves out what stands in the
// place of another.
func inOrder(cells []cell) []cell {
	byColumn := func(a, b cell) int { return cmp.Compare(a.col, b.col) }
	if !slices.IsSortedFunc(cells, byColumn) {
		slices.SortStableFunc(cells, byColumn)
	}
	return slices.CompactFunc(cells, func(a, b cell) bool { return a.col == b.col })
}
