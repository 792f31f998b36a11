package main

import "testing"

// What made a block of a piece of one, and a fence around all of it, is taken off what a model writes, however it comes; what
// is of the text stays. No piece that was returned is taken back.
func TestTrimming(t *testing.T) {
	t.Parallel()
	plain := partOf{text: "text"}
	code := partOf{text: "x()", open: "```go\n", shut: "\n```"}
	first := partOf{text: "Prose.\n```go\nx()", shut: "\n```"}
	last := partOf{text: "x()\n```\nProse.", open: "```go\n"}
	table := partOf{text: "| a | 1 |", open: "| x | y |\n|---|---|\n"}
	for _, c := range []struct {
		of           partOf
		answer, want string
	}{
		{plain, "\n a \n\n b \n ", "a \n\n b"},
		{plain, "```text\na\n```\n", "a"},
		{plain, "```\na", "```\na"},
		{plain, "```go\na\n```\nand\n```\nb\n```", "```go\na\n```\nand\n```\nb\n```"},
		{plain, "``a`` is\n```", "``a`` is\n```"},
		{plain, "", ""},
		{partOf{text: "```\nA\n```"}, "```\na\n```", "```\na\n```"},
		{code, "```go\n  y()\n\n\tz()\n```\n\n", "y()\n\n\tz()"},
		{code, "~~~\ny()\n~~~", "y()"},
		{code, "y()", "y()"},
		{code, "y()\n``", "y()\n``"},
		{code, "```go\n> y\n>\n> ```", "> y\n>"},
		{code, "```\n```", ""},
		{code, "```go", "```go"},
		{first, "Text.\n```go\ny()\n```\n", "Text.\n```go\ny()"},
		{first, "Text.\n```go\ny()\n```\n```", "Text.\n```go\ny()\n```"},
		{last, "```go\ny()\n```\n\nText.\n", "y()\n```\n\nText."},
		{last, "```go\ny()\n```\n", "y()\n```"},
		{table, "| X | Y |\n|:-:|---|\n| b | 2 |\n", "| b | 2 |"},
		{table, "| b | 2 |\n| c | 3 |\n| d | 4 |", "| b | 2 |\n| c | 3 |\n| d | 4 |"},
		{table, "| b | 2 |", "| b | 2 |"},
	} {
		for size := 1; size <= len(c.answer)+1; size++ {
			trim, got := trimming{of: c.of}, ""
			for at := 0; at < len(c.answer); at += size {
				got += trim.add(c.answer[at:min(at+size, len(c.answer))])
			}
			if got += trim.end(); got != c.want {
				t.Errorf("of %q, %q in pieces of %d is %q, want %q", c.of.whole(), c.answer, size, got, c.want)
			}
		}
	}
}
