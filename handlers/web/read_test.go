package web_test

import (
	"os"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers/web"
)

const article = `<!doctype html><html lang="en"><head><title>How to grow mushrooms</title>
<meta name="author" content="Ada Gardner"><meta property="og:site_name" content="The Garden">
<meta property="article:published_time" content="2026-03-01T10:00:00Z">
<script>alert("no")</script><style>p{}</style></head><body>
<nav><ul><li><a href="/">Home</a><li><a href="/shop">Shop</a></ul></nav>
<article><h1>How to grow mushrooms</h1>
<p>Mushrooms, unlike plants, want no light at all, and grow from a mycelium that eats straw, wood or dung; <b>keep them damp</b>, and <a href="more.html">read more</a> of them.</p>
<h2>Kinds</h2><table><tr><th>kind</th><th>days</th></tr><tr><td>oyster</td><td>14</td></tr></table>
<pre><code class="language-go">x := 1</code></pre>
<p>What is left of the straw, when nothing grows from it any more, is good for the compost, and for worms.</p></article>
<footer>Cookies, imprint</footer></body></html>`

func TestMarkdown(t *testing.T) {
	t.Parallel()
	r, err := web.Read("text/html", []byte(article), bus.FetchRequest{Format: bus.FormatMarkdown, MaxBytes: bus.DefaultPage})
	if err != nil {
		t.Fatal(err)
	}
	want := "Mushrooms, unlike plants, want no light at all, and grow from a mycelium that eats straw, wood or dung; **keep them damp**, " +
		"and [read more](https://example.org/dir/more.html) of them.\n\n## Kinds\n\n| kind | days |\n|---|---|\n| oyster | 14 |\n\n" +
		"```go\nx := 1\n```\n\nWhat is left of the straw, when nothing grows from it any more, is good for the compost, and for worms.\n"
	if d := cmp.Diff(want, r.Text); d != "" {
		t.Error(d)
	}
	if r.Title != "How to grow mushrooms" || r.Byline != "Ada Gardner" || r.Site != "The Garden" || !r.Published.Equal(time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)) {
		t.Errorf("title %q, byline %q, site %q, published %v", r.Title, r.Byline, r.Site, r.Published)
	}
	text, err := web.Read("text/html", []byte(article), bus.FetchRequest{Format: bus.FormatText, MaxBytes: bus.DefaultPage})
	if err != nil || strings.ContainsAny(text.Text, "*[#`") || !strings.Contains(text.Text, "keep them damp, and read more of them.") {
		t.Errorf("text %q, error %v", text.Text, err)
	}
	raw, err := web.Read("text/html", []byte(article), bus.FetchRequest{Format: bus.FormatRaw, MaxBytes: bus.DefaultPage})
	if err != nil || raw.Text != article {
		t.Errorf("raw %q, error %v", raw.Text, err)
	}
}

// What opens and shuts on a page is open here, with its head on a line of its own.
func TestDetails(t *testing.T) {
	t.Parallel()
	page := "<p>Bees</p><details><summary>Hives in 2025</summary>17</details><details><summary><h3>Honey</h3></summary><p>40 kg</details>"
	for format, want := range map[string]string{bus.FormatMarkdown: "Bees\n\nHives in 2025\n\n17\n\n### Honey\n\n40 kg\n", bus.FormatText: "Bees\n\nHives in 2025\n17\n\nHoney\n\n40 kg\n"} {
		r, err := web.Read("text/html", []byte(page), bus.FetchRequest{Format: format, MaxBytes: bus.DefaultPage})
		if err != nil || r.Text != want {
			t.Errorf("%s: %q, error %v, want %q", format, r.Text, err, want)
		}
	}
}

// A million is no hundred and six.
func TestExponents(t *testing.T) {
	t.Parallel()
	page := `<p>10<sup>6</sup> bees, 10<sup> −3</sup> g, 4 m<sup>2</sup>, x<sup>n</sup>, the 1<sup>st</sup>, H<sub>2</sub>O, Ada<sup>[1]</sup>, Bob<sup><a href="#2">2</a></sup></p>`
	for _, format := range []string{bus.FormatMarkdown, bus.FormatText} {
		r, err := web.Read("text/html", []byte(page), bus.FetchRequest{Format: format, MaxBytes: bus.DefaultPage})
		if err != nil || !strings.HasPrefix(r.Text, "10^6 bees, 10^−3 g, 4 m^2, x^n, the 1st, H2O, Ada") || strings.Count(r.Text, "^") != 4 {
			t.Errorf("%s: %q, error %v", format, r.Text, err)
		}
	}
}

