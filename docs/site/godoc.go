package main

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/build"
	"go/doc"
	"go/doc/comment"
	"go/parser"
	"go/printer"
	"go/scanner"
	"go/token"
	"html/template"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// goPackage makes the page of a Go package: what `go doc` says, with its examples.
func (l *library) goPackage(p *page) error {
	g := &gopher{library: l, page: p, fset: token.NewFileSet(), types: map[string]bool{}}
	dir := filepath.Join(l.root, filepath.FromSlash(p.src))
	// As on one platform, whoever makes the site.
	platform := build.Default
	platform.GOOS, platform.GOARCH, platform.CgoEnabled, platform.BuildTags = "linux", "amd64", false, nil
	names, err := platform.ImportDir(dir, 0)
	if err != nil {
		return fmt.Errorf("read package %s: %w", p.src, err)
	}
	var files []*ast.File
	for _, name := range slices.Concat(names.GoFiles, names.XTestGoFiles) {
		if strings.HasSuffix(name, "_test.go") && !strings.HasPrefix(name, "example") {
			continue
		}
		// By its path from the root, so that a declaration can be linked where it is.
		src, err := parser.ParseFile(g.fset, filepath.Join(dir, name), nil, parser.ParseComments)
		if err != nil {
			return fmt.Errorf("read package %s: %w", p.src, err)
		}
		files = append(files, src)
	}
	if g.pkg, err = doc.NewFromFiles(g.fset, files, l.module+"/"+p.src); err != nil {
		return fmt.Errorf("read package %s: %w", p.src, err)
	}
	p.Title, p.About = "Go: package "+g.pkg.Name, g.pkg.Synopsis(g.pkg.Doc)
	p.ids = map[string]bool{}
	for _, t := range g.pkg.Types {
		g.types[t.Name] = true
	}
	g.everything()
	p.Body = template.HTML(g.html.String()) // go/doc and show escape what the comments and the code say
	return nil
}

// gopher writes the page of a package.
type gopher struct {
	*library
	page  *page
	pkg   *doc.Package
	fset  *token.FileSet
	types map[string]bool
	html  strings.Builder
}

func (g *gopher) everything() {
	d := g.pkg
	fmt.Fprintf(&g.html, "<h1>Package %s</h1>\n<pre tabindex=\"0\"><code>import %q</code></pre>\n", d.Name, d.ImportPath)
	g.text(d.Doc)
	g.page.found = append(g.page.found, found{Text: words(d.Doc)})
	if len(d.Examples) > 0 {
		g.heading(2, "examples", "An example", "", words(d.Examples[0].Doc))
		g.examples(d.Examples)
	}
	values := func(id, name string, all []*doc.Value) {
		if len(all) == 0 {
			return
		}
		var text strings.Builder
		for _, v := range all {
			text.WriteString(strings.Join(v.Names, " ") + " " + words(v.Doc) + " ")
		}
		g.heading(2, id, name, "", text.String())
		g.values(all)
	}
	if len(d.Types) > 0 {
		g.heading(2, "types", "Types", "", "")
	}
	for _, t := range d.Types {
		g.heading(3, t.Name, "type "+t.Name, g.at(t.Decl.Pos()), words(t.Doc))
		g.text(t.Doc)
		g.show(t.Decl)
		g.examples(t.Examples)
		g.values(t.Consts)
		g.values(t.Vars)
		for _, f := range t.Funcs {
			g.function(4, f.Name, f)
		}
		for _, m := range t.Methods {
			g.function(4, t.Name+"."+m.Name, m)
		}
	}
	if len(d.Funcs) > 0 {
		g.heading(2, "functions", "Functions", "", "")
		for _, f := range d.Funcs {
			g.function(3, f.Name, f)
		}
	}
	values("constants", "Constants", d.Consts)
	values("variables", "Variables", d.Vars)
}

// heading begins a section; text is what a search finds there.
func (g *gopher) heading(level int, id, name, source, text string) {
	g.page.ids[id] = true
	if level < 4 {
		g.page.Headings = append(g.page.Headings, heading{level, id, strings.TrimPrefix(strings.TrimPrefix(name, "type "), "func ")})
	}
	g.page.found = append(g.page.found, found{name, id, text})
	if source != "" {
		source = fmt.Sprintf(`<a class="source" href="%s">source</a>`, template.HTMLEscapeString(source))
	}
	fmt.Fprintf(&g.html, "<h%d id=\"%s\">%s%s%s</h%d>\n", level, id, template.HTMLEscapeString(name), anchor(level, id), source, level)
}

