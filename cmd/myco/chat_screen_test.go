package main

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/charmbracelet/x/vt"
	"github.com/google/go-cmp/cmp"
)

// screen is a terminal of the test: what a person sees, and can scroll back to.
type screen struct{ *vt.Emulator }

func newScreen(width, height int) screen { return screen{vt.NewEmulator(width, height)} }

// Write is what a terminal does with the output of a program.
func (s screen) Write(b []byte) (int, error) {
	_, err := s.Emulator.Write([]byte(strings.ReplaceAll(string(b), "\n", "\r\n")))
	return len(b), err
}

// lines are all lines, those that have scrolled away first, without blanks at their ends.
func (s screen) lines() string {
	var out []string
	row := func(width int, cell func(x int) string) {
		var b strings.Builder
		for x := range width {
			b.WriteString(cell(x))
		}
		out = append(out, strings.TrimRight(b.String(), " "))
	}
	for y := range s.ScrollbackLen() {
		row(s.Width(), func(x int) string {
			if c := s.ScrollbackCellAt(x, y); c != nil {
				return c.Content
			}
			return ""
		})
	}
	for y := range s.Height() {
		row(s.Width(), func(x int) string {
			if c := s.CellAt(x, y); c != nil {
				return c.Content
			}
			return ""
		})
	}
	return strings.TrimRight(strings.Join(out, "\n"), "\n") + "\n"
}

const sample = `# How to list files

Use **ls**, which *shows* what is there. It is among the oldest of commands, and every Unix has it: try ` + "`ls -l`" + ` first.

1. Open a terminal.
2. Type the command, and then press the key that is called Enter on most keyboards of this world:
   - with ~~care~~
   - [x] done

| flag | what |
|------|------|
| -l | a long list |
| -a | all |

` + "```sh\n# not a heading\nls -la\n\n\tls *.go\n```" + `

> It is a truth universally acknowledged.

See [the manual](https://example.org/ls).

漢字も表示します。

---
The end.
`

func TestMarkdown(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	newView(&out, []string{"TERM=dumb"}, false).text(markdown(sample, 60) + "\n\n== 24 columns\n\n" + markdown(sample, 24) + "\n")
	golden(t, "chat_markdown.golden", out.String())
}

// What models write beside plain Markdown is shown as the page shows it.
func TestMarkdownOfModels(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]string{
		"Roses are red,\nviolets are blue.":            "Roses are red,\nviolets are blue.",
		"*An old silent pond\nA frog*\n\n- one\n  two": "An old silent pond\nA frog\n\n• one\n  two",
		"**a\n" + strings.Repeat("b", 35) + "**":       "a\n" + strings.Repeat("b", 30) + "\nbbbbb",
		"a &lt;b&gt; &amp;&nbsp;c &#169; &#x2264;":     "a <b> &\u00a0c © ≤",
		`\&lt; \* &nothing; AT&T; & x`:                 `&lt; * &nothing; AT&T; & x`,
		"`&lt;`":                                       "&lt;",
		"x&#27;[31my&#7;&#10;z":                        "x[31my z",
		"[a](http://b/?c=1&amp;d=&#27;)":               "a (http://b/?c=1&d=)",
		"one<br>two<BR/>three<b>":                      "one\ntwo\nthree<b>",
		"| what | how many | to |\n|---|--:|:-:|\n| apples<br>red | 5 | a |\n| plums | 1000 | them |": "what    how many   to\napples         5   a\nred\nplums       1000  them",
	} {
		var out strings.Builder
		newView(&out, []string{"TERM=dumb"}, false).text(markdown(src, 30))
		if out.String() != want {
			t.Errorf("%q: %q, want %q", src, out.String(), want)
		}
	}
}