// What stands below a cell that reaches over others stays under its own head, and what is in two cells stays apart.
func TestTables(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ table, want string }{
		"two heads over two columns": {
			`<tr><th rowspan=2>hive<th colspan=2>2025<th colspan=2>2026<tr><th>spring<th>autumn<th>spring<th>autumn<tr><td>A<td>1<td>2<td>3<td>4<tr><td colspan=3>sum<td>7<td>8`,
			"| hive | 2025 |  | 2026 |  |\n|---|---|---|---|---|\n|  | spring | autumn | spring | autumn |\n| A | 1 | 2 | 3 | 4 |\n| sum |  |  | 7 | 8 |",
		},
		"rows on both sides": {
			`<tr><th>a<th>b<th>c<tr><td rowspan=2>1<td>2<td rowspan=3>3<tr><td>4<tr><td>5<td>6<tr><td>7<td>8<td>9`,
			"| a | b | c |\n|---|---|---|\n| 1 | 2 | 3 |\n|  | 4 |  |\n| 5 | 6 |  |\n| 7 | 8 | 9 |",
		},
		"over both": {
			`<thead><tr><th>a<th>b<th>c<tbody><tr><td colspan=2 rowspan=2>1<td>2<tr><td>3<tbody><tr><td rowspan=9>4<td>5<td>6<tbody><tr><td>7<td>8<td>9`,
			"| a | b | c |\n|---|---|---|\n| 1 |  | 2 |\n|  |  | 3 |\n| 4 | 5 | 6 |\n| 7 | 8 | 9 |",
		},
		"lines in a cell": {
			`<tr><th>hive<th>honey<br>(kg)<th>year<tr><td><h4>A</h4>new<td><p>17<td>2025<tr><td><ul><li>B<li>C</ul><td>12<hr>13<td>2024`,
			"| hive | honey (kg) | year |\n|---|---|---|\n| A new | 17 | 2025 |\n| B, C | 12 13 | 2024 |",
		},
		"columns of text": {
			"<tr><td><p>News<p>Old<td><h2>Bees</h2>" + strings.Repeat("<p>They dance.", 100), "News\n\nOld\n\n## Bees" + strings.Repeat("\n\nThey dance.", 100),
		},
		"a table in a table": {
			"<tr><td>17<td>2025<tr><td><table><tr><th>a<th>b<tr><td>1<br>2<td>3</table><td>end", "17\n\n2025\n\n| a | b |\n|---|---|\n| 1 2 | 3 |\n\nend",
		},
		"none": {`<tr><th>a<th>b<tr><td>1<td>2`, "| a | b |\n|---|---|\n| 1 | 2 |"},
	} {
		r, err := web.Read("text/html", []byte("<p>Bees</p><table>"+c.table+"</table>"), bus.FetchRequest{Format: bus.FormatMarkdown, MaxBytes: bus.DefaultPage})
		if text := strings.TrimPrefix(r.Text, "Bees\n\n"); err != nil || text != c.want+"\n" {
			t.Errorf("%s: error %v\n%s\nwant\n%s", name, err, text, c.want)
		}
	}
}

// A page that is no article is there as a whole.
func TestPageOfLinks(t *testing.T) {
	t.Parallel()
	page := `<base href="/news/"><title>News</title><script>var x</script><ul>` +
		strings.Repeat(`<li><a href="a?b=1">Something happened</a>`, 20) +
		`</ul><a href="javascript:alert(1)">press</a><img src="data:image/png;base64,AAAA" alt="dot"><noscript>turn it on</noscript>`
	r, err := web.Read("text/html", []byte(page), bus.FetchRequest{Format: bus.FormatMarkdown, MaxBytes: bus.DefaultPage})
	if err != nil || strings.Count(r.Text, "[Something happened](https://example.org/news/a?b=1)") != 20 || r.Title != "News" {
		t.Errorf("title %q, text %q, error %v", r.Title, r.Text, err)
	}
	for _, not := range []string{"javascript:", "base64", "var x", "turn it on"} {
		if strings.Contains(r.Text, not) {
			t.Errorf("the text has %q: %s", not, r.Text)
		}
	}
}

