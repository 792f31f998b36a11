package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Tables and fenced code are found, and what only looks like them is not.
func TestBlocksOf(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"a\n```go\nx\n\n~~~\ny\n```\nb":                     {"```go\nx\n\n~~~\ny\n```\n"},
		"````\n```\n````\n```\nopen\n\nto the end":          {"````\n```\n````\n", "```\nopen\n\nto the end"},
		"- list\n\n  ~~~ sh `x`\n  x\n  ~~~~ \n> ```\n> y":  {"  ~~~ sh `x`\n  x\n  ~~~~ \n", "> ```\n> y"},
		"```inline``` code\n| no | table |\n\nplain | text": nil,
		"a\n\n| x | y |\r\n|---|:-:|\r\n| 1 | 2 |\r\n\n| b": {"| x | y |\r\n|---|:-:|\r\n| 1 | 2 |\r\n"},
		"x | y\n--- | ---\n1 | 2\nend\n---\n":               {"x | y\n--- | ---\n1 | 2\n"},
		"a\n|---|---|\n":                                    nil,
		"":                                                  nil,
	} {
		var got []string
		for _, b := range blocksOf(text) {
			got = append(got, text[b.from:b.to])
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q: %s", text, d)
		}
	}
}

// A table or a block of code that fits into a part is in one, and no part is too long or lost.
func TestPartsKeepBlocksWhole(t *testing.T) {
	t.Parallel()
	table := "| name | honey |\n|---|---|\n" + strings.Repeat("| bee | 7 |\n", 10)
	code := "```\nif x {\n\n    y()\n\n\n}\n" + strings.Repeat("z()\n", 15) + "```"
	long := "```\n" + strings.Repeat("much()\n\n", 100) + "```"
	text := strings.Repeat("A sentence of bees. And one more.\n\nText "+"\n\n"+table+"\nAfter it.\n"+code+"\nA line\n", 20) + long + "\n\n" + code + " \n" + table
	for size := len(table); size < 800; size++ {
		whole := ""
		tables, codes := 0, 0
		for _, p := range partsOf(text, size) {
			if len(p.whole()) > size || p.text == "" {
				t.Fatalf("size %d: a part of %d bytes", size, len(p.text))
			}
			if code := strings.Count(p.whole(), "```"); code%2 != 0 {
				t.Fatalf("size %d: a part with code that is not closed: %q", size, p.whole())
			}
			tables += strings.Count(p.text, strings.TrimSpace(table))
			codes += strings.Count(p.text, code)
			whole += p.text + p.joint
		}
		if whole != strings.TrimSpace(text) || tables != 21 || codes != 21 {
			t.Fatalf("size %d: %d whole tables, %d whole blocks of code, all there: %v", size, tables, codes, whole == strings.TrimSpace(text))
		}
	}
}

// A block that is longer than a part is cut into pieces that are blocks themselves, with the same words behind the fence, or the
// same head.
func TestPiecesOfBlocks(t *testing.T) {
	t.Parallel()
	rows := "| name | honey |\n|---|---|\n"
	for name, c := range map[string]struct{ text, open, shut string }{
		"code":             {"Prose.\n\n```go title=x\n" + strings.Repeat("if x {\n\n\ty()\n}\n", 60) + "```\n\nMore of it.\n", "```go title=x\n", "\n```"},
		"quoted code":      {"> ~~~~ sh\n" + strings.Repeat("> echo\n", 90) + "> ~~~~\n", "> ~~~~ sh\n", "\n> ~~~~"},
		"one line":         {"```js\n" + strings.Repeat("call();", 150) + "\n```", "```js\n", "\n```"},
		"without end":      {"```\n" + strings.Repeat("code\n", 150), "```\n", "\n```"},
		"a table":          {"Prose.\n\n" + rows + strings.Repeat("| bee | 7 |\n", 60) + "\nMore.\n", rows, ""},
		"a long beginning": {"```" + strings.Repeat("x", 200) + "\n" + strings.Repeat("code\n", 150) + "```", "", ""},
	} {
		for size := 120; size < 400; size += 7 {
			parts, all := partsOf(c.text, size), ""
			for i, p := range parts {
				if p.open != "" && p.open != c.open || p.shut != "" && p.shut != c.shut || len(p.whole()) > size {
					t.Fatalf("%s, size %d: part %d is %q of %d bytes", name, size, i, p.whole(), len(p.whole()))
				}
				if last := i == len(parts)-1; c.shut != "" && (p.shut != "") != (!last && parts[i+1].open != "") {
					t.Fatalf("%s, size %d: part %d ends with %q, and the next begins with %q", name, size, i, p.shut, parts[i+1].open)
				}
				if inner := strings.TrimSpace(p.text); c.open != "" && i > 0 && p.open == "" && (strings.HasPrefix(inner, "y()") || strings.HasPrefix(inner, "| bee") || strings.HasPrefix(inner, "> echo")) {
					t.Fatalf("%s, size %d: part %d is in no block: %q", name, size, i, p.whole())
				}
				all += p.text + p.joint
			}
			if all != strings.TrimSpace(c.text) {
				t.Fatalf("%s, size %d: the parts are not the whole", name, size)
			}
		}
	}
}
