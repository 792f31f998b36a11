package main

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"charm.land/lipgloss/v2"
	"charm.land/lipgloss/v2/table"
	"github.com/charmbracelet/colorprofile"
)

// view renders results, as tables for people and as JSON for programs.
type view struct {
	json bool
	out  io.Writer // colours are left out where the terminal, or its user, wants none
	tame bool      // out is a terminal, which nothing but this program steers
	lost error     // the first write that failed: what was asked for did not arrive
}

func newView(out io.Writer, environ []string, asJSON bool) *view {
	return &view{json: asJSON, out: colorprofile.NewWriter(out, environ)}
}

var (
	headStyle = lipgloss.NewStyle().Bold(true).PaddingRight(2)
	cellStyle = lipgloss.NewStyle().PaddingRight(2)
	goodStyle = lipgloss.NewStyle().Foreground(lipgloss.Green)
	soonStyle = lipgloss.NewStyle().Foreground(lipgloss.Yellow)
	badStyle  = lipgloss.NewStyle().Foreground(lipgloss.Red)
	dimStyle  = lipgloss.NewStyle().Faint(true)
)

// object prints v as one line of JSON.
func (v *view) object(o any) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(o); err != nil {
		panic(err) // every object is a struct of this package; the tests encode each
	}
	v.text(b.String())
}

// text prints lines: to a terminal without what would steer it, for nodes and engines have a say in most of them, and
// otherwise as they are.
func (v *view) text(s string) {
	if v.tame {
		s = tamed(s)
	}
	if _, err := io.WriteString(v.out, s); err != nil && v.lost == nil {
		v.lost = err
	}
}

// colour is what a text of myco is made bold or red with. What hides a text, or takes the colour of its ground, is not among it.
var colour = regexp.MustCompile(`\x1b\[(?:(?:[0-49]|3[1236])(?:;(?:[0-49]|3[1236]))*)?m`)

// tamed is printable, but for colours, which end with it.
func tamed(s string) string {
	var b strings.Builder
	last := ""
	for at := colour.FindStringIndex(s); at != nil; at = colour.FindStringIndex(s) {
		last = s[at[0]:at[1]]
		b.WriteString(printable(s[:at[0]]) + last)
		s = s[at[1]:]
	}
	b.WriteString(printable(s))
	if last != "" && last != "\x1b[m" && last != "\x1b[0m" {
		b.WriteString("\x1b[m")
	}
	return b.String()
}

// unwritten is the error where what was printed did not arrive.
func (v *view) unwritten() error {
	if v.lost == nil {
		return nil
	}
	return fmt.Errorf("write the result: %w", v.lost)
}

// tabulate sets rows under upper-case headers, without borders.
func tabulate(headers []string, rows [][]string) string {
	t := table.New().Border(lipgloss.HiddenBorder()).
		BorderTop(false).BorderBottom(false).BorderLeft(false).BorderRight(false).
		BorderHeader(false).BorderColumn(false).BorderRow(false).Wrap(false).
		Headers(headers...).Rows(rows...).
		StyleFunc(func(row, _ int) lipgloss.Style {
			if row == table.HeaderRow {
				return headStyle
			}
			return cellStyle
		})
	return trimmed(t.Render())
}

// fields prints names and values below one another; those without a value are left out.
func (v *view) fields(pairs [][2]string) { v.text(fieldLines(pairs)) }

func fieldLines(pairs [][2]string) string {
	width := nameWidth(pairs)
	var b strings.Builder
	for _, p := range pairs {
		if p[1] == "" {
			continue
		}
		indented := strings.ReplaceAll(p[1], "\n", "\n"+strings.Repeat(" ", width+columnGap))
		b.WriteString(p[0] + strings.Repeat(" ", width+columnGap-lipgloss.Width(p[0])) + indented + "\n")
	}
	return b.String()
}

// nameWidth is how wide the names are of what has a value.
func nameWidth(pairs [][2]string) (width int) {
	for _, p := range pairs {
		if p[1] != "" {
			width = max(width, lipgloss.Width(p[0]))
		}
	}
	return width
}

// leastWrap is how many columns a value has at least where it goes on in the next line.
const leastWrap = 20

// wrapPairs has values that are too long for a terminal of that width go on below their beginnings, between
// words; 0 for any width.
func wrapPairs(pairs [][2]string, width int) [][2]string {
	room := width - nameWidth(pairs) - columnGap
	if width <= 0 || room < leastWrap {
		return pairs
	}
	out := slices.Clone(pairs)
	for i, p := range pairs {
		var lines []string
		for line := range strings.SplitSeq(p[1], "\n") {
			lines = append(lines, wrapWords(line, room)...)
		}
		out[i][1] = strings.Join(lines, "\n")
	}
	return out
}

// wrapWords breaks a line between words alone: ansi.Wordwrap breaks at hyphens as well, and so within flags.
func wrapWords(line string, width int) (lines []string) {
	last := ""
	for i, word := range strings.Split(line, " ") {
		switch longer := last + " " + word; {
		case i == 0:
			last = word
		case lipgloss.Width(longer) > width:
			lines, last = append(lines, last), word
		default:
			last = longer
		}
	}
	return append(lines, last)
}

// trimmed takes the blanks off the ends of lines, and ends the last.
func trimmed(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " ")
	}
	return strings.Join(lines, "\n") + "\n"
}

// state colours the state of a node or a task.
func state(s string) string {
	switch s {
	case "ready", "done", "running":
		return goodStyle.Render(s)
	case "draining", "suspect", "queued", "cancelled", "expired":
		return soonStyle.Render(s)
	case "lost", "failed", "dead", "revoked":
		return badStyle.Render(s)
	}
	return s
}
