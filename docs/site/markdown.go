package main

import (
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"os"
	"path"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	tables "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// library is the pages while they are read: their links lead from one to another.
type library struct {
	config
	pages  []*page
	files  map[string][]byte // what goes into the site as it is
	broken []error           // each with file and line
}

// manuscript is a page of Markdown, read and not yet rendered.
type manuscript struct {
	*page
	text []byte
	tree ast.Node
}

// line is the number of the line that has a byte.
func (d manuscript) line(at int) int { return 1 + bytes.Count(d.text[:max(at, 0)], []byte("\n")) }

var md = goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithParserOptions(parser.WithAutoHeadingID()),
	goldmark.WithRendererOptions(renderer.WithNodeRenderers(util.Prioritized(ourHTML{}, 100))))

// read makes the content of every page. Anchors of all pages come before links of any.
func (l *library) read() error {
	var drafts []manuscript
	for _, p := range l.pages {
		switch p.src {
		case busSrc:
			if err := l.goPackage(p); err != nil {
				return err
			}
		case mycoSrc, mycodSrc:
			if err := l.reference(p); err != nil {
				return err
			}
		default:
			d, err := l.draft(p)
			if err != nil {
				return err
			}
			drafts = append(drafts, d)
		}
	}
	for _, d := range drafts {
		if err := l.render(d); err != nil {
			return err
		}
	}
	return nil
}

// draft parses a page, and notes its headings and its text. A folder without a README has its name alone.
func (l *library) draft(p *page) (manuscript, error) {
	d := manuscript{page: p}
	if strings.HasSuffix(p.src, ".md") {
		var err error
		d.text, err = os.ReadFile(filepath.Join(l.root, filepath.FromSlash(p.src)))
		if err != nil {
			return d, err
		}
	} else {
		d.text = []byte("# " + p.label + "\n")
	}
	d.tree = md.Parser().Parse(text.NewReader(d.text), parser.WithContext(parser.NewContext(parser.WithIDs(&slugs{}))))
	p.ids = map[string]bool{}
	at := found{}
	keep := func() {
		if at.Text != "" || at.Heading != "" {
			p.found = append(p.found, at)
		}
	}
	for n := d.tree.FirstChild(); n != nil; n = n.NextSibling() {
		words := plain(n, d.text)
		h, ok := n.(*ast.Heading)
		if !ok {
			if p.About == "" && n.Kind() == ast.KindParagraph {
				p.About = words
			}
			at.Text = strings.TrimSpace(at.Text + " " + words)
			continue
		}
		id := string(attribute(h, "id"))
		p.ids[id] = true
		if h.Level == 1 && p.Title == "" {
			p.Title = words
			continue
		}
		if h.Level == 2 || h.Level == 3 {
			p.Headings = append(p.Headings, heading{h.Level, id, words})
		}
		keep()
		at = found{Heading: words, ID: id}
	}
	keep()
	if p.Title == "" {
		return d, fmt.Errorf("%s has no heading of the first level: begin it with # and its title", p.src)
	}
	return d, nil
}

// render makes HTML of a page whose links are put right, and notes those that lead nowhere.
func (l *library) render(d manuscript) error {
	err := ast.Walk(d.tree, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if entering {
			if t, ok := n.(*tables.Table); ok {
				d.Wide = d.Wide || len(t.Alignments) > 5
			}
			if err := l.mend(d, n); err != nil {
				l.broken = append(l.broken, fmt.Errorf("%s:%d: %w", d.src, d.line(n.Pos()), err))
			}
		}
		return ast.WalkContinue, nil
	})
	if err != nil {
		return err
	}
	drop(d.tree, func(n ast.Node) bool { return n.Kind() == ast.KindRawHTML || n.Kind() == ast.KindHTMLBlock })
	var html bytes.Buffer
	if err := md.Renderer().Render(&html, d.text, d.tree); err != nil {
		return fmt.Errorf("render %s: %w", d.src, err)
	}
	body := html.String()
	// A table that is wider than the page is scrolled by itself. Text cannot say <table>: its < is escaped.
	body = strings.ReplaceAll(body, "<table>", `<div class="table" tabindex="0"><table>`)
	body = strings.ReplaceAll(body, "</table>", "</table></div>")
	if d.folder != "" {
		var list strings.Builder
		for _, u := range d.Under {
			fmt.Fprintf(&list, "<li><a href=\"%s\">%s</a></li>\n", template.HTMLEscapeString(way(d.out, u.out)), template.HTMLEscapeString(u.Title))
		}
		body += "<ul class=\"pages\">\n" + list.String() + "</ul>\n"
	}
	d.Body = template.HTML(body) // goldmark escapes what the pages say
	return nil
}