// However an answer is cut into pieces, and whatever the size of the terminal, the screen shows in
// the end what rendering it at once shows, and above it what was there before.
func TestAnswerIsRenderedInPlace(t *testing.T) {
	t.Parallel()
	const before = "one\ntwo\n>>> how?\n"
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		width, height := 20+r.IntN(80), 16+r.IntN(20)
		term := newScreen(width, height)
		show(t, term, before)
		s := answerScreen{out: term, size: func() (int, int) { return width, height }}
		for rest := sample; rest != ""; {
			runes := []rune(rest)
			n := 1 + r.IntN(min(len(runes), 1+r.IntN(40)))
			s.write(string(runes[:n]))
			rest = string(runes[n:])
		}
		s.finish()
		show(t, term, ">>> ")
		want := newScreen(width, height)
		show(t, want, before+markdown(sample, width)+"\n>>> ")
		if d := cmp.Diff(want.lines(), term.lines()); d != "" {
			t.Fatalf("seed %d, %d x %d: %s", seed, width, height, d)
		}
	}
}

func show(t *testing.T, s screen, text string) {
	t.Helper()
	_, err := s.Write([]byte(text))
	must(t, err)
}

// What does not fit the screen, or cannot be told to, stays as it came: nothing is lost or written twice.
func TestAnswerStaysRawWhereItCannotBeReplaced(t *testing.T) {
	t.Parallel()
	long := "**long** " + strings.Repeat("word ", 100)
	for _, c := range []struct {
		name, text    string
		width, height int
		resize        bool
		want          string
	}{
		{"taller than the screen", long + "\n\n**bold**\n", 20, 5, false, wrapped(long, 20) + "\n\nbold\n"},
		{"of unsure width", strings.Repeat("**x**👨‍👩‍👧", 9) + "\n\n**bold**\n", 30, 20, false, ""},
		{"resized", "**a**\n\n**b**\n", 30, 20, true, "**a**\n\n**b**\n"},
		{"without a terminal's size", "**a**", 0, 0, false, "**a**\n"},
	} {
		term := newScreen(max(c.width, 20), max(c.height, 5))
		width := c.width
		s := answerScreen{out: term, size: func() (int, int) { return width, c.height }}
		s.write(c.text[:3])
		if c.resize {
			width += 7
		}
		s.write(c.text[3:])
		s.finish()
		switch got := term.lines(); {
		case c.want == "":
			if !strings.Contains(got, "**x**") || !strings.HasSuffix(got, "\n\nbold\n") {
				t.Errorf("%s: it shows\n%s", c.name, got)
			}
		case got != c.want:
			t.Errorf("%s: %s", c.name, cmp.Diff(c.want, got))
		}
	}
}

func TestRows(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		rows int
		sure bool
	}{
		{"", 0, true},
		{"0123456789", 0, true},
		{"0123456789x", 1, true},
		{"0123456789\n", 1, true},
		{"a\n\nb", 2, true},
		{"漢字漢字漢", 0, true},
		{"012345678漢", 1, true},
		{"123456\U0001f468\u200d\U0001f469\u200d\U0001f467xx", 0, false},
	} {
		if rows, sure := rowsOf(c.text, 10); sure != c.sure || rows != c.rows {
			t.Errorf("%q: %d rows, sure %v, want %d, %v", c.text, rows, sure, c.rows, c.sure)
		}
	}
}

// wrapped is what a terminal does with a long line.
func wrapped(s string, width int) string {
	var out []string
	for ; len(s) > width; s = s[width:] {
		out = append(out, strings.TrimRight(s[:width], " "))
	}
	return strings.Join(append(out, strings.TrimRight(s, " ")), "\n")
}

// A model cannot steer the terminal of who reads it.
func TestAnswerDoesNotSteerTheTerminal(t *testing.T) {
	t.Parallel()
	if got, want := printable("a\x1b[2Jb\r\nc\td\u009b31m\x00é"), "a[2Jb\nc    d31mé"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	s := newScreen(40, 10)
	a := answerScreen{out: s, size: func() (int, int) { return 40, 10 }}
	show(t, s, "secret\n")
	a.write("x\x1b[1;1H\x1b[2Ky `\x1b]0;title\a` [a](http://b/\x1b[5A)\n")
	a.finish()
	if got := s.lines(); !strings.HasPrefix(got, "secret\nx[1;1H[2Ky ") {
		t.Errorf("the screen shows\n%s", got)
	}
}
