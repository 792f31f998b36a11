package main

import (
	"fmt"
	"html"
	"regexp"
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	east "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
)

var (
	boldStyle   = lipgloss.NewStyle().Bold(true)
	italicStyle = lipgloss.NewStyle().Italic(true)
	strikeStyle = lipgloss.NewStyle().Strikethrough(true)
	linkStyle   = lipgloss.NewStyle().Underline(true)
	codeStyle   = lipgloss.NewStyle().Foreground(lipgloss.Cyan)
)

// markdownParser knows GitHub's tables, strikethrough and task lists.
var markdownParser = goldmark.New(goldmark.WithExtensions(extension.Table, extension.Strikethrough, extension.TaskList)).Parser()

func parseMarkdown(src []byte) ast.Node {
	return markdownParser.Parse(text.NewReader(src), parser.WithContext(parser.NewContext()))
}

// markdown renders src for a terminal of that many columns, without a newline at the end. Lines
// of code are not wrapped, and no line has blanks at its end, so that both can be copied.
func markdown(src string, width int) string {
	m := marker{src: []byte(src)}
	return m.blocks(parseMarkdown(m.src), max(width, 10), "\n\n")
}

// lastBlock returns where the last block of src begins: all before is final, whatever follows.
// 0 where there is one block at most.
func lastBlock(src string) int {
	doc := parseMarkdown([]byte(src))
	if doc.ChildCount() < 2 {
		return 0
	}
	at := doc.LastChild().Pos()
	if at <= 0 || at > len(src) {
		return 0
	}
	return strings.LastIndexByte(src[:at], '\n') + 1
}

// marker renders one document.
type marker struct{ src []byte }

// blocks renders the children of n, with sep between them.
func (m marker) blocks(n ast.Node, width int, sep string) string {
	var out []string
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		if s := m.block(c, width); s != "" {
			out = append(out, s)
		}
	}
	return strings.Join(out, sep)
}

func (m marker) block(n ast.Node, width int) string {
	switch n := n.(type) {
	case *ast.Heading:
		return wrap(boldStyle.Render(m.inline(n)), width)
	case *ast.FencedCodeBlock, *ast.CodeBlock:
		return m.code(n)
	case *ast.HTMLBlock:
		return strings.TrimRight(string(n.Lines().Value(m.src)), "\n")
	case *ast.ThematicBreak:
		return dimStyle.Render(strings.Repeat("─", min(width, 40)))
	case *ast.Blockquote:
		return prefix(m.blocks(n, width-2, "\n\n"), dimStyle.Render("│")+" ", dimStyle.Render("│")+" ")
	case *ast.List:
		return m.list(n, width)
	case *east.Table:
		return m.table(n, width)
	default: // paragraphs, and the text of tight lists
		return wrap(m.inline(n), width)
	}
}

func (m marker) code(n ast.Node) string {
	lines := strings.Split(strings.TrimRight(string(n.Lines().Value(m.src)), "\n"), "\n")
	for i, l := range lines {
		if l != "" {
			lines[i] = "    " + codeStyle.Render(strings.ReplaceAll(l, "\t", "    "))
		}
	}
	return strings.Join(lines, "\n")
}

func (m marker) list(n *ast.List, width int) string {
	sep, number := "\n", n.Start
	if !n.IsTight {
		sep = "\n\n"
	}
	var out []string
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		mark := "• "
		if n.IsOrdered() {
			mark = fmt.Sprintf("%d. ", number)
			number++
		}
		indent := strings.Repeat(" ", lipgloss.Width(mark))
		out = append(out, prefix(m.blocks(c, width-len(indent), sep), mark, indent))
	}
	return strings.Join(out, sep)
}

// table renders a table that fits; one that does not stays as it was written.
func (m marker) table(n *east.Table, width int) string {
	var rows [][]string
	var widths []int
	for r := n.FirstChild(); r != nil; r = r.NextSibling() {
		var row []string
		for c := r.FirstChild(); c != nil; c = c.NextSibling() {
			cell := m.inline(c)
			if _, head := r.(*east.TableHeader); head {
				cell = inStyle(boldStyle, cell)
			}
			if len(widths) <= len(row) {
				widths = append(widths, 0)
			}
			widths[len(row)] = max(widths[len(row)], lipgloss.Width(cell))
			row = append(row, cell)
		}
		rows = append(rows, row)
	}
	total := 0
	for _, w := range widths {
		total += w + 2
	}
	if total > width {
		return strings.TrimRight(m.written(n), "\n")
	}
	var b strings.Builder
	for _, row := range rows {
		for i, cell := range row {
			row[i] = lipgloss.NewStyle().Width(widths[i] + 2).Align(side(n.Alignments, i)).PaddingRight(2).Render(cell)
		}
		for line := range strings.Lines(lipgloss.JoinHorizontal(lipgloss.Top, row...)) {
			b.WriteString(strings.TrimRight(line, " \n") + "\n")
		}
	}
	return strings.TrimRight(b.String(), "\n")
}