// mend puts a link right, and tells what is wrong with a piece of a page.
func (l *library) mend(d manuscript, n ast.Node) (err error) {
	var to string
	switch n := n.(type) {
	case *ast.Heading:
		if n.Level == 1 && n.PreviousSibling() != nil {
			return errors.New("a page has one heading of the first level, at its beginning")
		}
	case *ast.CodeSpan:
		return misquoted(l.commands, plain(n, d.text))
	case *ast.CodeBlock, *ast.FencedCodeBlock:
		for i := range n.Lines().Len() {
			line := n.Lines().At(i)
			if wrong := misquoted(l.commands, strings.TrimSpace(string(line.Value(d.text)))); wrong != nil {
				l.broken = append(l.broken, fmt.Errorf("%s:%d: %w", d.src, d.line(line.Start), wrong))
			}
		}
		return untyped(string(n.Lines().Value(d.text)))
	case *ast.Link:
		if to, err = l.follow(d.page, string(n.Destination)); err == nil {
			n.Destination = []byte(to)
		}
	case *ast.Image:
		if to, err = l.picture(d.page, string(n.Destination)); err == nil {
			n.Destination = []byte(to)
		}
	case *ast.RawHTML, *ast.HTMLBlock:
		if !commentOnly(n, d.text) {
			return errors.New("HTML is left out: put what is in <> in backticks, or a backslash before the <")
		}
	}
	return err
}

// commentOnly reports whether n is a comment, for those who read the source.
func commentOnly(n ast.Node, source []byte) bool {
	var html []byte
	switch n := n.(type) {
	case *ast.RawHTML:
		html = n.Segments.Value(source)
	case *ast.HTMLBlock:
		html = n.Lines().Value(source)
		if n.HasClosure() {
			html = append(html, n.ClosureLine.Value(source)...)
		}
	}
	html = bytes.TrimSpace(html)
	return bytes.HasPrefix(html, []byte("<!--")) && bytes.HasSuffix(html, []byte("-->")) && bytes.Count(html, []byte("-->")) == 1
}

// drop takes nodes out of a tree.
func drop(n ast.Node, which func(ast.Node) bool) {
	for c := n.FirstChild(); c != nil; {
		next := c.NextSibling()
		if which(c) {
			n.RemoveChild(n, c)
		} else {
			drop(c, which)
		}
		c = next
	}
}

// plain is the text of a node and what is below it, in one line.
func plain(n ast.Node, source []byte) string {
	var b strings.Builder
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // the function has no errors
		if !entering {
			if n.Type() == ast.TypeBlock {
				b.WriteByte(' ')
			}
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Text:
			words := n.Segment.Value(source)
			if n.Parent().Kind() != ast.KindCodeSpan {
				words = util.ResolveEntityNames(util.ResolveNumericReferences(util.UnescapePunctuations(words)))
			}
			b.Write(words)
			if n.SoftLineBreak() || n.HardLineBreak() {
				b.WriteByte(' ')
			}
		case *ast.String:
			b.Write(n.Value)
		case *ast.AutoLink:
			b.Write(n.Label(source))
		case *ast.CodeBlock, *ast.FencedCodeBlock:
			b.Write(n.Lines().Value(source))
		}
		return ast.WalkContinue, nil
	})
	return strings.Join(strings.Fields(b.String()), " ")
}

// attribute returns an attribute of a heading.
func attribute(n ast.Node, name string) []byte {
	v, _ := n.AttributeString(name)
	b, _ := v.([]byte)
	return b
}

// slugs gives headings the anchors that GitHub gives them, so that a link is good at both.
type slugs struct{ used map[string]int }