func TestCharsets(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x ", 1000) // beyond where HTML may name its charset
	for name, c := range map[string]struct{ typ, body, want string }{
		"latin-1 by its header":       {"text/html; charset=iso-8859-1", "<p>caf\xe9</p>", "café\n"},
		"latin-1 by itself":           {"text/html", "<meta charset=iso-8859-1><p>caf\xe9</p>", "café\n"},
		"latin-1 that tells nothing":  {"text/html", "<p>caf\xe9</p>", "café\n"},
		"the header goes before":      {"text/html; charset=utf-8", "<meta charset=iso-8859-1><p>café</p>", "café\n"},
		"UTF-8 that tells nothing":    {"text/html", "<p>" + long + "café</p>", long + "café\n"},
		"UTF-16 by its mark":          {"text/html", "\xfe\xff\x00<\x00p\x00>\x00\xe9", "é\n"},
		"Japanese":                    {"text/html; charset=shift_jis", "<p>\x93\xfa\x96\x7b</p>", "日本\n"},
		"text with a mark":            {"text/plain", "\xef\xbb\xbfcafé", "café"},
		"a feed in Russian":           {"application/rss+xml", `<?xml version="1.0" encoding="windows-1251"?><rss>` + "\xcf\xf7\xb8\xeb\xfb</rss>", `<?xml version="1.0" encoding="windows-1251"?><rss>Пчёлы</rss>`},
		"a feed that says UTF-8":      {"application/rss+xml", `<?xml version="1.0" encoding="UTF-8"?><rss>` + "M\xfcller</rss>", `<?xml version="1.0" encoding="UTF-8"?><rss>Müller</rss>`},
		"text in latin-1":             {"text/plain; charset=latin1", "caf\xe9", "café"},
		"text about HTML":             {"text/plain", "<meta charset=shift_jis> café", "<meta charset=shift_jis> café"},
		"JSON":                        {"application/json", `{"a":"é"}`, `{"a":"é"}`},
		"a feed":                      {"application/rss+xml", "<rss/>", "<rss/>"},
		"markdown":                    {"text/markdown", "# Hi\r\n", "# Hi\n"},
		"a charset that nobody knows": {"text/html; charset=klingon", "<p>café</p>", "café\n"},
		"UTF-8 that is none":          {"text/plain; charset=utf-8", "caf\xe9!", "caf\ufffd!"},
		"a type that is broken":       {"text/html; charset", "<p>hi</p>", "hi\n"},
		"no head":                     {"text/html", "hello <b>you</b>", "hello **you**\n"},
		"nothing":                     {"text/html", "", "\n"},
		"steers a terminal":           {"text/plain", "a\x1b[31mb\x07\u009bc\td\n", "a[31mbc\td\n"},
	} {
		r, err := web.Read(c.typ, []byte(c.body), bus.FetchRequest{Format: bus.FormatMarkdown, MaxBytes: bus.DefaultPage})
		if err != nil || r.Text != c.want {
			t.Errorf("%s: text %q, error %v, want %q", name, r.Text, err, c.want)
		}
	}
}

// A page that is cut, or whose text is, ends with a whole character.
func TestCutPages(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.page("/text", "text/plain", strings.Repeat("é", 100))
	s.page("/huge", "text/html", "<h1>Title</h1>"+strings.Repeat("<p>é, some words, and more of them.</p>", 200_000))
	r := s.get(t, "/text", func(r *bus.FetchRequest) { r.MaxBytes = 11 })
	if r.Text != "ééééé" && r.Text != "ééééé\ufffd" || !r.Truncated || r.Bytes != 11 {
		t.Errorf("%+v", r)
	}
	huge := s.get(t, "/huge")
	if !huge.Truncated || huge.Bytes != bus.DefaultPage || len(huge.Text) > bus.DefaultPage || !strings.Contains(huge.Text, "é, some words") || !utf8.ValidString(huge.Text) {
		t.Errorf("%d bytes, a text of %d, truncated %t", huge.Bytes, len(huge.Text), huge.Truncated)
	}
}

