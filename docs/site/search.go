package main

import (
	"bytes"
	"encoding/json"
	"strings"
)

// found is a piece of a page that a search leads to: the text below a heading.
type found struct {
	Heading string // empty: what comes before the first
	ID      string
	Text    string
}

// index is what the search looks through: a script, since a page that was opened from a disk may load no data.
// Each row is the address, the page's title, the heading, the text, and how much it counts: what is for those who
// write programs, or want to know why, comes after what is for those who use them.
func index(pages []*page) ([]byte, error) {
	rows := [][]any{}
	for _, p := range pages {
		weight := 1.0
		if p.src == busSrc || p.folder != "" || strings.Contains(p.out, "/") {
			weight = 0.5
		}
		for _, f := range p.found {
			to := p.out
			if f.ID != "" {
				to += "#" + f.ID
			}
			rows = append(rows, []any{to, p.Title, f.Heading, f.Text, weight})
		}
	}
	var b bytes.Buffer
	b.WriteString("window.searchIndex = ")
	if err := json.NewEncoder(&b).Encode(rows); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
