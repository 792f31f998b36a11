package markup

import (
	"slices"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// unspan puts an empty cell wherever a cell of a table in node reaches over: what makes Markdown of tables tells columns by how
// many cells are before them, so that what stands behind two that reach over comes under the wrong head.
func unspan(node *html.Node) {
	for n := range node.Descendants() {
		switch n.DataAtom {
		case atom.Table, atom.Thead, atom.Tbody, atom.Tfoot: // no cell reaches out of one
			unspanRows(n)
		}
	}
}

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