// Small pages that were made to become large are told from, or cut.
func TestPagesThatGrow(t *testing.T) {
	t.Parallel()
	for name, page := range map[string]string{
		"wide cells":   "<table><caption>a</caption><tr><td>" + strings.Repeat("x", 50_000) + "</td></tr>" + strings.Repeat("<tr><td>1", 10_000) + "</table>",
		"long reaches": "<table>" + strings.Repeat("<tr><td colspan=1000 rowspan=1000>a", 1000) + "</table>",
		"no number":    "<table><tr><td colspan=99999999999999999999>a<td>b</table>",
		"a long base":  "<base href=/" + strings.Repeat("y", 50_000) + "/>" + strings.Repeat("<a href=x>y</a> ", 10_000),
	} {
		r, err := web.Read("text/html", []byte(page), bus.FetchRequest{Format: bus.FormatMarkdown, MaxBytes: bus.MaxPage})
		if err != nil || len(r.Text) > 1<<20 || !strings.ContainsAny(r.Text, "axy") {
			t.Errorf("%s: %d bytes became %d, error %v", name, len(page), len(r.Text), err)
		}
	}
	_, err := web.Read("text/html", []byte(strings.Repeat("<div>", 1000)), bus.FetchRequest{MaxBytes: bus.DefaultPage})
	if codeOf(err) != bus.CodeFailed || bus.IsRetry(err) || !strings.Contains(err.Error(), "nodes") {
		t.Errorf("deep: error %v", err)
	}
}

// hard is a page that keeps the libraries busy for much longer than anybody waits.
var hard = strings.Repeat("<blockquote>", 250) + strings.Repeat("<p>x", 100_000)

// What a page does to its reader it does to a process of its own.
func TestReaderOfItsOwn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.page("/", "text/html", article)
	s.page("/deep", "text/html", strings.Repeat("<div>", 1000))
	s.page("/hard", "text/html", hard)
	at := time.Date(2026, 11, 27, 20, 0, 0, 0, time.UTC)
	own := func(c *web.Config) {
		c.Reader = []string{os.Args[0], readPage}
		c.Now = func() time.Time { return at }
		c.ReadTime = time.Hour // a noisy machine starts programs slowly
	}
	here, err := fetch(t.Context(), t, s.open(t, own, func(c *web.Config) { c.Reader = nil }), bus.FetchRequest{URL: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	there, err := fetch(t.Context(), t, s.open(t, own), bus.FetchRequest{URL: s.URL})
	if d := cmp.Diff(here, there); err != nil || d != "" {
		t.Errorf("another process reads otherwise, error %v: %s", err, d)
	}
	for says, c := range map[string]struct {
		path   string
		change func(*web.Config)
	}{
		"nodes":                          {"/deep", func(*web.Config) {}},
		"it takes more than 200ms":       {"/hard", func(c *web.Config) { c.ReadTime = 200 * time.Millisecond }},
		"it takes more than 16 MiB":      {"/hard", func(c *web.Config) { c.ReadMemory = 16 << 20 }},
		"its reader ended: exit status ": {"/", func(c *web.Config) { c.Reader = []string{os.Args[0], "-no-such-flag"} }},
	} {
		_, err := fetch(t.Context(), t, s.open(t, own, c.change), bus.FetchRequest{URL: s.URL + c.path})
		if codeOf(err) != bus.CodeFailed || bus.IsRetry(err) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: error %v, want %q", c.path, err, says)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("text/html", []byte(article))
	f.Add("text/html; charset=shift_jis", []byte("<table><td colspan=9>\x93\xfa<svg><a href=//x><p>"))
	f.Add("application/json", []byte(`{"a":1}`))
	f.Fuzz(func(t *testing.T, typ string, body []byte) {
		if len(body) > 16<<10 {
			return
		}
		for _, format := range []string{bus.FormatMarkdown, bus.FormatText, bus.FormatRaw} {
			r, err := web.Read(typ, body, bus.FetchRequest{Format: format, MaxBytes: 8 << 10})
			if err != nil {
				continue
			}
			if len(r.Text) > 8<<10 || !utf8.ValidString(r.Text) {
				t.Errorf("%s: a text of %d bytes, valid: %t", format, len(r.Text), utf8.ValidString(r.Text))
			}
			for _, s := range []string{r.Text, r.Title, r.Byline, r.Site, r.ContentType} {
				if strings.ContainsFunc(s, func(c rune) bool { return unicode.IsControl(c) && c != '\n' && c != '\t' }) {
					t.Errorf("%s: %q has control characters", format, s)
				}
			}
		}
	})
}
