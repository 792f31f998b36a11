package main

import (
	"slices"
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
)

// giving is how a table gives way to a terminal that is too narrow for it. Its columns are named by their
// headers.
type giving struct {
	// shorten are those whose cells may be cut, and how wide they stay at least.
	shorten map[string]int
	// wrap are those of shorten whose cells go on in the next line instead: what they say is wanted whole.
	wrap []string
	// drop are those that are left out where that does not do, the first first.
	drop []string
}

const (
	cutMark   = "…" // ends what was cut, and the headers where columns are missing
	columnGap = 2   // between columns
)

// width is how many columns the terminal has that standard output is; 0 where it is none.
func (s streams) width() int {
	if s.columns == nil {
		return 0
	}
	return s.columns()
}

// fitted is tabulate for a terminal of that width; 0 for any.
func (g giving) fitted(width int, headers []string, rows [][]string) string {
	if width <= 0 {
		return tabulate(headers, rows)
	}
	for dropped := 0; ; dropped++ {
		heads, cells := without(g.drop[:dropped], headers, rows)
		widths := columnWidths(heads, cells)
		over := g.shortened(widths, heads, width)
		if over > 0 && dropped < len(g.drop) {
			continue
		}
		var lines [][]string
		for _, row := range cells {
			lines = append(lines, g.within(widths, heads, row)...)
		}
		return fitLines(tabulate(heads, lines), width)
	}
}

// within is a row whose cells are no wider than widths: cut, or as several lines.
func (g giving) within(widths []int, headers, row []string) (lines [][]string) {
	for i, c := range row {
		parts := []string{ansi.Truncate(c, widths[i], cutMark)}
		if slices.Contains(g.wrap, headers[i]) {
			parts = strings.Split(ansi.Wrap(c, widths[i], ""), "\n")
		}
		for k, part := range parts {
			if k == len(lines) {
				lines = append(lines, make([]string, len(row)))
			}
			lines[k][i] = part
		}
	}
	return lines
}

// without returns a copy of a table that leaves out the columns called dropped, and says so.
func without(dropped, headers []string, rows [][]string) (heads []string, cells [][]string) {
	cells = make([][]string, len(rows))
	for i, h := range headers {
		if slices.Contains(dropped, h) {
			continue
		}
		heads = append(heads, h)
		for k, row := range rows {
			cells[k] = append(cells[k], row[i])
		}
	}
	if len(dropped) > 0 {
		heads = append(heads, cutMark)
		for k := range cells {
			cells[k] = append(cells[k], "")
		}
	}
	return heads, cells
}

// columnWidths are the widths of the widest cells.
func columnWidths(headers []string, rows [][]string) []int {
	widths := make([]int, len(headers))
	for i, h := range headers {
		widths[i] = lipgloss.Width(h)
		for _, row := range rows {
			widths[i] = max(widths[i], lipgloss.Width(row[i]))
		}
	}
	return widths
}

// shortened takes from the widest of the columns that may be cut until the table has that width, and returns
// by how much it is still too wide.
func (g giving) shortened(widths []int, headers []string, width int) int {
	over := columnGap*(len(widths)-1) - width
	for _, w := range widths {
		over += w
	}
	for ; over > 0; over-- {
		widest := -1
		for i, h := range headers {
			if least, may := g.shorten[h]; may && widths[i] > max(least, lipgloss.Width(h)) && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return over
		}
		widths[widest]--
	}
	return 0
}

// fitLines cuts the lines that are too wide still.
func fitLines(text string, width int) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = fit(l, width)
	}
	return strings.Join(lines, "\n")
}