// Generate returns the anchor of a heading: its letters in lower case, digits, - and _, a - for each space,
// and a number where another one is called so.
func (s *slugs) Generate(value []byte, _ ast.NodeKind) []byte {
	slug := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			return unicode.ToLower(r)
		case r == ' ':
			return '-'
		}
		return -1
	}, strings.TrimSpace(string(value)))
	if s.used == nil {
		s.used = map[string]int{}
	}
	k := s.used[slug]
	s.used[slug]++
	if k > 0 {
		slug = fmt.Sprintf("%s-%d", slug, k)
	}
	return []byte(slug)
}

// Put notes an anchor that a page names itself, for which there is no Markdown here.
func (s *slugs) Put([]byte) {}

// ourHTML renders what is to look otherwise than goldmark has it: headings that can be linked, and comments in code.
type ourHTML struct{}

func (ourHTML) RegisterFuncs(r renderer.NodeRendererFuncRegisterer) {
	r.Register(ast.KindHeading, func(w util.BufWriter, _ []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
		h, id := n.(*ast.Heading), template.HTMLEscapeString(string(attribute(n, "id")))
		if entering {
			fmt.Fprintf(w, `<h%d id="%s">`, h.Level, id)
		} else {
			fmt.Fprintf(w, "%s</h%d>\n", anchor(h.Level, id), h.Level)
		}
		return ast.WalkContinue, nil
	})
	code := func(w util.BufWriter, source []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
		if entering {
			fmt.Fprintf(w, "<pre tabindex=\"0\"><code>%s</code></pre>\n", shell(string(n.Lines().Value(source))))
		}
		return ast.WalkSkipChildren, nil
	}
	// A flag or a short command is not broken into two lines.
	r.Register(ast.KindCodeSpan, func(w util.BufWriter, source []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
		if entering {
			words, class := plain(n, source), ""
			if utf8.RuneCountInString(words) <= 24 {
				class = ` class="whole"`
			}
			fmt.Fprintf(w, "<code%s>%s</code>", class, unbroken(words))
		}
		return ast.WalkSkipChildren, nil
	})
	r.Register(ast.KindCodeBlock, code)
	r.Register(ast.KindFencedCodeBlock, code)
}

// unbroken escapes a command of several words, and keeps its flags in a line each, also where a table is narrow: browsers
// would break them behind a hyphen.
func unbroken(command string) string {
	words := strings.Split(command, " ")
	for i, w := range words {
		words[i] = template.HTMLEscapeString(w)
		if len(words) > 1 && strings.HasPrefix(w, "--") && utf8.RuneCountInString(w) <= 24 {
			words[i] = `<span class="flag">` + words[i] + "</span>"
		}
	}
	return strings.Join(words, " ")
}

// anchor is the link of a heading to itself; a page's title has none.
func anchor(level int, id string) string {
	if level == 1 {
		return ""
	}
	return fmt.Sprintf(`<a class="anchor" href="#%s" aria-label="Link to this section">#</a>`, id)
}

// shell escapes lines of a terminal or of settings, and sets off their comments, which begin with # at the
// beginning of a line or after two spaces.
func shell(code string) string {
	var b strings.Builder
	for line := range strings.Lines(code) {
		at := strings.Index(line, "  # ") + 2
		if strings.HasPrefix(line, "# ") {
			at = 0
		} else if at < 2 {
			b.WriteString(template.HTMLEscapeString(line))
			continue
		}
		comment := strings.TrimSuffix(line[at:], "\n")
		fmt.Fprintf(&b, `%s<span class="c">%s</span>%s`, template.HTMLEscapeString(line[:at]), template.HTMLEscapeString(comment), line[at+len(comment):])
	}
	return b.String()
}

// picture takes an image into the site, and returns the way to it.
func (l *library) picture(p *page, to string) (string, error) {
	if strings.Contains(to, ":") {
		return "", fmt.Errorf("the image %s is elsewhere: the site loads nothing from others, so put it beside the page", to)
	}
	file := path.Join(path.Dir(p.src), to)
	b, err := os.ReadFile(filepath.Join(l.root, filepath.FromSlash(file)))
	if err != nil {
		return "", fmt.Errorf("the image %s: %w", to, errors.Unwrap(err))
	}
	l.files["images/"+file] = b
	return way(p.out, "images/"+file), nil
}
