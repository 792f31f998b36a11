package file_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers/file"
)

const article = `<!doctype html><html><head><meta charset=iso-8859-1><title>How to grow  mushrooms</title>
<meta name=author content="Ada M\xfcller"><script>alert(1)</script></head><body>
<nav><a href="/">Home</a></nav><article><h1>How to grow mushrooms</h1>
<p>Mushrooms, unlike plants, want no light at all, and grow from a mycelium that eats straw; <b>keep them damp</b>, and <a href="more.html">read more</a>.</p>
<h2>Kinds</h2><table><tr><th>kind</th><th>days</th></tr><tr><td>pl\xe4tte</td><td>14</td></tr></table>
<p>What is left of the straw, when nothing grows from it any more, is good for the compost, and for worms, too.</p>
</article><footer>Imprint</footer></body></html>`

func TestHTML(t *testing.T) {
	t.Parallel()
	h := setup(t, file.Config{})
	latin1 := []byte(strings.NewReplacer(`\xfc`, "\xfc", `\xe4`, "\xe4").Replace(article))
	got, err := read(t, h, bus.FileRequest{Name: "page.html", Content: latin1})
	if err != nil {
		t.Fatal(err)
	}
	want := "# How to grow mushrooms\n\nMushrooms, unlike plants, want no light at all, and grow from a mycelium that eats straw; **keep them damp**, and [read more](more.html).\n\n" +
		"## Kinds\n\n| kind | days |\n|---|---|\n| plätte | 14 |\n\n" +
		"What is left of the straw, when nothing grows from it any more, is good for the compost, and for worms, too.\n"
	if got.Text != want || got.Kind != "text/html" || got.Charset != "windows-1252" || got.Title != "How to grow mushrooms" || got.Author != "Ada Müller" ||
		got.Words != len(strings.Fields(want)) || got.Truncated {
		t.Errorf("got %+v, want\n%s", got, want)
	}
	plain, err := read(t, h, bus.FileRequest{Content: latin1, Format: bus.FileText}) // as from standard input
	if err != nil || strings.ContainsAny(plain.Text, "*#[|<") || !strings.HasPrefix(plain.Text, "How to grow mushrooms\n\nMushrooms, ") || !strings.Contains(plain.Text, "keep them damp, and read more.") {
		t.Errorf("%+v, error %v", plain, err)
	}
}

// What is HTML, and what only looks like it.
func TestWhatIsHTML(t *testing.T) {
	t.Parallel()
	h := setup(t, file.Config{})
	for name, c := range map[string]struct{ content, kind, text string }{
		"a.html":   {"<p>Hi <b>you</b></p>", "text/html", "Hi **you**\n"},
		"b.htm":    {"Hi <b>you</b>", "text/html", "Hi **you**\n"},
		"c.xhtml":  {`<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><body><p>Hi</p></body></html>`, "text/html", "Hi\n"},
		"":         {"<!doctype html><p>Hi", "text/html", "Hi\n"},
		"r.xhtml":  {`<?xml version="1.0" encoding="windows-1251"?><html><body><p>` + "\xcf\xf7\xb8\xeb\xfb</p>", "text/html", "Пчёлы\n"},
		"r.xml":    {`<?xml version='1.0' encoding='windows-1251'?><a>` + "\xcf\xf7\xb8\xeb\xfb</a>", "text/xml", `<?xml version='1.0' encoding='windows-1251'?><a>Пчёлы</a>` + "\n"},
		"l.xhtml":  {`<?xml version="1.0" encoding="UTF-8"?><html><body><p>` + "M\xfcller</p>", "text/html", "Müller\n"},
		"l.xml":    {`<?xml version="1.0" encoding="UTF-8"?><a>` + "M\xfcller</a>", "text/xml", `<?xml version="1.0" encoding="UTF-8"?><a>Müller</a>` + "\n"},
		"o.xhtml":  {`<?xml version="1.0" encoding="UTF-8"?><html><body><p>` + "Müller, Grün, caf\xe9</p>", "text/html", "Müller, Grün, caf\ufffd\n"},
		"m.xhtml":  {`<?xml version="1.0" encoding="windows-1251"?><html><head><meta charset="iso-8859-1"/></head><body><p>` + "M\xfcller</p>", "text/html", "Müller\n"},
		"n.xhtml":  {`<?xml version="1.0" encoding="UTF-8"?><html><head><meta http-equiv="Content-Type" content="text/html; charset=windows-1251"/></head><p>` + "\xcf\xf7\xb8\xeb\xfb</p>", "text/html", "Пчёлы\n"},
		"u.xml":    {`<?xml version="1.0" encoding="utf-16"?><a>` + "caf\xe9</a>", "text/xml", `<?xml version="1.0" encoding="utf-16"?><a>café</a>` + "\n"},
		"d.md":     {"<h1>Hi</h1>\n", "text/plain", "<h1>Hi</h1>\n"},
		"e.xml":    {`<?xml version="1.0"?><a>Hi</a>`, "text/xml", `<?xml version="1.0"?><a>Hi</a>` + "\n"},
		"f.html":   {"\xff\xfe<\x00p\x00>\x00\xe9\x00", "text/html", "é\n"},
		"g.html":   {`<base href="https://example.org/d/"><a href="x">y</a>`, "text/html", "[y](https://example.org/d/x)\n"},
		"H.HTML":   {`<base href="d/"><a href="x">y</a>`, "text/html", "[y](x)\n"},
		"log.html": {"a\x1b[31mb", "text/html", "a[31mb\n"},
	} {
		got, err := read(t, h, bus.FileRequest{Name: name, Content: []byte(c.content)})
		if err != nil || got.Kind != c.kind || got.Text != c.text {
			t.Errorf("%q: %s, %q, error %v; want %s, %q", name, got.Kind, got.Text, err, c.kind, c.text)
		}
	}
}

// HTML that keeps the libraries busy for hours ends with its time, and more of it than is read is told.
func TestHTMLLimits(t *testing.T) {
	t.Parallel()
	own := file.Config{Reader: []string{os.Args[0], readDocument}, Limit: 200 * time.Millisecond}
	hard := strings.Repeat("<blockquote>", 250) + strings.Repeat("<p>x", 100_000)
	_, err := read(t, setup(t, own), bus.FileRequest{Name: "hard.html", Content: []byte(hard)})
	if e := bus.AsError(err); e == nil || e.Code != bus.CodeFailed || bus.IsRetry(err) || !strings.Contains(e.Message, "was not read within 200ms") || strings.Contains(e.Hint, "pages") {
		t.Errorf("hard: %v, want a final failure by time", err)
	}
	long := "<p>first</p><!--" + strings.Repeat("x", bus.MaxPage) + "--><p>last</p>"
	got, err := read(t, setup(t, file.Config{}), bus.FileRequest{Name: "long.html", Content: []byte(long)})
	if err != nil || got.Text != "first\n" || !got.Truncated {
		t.Errorf("long: %+v, error %v, want the beginning", got, err)
	}
}
