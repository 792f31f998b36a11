package markup

import (
	"slices"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// maxCell is how long a cell of a table is at most, in characters. A table with a longer one that has lines is there to have
// columns of text on a page.
const maxCell = 1000

// tables prepares the tables in node for what makes Markdown of them. That leaves a table out which has more than one line in a
// cell, or stands within a link or the like, and writes the texts of its cells one after another with nothing between them:
// 17 and 2025 become 172025.
func tables(node *html.Node) {
	var all []*html.Node
	layout := map[*html.Node]bool{}
	for n := range node.Descendants() {
		switch n.DataAtom {
		case atom.Table:
			all, layout[n] = append(all, n), isLayout(n)
			unspanRows(n)
		case atom.Thead, atom.Tbody, atom.Tfoot: // no cell reaches out of one
			unspanRows(n)
		}
	}
	for _, t := range all {
		cells := parts(t, atom.Td, atom.Th)
		switch {
		case layout[t], slices.ContainsFunc(cells, hasLines) && slices.ContainsFunc(cells, isLong):
			for _, p := range append(parts(t, atom.Caption, atom.Thead, atom.Tbody, atom.Tfoot, atom.Tr, atom.Td, atom.Th), t) {
				rename(p, atom.Div)
			}
		default:
			for _, c := range cells {
				oneLine(c)
			}
		}
	}
}

func isLong(cell *html.Node) bool { return runes(cell) > maxCell }

// parts are the elements of these kinds that are of a table itself, and of no other within it.
func parts(table *html.Node, kinds ...atom.Atom) (out []*html.Node) {
	for n := range table.ChildNodes() {
		if slices.Contains(kinds, n.DataAtom) {
			out = append(out, n)
		}
		switch n.DataAtom {
		case atom.Thead, atom.Tbody, atom.Tfoot, atom.Tr:
			out = append(out, parts(n, kinds...)...)
		}
	}
	return out
}

// isLayout reports whether a table can only be there for how a page looks: it says so, has another one within, or stands within a
// line of text.
func isLayout(table *html.Node) bool {
	if attribute(table, "role") == "presentation" {
		return true
	}
	for p := range table.Ancestors() {
		switch p.DataAtom {
		case atom.A, atom.Strong, atom.B, atom.Em, atom.I, atom.Del, atom.S, atom.Strike:
			return true
		}
	}
	for d := range table.Descendants() {
		if d.DataAtom == atom.Table {
			return true
		}
	}
	return false
}

// blocks are elements that stand on lines of their own.
var blocks = map[atom.Atom]bool{
	atom.Br: true, atom.Hr: true, atom.P: true, atom.Div: true, atom.Ul: true, atom.Ol: true, atom.Li: true, atom.Dl: true, atom.Dt: true, atom.Dd: true,
	atom.H1: true, atom.H2: true, atom.H3: true, atom.H4: true, atom.H5: true, atom.H6: true, atom.Blockquote: true, atom.Pre: true,
	atom.Section: true, atom.Article: true, atom.Header: true, atom.Footer: true, atom.Figure: true, atom.Figcaption: true, atom.Address: true,
	atom.Details: true, atom.Summary: true, atom.Center: true, atom.Form: true,
}

func hasLines(cell *html.Node) bool {
	for d := range cell.Descendants() {
		if blocks[d.DataAtom] {
			return true
		}
	}
	return false
}

// oneLine makes one line of all that a cell has.
func oneLine(cell *html.Node) {
	for _, d := range slices.Collect(cell.Descendants()) {
		if !blocks[d.DataAtom] {
			continue
		}
		after := " "
		for next := d.NextSibling; d.DataAtom == atom.Li && next != nil; next = next.NextSibling {
			if next.DataAtom == atom.Li {
				after = ", "
				break
			}
		}
		d.Parent.InsertBefore(&html.Node{Type: html.TextNode, Data: " "}, d)
		d.Parent.InsertBefore(&html.Node{Type: html.TextNode, Data: after}, d.NextSibling)
		rename(d, atom.Span)
	}
}

func rename(n *html.Node, to atom.Atom) { n.DataAtom, n.Data = to, to.String() }

func unspanRows(group *html.Node) {
	var over []int // by column: how many of the rows that follow a cell reaches over
	for row := range group.ChildNodes() {
		if row.DataAtom != atom.Tr {
			continue
		}
		column := 0
		for _, cell := range slices.Collect(row.ChildNodes()) {
			if cell.DataAtom != atom.Td && cell.DataAtom != atom.Th {
				continue
			}
			for ; column < len(over) && over[column] > 0; column++ {
				row.InsertBefore(empty(atom.Td), cell)
				over[column]--
			}
			wide, high := span(cell, "colspan"), span(cell, "rowspan")
			setAttribute(cell, "colspan", "1")
			setAttribute(cell, "rowspan", "1")
			for i := range wide {
				if i > 0 {
					row.InsertBefore(empty(cell.DataAtom), cell.NextSibling)
				}
				over = append(over, make([]int, max(0, column+1-len(over)))...)
				over[column] = high - 1
				column++
			}
		}
		for ; column < len(over); column++ { // rows are filled up behind their last cell
			over[column] = max(0, over[column]-1)
		}
		for len(over) > 0 && over[len(over)-1] == 0 {
			over = over[:len(over)-1]
		}
	}
}

func empty(cell atom.Atom) *html.Node {
	return &html.Node{Type: html.ElementNode, DataAtom: cell, Data: cell.String()}
}