// side is where the cells of a column stand.
func side(all []east.Alignment, column int) lipgloss.Position {
	if column < len(all) {
		switch all[column] {
		case east.AlignRight:
			return lipgloss.Right
		case east.AlignCenter:
			return lipgloss.Center
		}
	}
	return lipgloss.Left
}

// written is the source of a block, to the next one.
func (m marker) written(n ast.Node) string {
	from, to := max(n.Pos(), 0), len(m.src)
	if next := n.NextSibling(); next != nil && next.Pos() > from {
		to = next.Pos()
	}
	return string(m.src[from:to])
}

var lineBreak = regexp.MustCompile(`^(?i)<br\s*/?>$`)

// inline renders the children of n as one text; its newlines are hard ones.
func (m marker) inline(n ast.Node) string {
	var b strings.Builder
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		b.WriteString(m.span(c))
	}
	return b.String()
}

func (m marker) span(n ast.Node) string {
	switch n := n.(type) {
	case *ast.Text:
		s := string(n.Segment.Value(m.src))
		if !n.IsRaw() {
			s = unescaped(s)
		}
		if n.HardLineBreak() || n.SoftLineBreak() { // models write a line as a line: of a poem, or an address
			s += "\n"
		}
		return s
	case *ast.String:
		return string(n.Value)
	case *ast.CodeSpan:
		var b strings.Builder
		for c := n.FirstChild(); c != nil; c = c.NextSibling() {
			if t, ok := c.(*ast.Text); ok {
				b.Write(t.Segment.Value(m.src))
			}
		}
		return codeStyle.Render(strings.ReplaceAll(b.String(), "\n", " "))
	case *ast.Emphasis:
		if n.Level > 1 {
			return inStyle(boldStyle, m.inline(n))
		}
		return inStyle(italicStyle, m.inline(n))
	case *east.Strikethrough:
		return inStyle(strikeStyle, m.inline(n))
	case *ast.Link:
		return target(m.inline(n), entities(string(n.Destination)))
	case *ast.Image:
		return target(m.inline(n), entities(string(n.Destination)))
	case *ast.AutoLink:
		return linkStyle.Render(string(n.URL(m.src)))
	case *ast.RawHTML:
		raw := string(n.Segments.Value(m.src))
		if lineBreak.MatchString(raw) { // the only way to write one in a table
			return "\n"
		}
		return raw
	case *east.TaskCheckBox:
		if n.IsChecked {
			return "[x] "
		}
		return "[ ] "
	}
	return m.inline(n)
}

// target is a link as a person can follow it.
func target(label, to string) string {
	if plain := ansi.Strip(label); plain == to || plain == "" {
		return linkStyle.Render(to)
	}
	return inStyle(linkStyle, label) + " (" + to + ")"
}

// inStyle styles each line by itself: together they would be filled up to the longest.
func inStyle(style lipgloss.Style, s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = style.Render(l)
	}
	return strings.Join(lines, "\n")
}

// escapes are a backslash that keeps one of Markdown's characters as it is, and an entity of HTML.
var escapes = regexp.MustCompile(`\\[!-/:-@\[-\x60{-~]|` + entity.String())

var entity = regexp.MustCompile(`&(?:#\d{1,7}|#[xX][\da-fA-F]{1,6}|[a-zA-Z][a-zA-Z\d]*);`)

// unescaped has backslashes and entities be what they stand for.
func unescaped(s string) string {
	return escapes.ReplaceAllStringFunc(s, func(e string) string {
		if e[0] == '\\' {
			return e[1:]
		}
		return entities(e)
	})
}

// entities has entities be what they stand for, which may be what would steer the terminal.
func entities(s string) string {
	return entity.ReplaceAllStringFunc(s, func(e string) string {
		c := html.UnescapeString(e)
		if len(c) > 1 && strings.HasSuffix(c, ";") { // it knows the beginning of the name alone
			return e
		}
		return oneLine(c)
	})
}

// wrap breaks lines between words, and words that are longer than a line.
func wrap(s string, width int) string {
	lines := strings.Split(ansi.Wrap(s, max(width, 10), ""), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " ")
	}
	return strings.Join(lines, "\n")
}

// prefix puts first before the first line of s, and rest before the others.
func prefix(s, first, rest string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		p := rest
		if i == 0 {
			p = first
		}
		if l == "" {
			p = strings.TrimRight(p, " ")
		}
		lines[i] = p + l
	}
	return strings.Join(lines, "\n")
}