func (g *gopher) values(all []*doc.Value) {
	for _, v := range all {
		g.text(v.Doc)
		g.show(v.Decl)
	}
}

func (g *gopher) function(level int, id string, f *doc.Func) {
	name := "func " + f.Name
	if f.Recv != "" {
		name = fmt.Sprintf("func (%s) %s", f.Recv, f.Name)
	}
	g.heading(level, id, name, g.at(f.Decl.Pos()), words(f.Doc))
	f.Decl.Body = nil
	g.show(f.Decl)
	g.text(f.Doc)
	g.examples(f.Examples)
}

func (g *gopher) examples(all []*doc.Example) {
	for _, e := range all {
		end := ""
		if e.Name != "" { // one of the whole package is open
			g.html.WriteString("<details class=\"example\"><summary>Example</summary>\n")
			end = "</details>\n"
		}
		g.text(e.Doc)
		g.show(&printer.CommentedNode{Node: e.Code, Comments: e.Comments})
		if e.Output != "" {
			fmt.Fprintf(&g.html, "<p>It prints:</p>\n<pre tabindex=\"0\"><code>%s</code></pre>\n", template.HTMLEscapeString(e.Output))
		}
		g.html.WriteString(end)
	}
}

// text writes a comment. Names in [brackets] lead to their places on the page, those of other packages to their pages.
func (g *gopher) text(s string) {
	p := g.pkg.Printer()
	p.HeadingLevel = 4
	p.DocLinkURL = func(link *comment.DocLink) string {
		if link.ImportPath == "" {
			return "#" + strings.TrimPrefix(link.Recv+"."+link.Name, ".")
		}
		return link.DefaultURL("https://pkg.go.dev")
	}
	// The keys scroll what is wider than its page, as elsewhere.
	g.html.Write(bytes.ReplaceAll(p.HTML(g.pkg.Parser().Parse(s)), []byte("<pre>"), []byte(`<pre tabindex="0">`)))
}

// show writes Go code, its comments and the types of this package set off.
func (g *gopher) show(node any) {
	var src bytes.Buffer
	if err := (&printer.Config{Mode: printer.UseSpaces | printer.TabIndent, Tabwidth: 4}).Fprint(&src, g.fset, node); err != nil {
		g.broken = append(g.broken, fmt.Errorf("print a declaration of package %s: %w", g.pkg.Name, err))
		return
	}
	code := src.Bytes()
	if _, ok := node.(*printer.CommentedNode); ok { // the body of an example, without its braces
		code = bytes.ReplaceAll(bytes.TrimSpace(code[1:len(code)-1]), []byte("\n\t"), []byte("\n"))
	}
	file := token.NewFileSet().AddFile("", -1, len(code))
	var s scanner.Scanner
	s.Init(file, code, nil, scanner.ScanComments)
	g.html.WriteString(`<pre tabindex="0"><code class="go">`)
	done := 0
	var before [2]string // the last two tokens
	for {
		pos, tok, lit := s.Scan()
		if tok == token.EOF {
			break
		}
		at := file.Offset(pos)
		// Not a field or a method that is called as a type is.
		mine := tok == token.IDENT && g.types[lit] && (before[1] != "." || before[0] == g.pkg.Name) &&
			(before[1] != ")" || !bytes.HasPrefix(code[at+len(lit):], []byte("(")))
		before[0], before[1] = before[1], cmp.Or(lit, tok.String())
		var open, end string
		switch {
		case tok == token.COMMENT:
			open, end = `<span class="c">`, "</span>"
		case tok.IsKeyword():
			lit, open, end = tok.String(), `<span class="k">`, "</span>"
		case tok == token.STRING || tok == token.CHAR:
			open, end = `<span class="s">`, "</span>"
		case mine:
			open, end = `<a href="#`+lit+`">`, "</a>"
		default:
			continue
		}
		fmt.Fprint(&g.html, template.HTMLEscapeString(string(code[done:at])), open, template.HTMLEscapeString(lit), end)
		done = at + len(lit)
	}
	g.html.WriteString(template.HTMLEscapeString(string(code[done:])) + "</code></pre>\n")
}

// at is where a declaration is, on the web.
func (g *gopher) at(pos token.Pos) string {
	where := g.fset.Position(pos)
	return fmt.Sprintf("%s#L%d", g.web(path.Join(g.page.src, filepath.Base(where.Filename))), where.Line)
}

// words is a comment in one line.
func words(s string) string { return strings.Join(strings.Fields(s), " ") }
