package main

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// config is what a site is made of.
type config struct {
	root     string    // the repository
	module   string    // its module path
	source   string    // the repository on the web, without a slash at the end
	ref      string    // branch, tag or commit there
	order    []chapter // the sidebar
	commands []program // what myco and mycod say of themselves
}

// part is a chapter of the sidebar with its pages.
type part struct {
	Name  string
	Pages []*page
}

// page is one page of the site.
type page struct {
	label  string
	src    string  // what it is made of, from the repository's root
	out    string  // its path in the site, with slashes
	folder string  // the folder whose pages it lists, if it does
	Under  []*page // these
	Title  string  // its first heading
	About  string  // its first paragraph, as text
	Wide   bool    // it has a table of many columns
	Body   template.HTML
	// Headings are those of the second level and the third, in order.
	Headings []heading
	ids      map[string]bool // every anchor
	found    []found         // for the search
}

// heading is one that the table of contents of a page leads to.
type heading struct {
	Level    int
	ID, Text string
}

// Label is the page's name in the sidebar.
func (p *page) Label() string {
	if p.label != "" {
		return p.label
	}
	return p.Title
}

//go:embed assets
var assets embed.FS

var layout = template.Must(template.New("page.html").ParseFS(assets, "assets/page.html"))

// view is what the layout shows.
type view struct {
	*page
	Parts      []part
	Prev, Next *page
	Source     string // the repository
	Edit       string // the file that the page is made of
	Root       string // the way from the page to the site's top
}

// To is the way from the page to another one.
func (v view) To(p *page) string { return way(v.out, p.out) }

// Contents are the headings that the page's table of contents has: one alone needs none.
func (v view) Contents() []heading {
	if len(v.Headings) < 2 {
		return nil
	}
	return v.Headings
}

// From is what the page is made of.
func (v view) From() string { return v.src }

// Here reports whether p is the page that is shown.
func (v view) Here(p *page) bool { return p == v.page }

// Within reports whether the page that is shown is p or below it.
func (v view) Within(p *page) bool {
	return p == v.page || slices.Contains(p.Under, v.page)
}

// way returns the relative address that leads from one page to another.
func way(from, to string) string {
	if from == to {
		return path.Base(to)
	}
	a, b := strings.Split(from, "/"), strings.Split(to, "/")
	for len(a) > 1 && len(b) > 1 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	return strings.Repeat("../", len(a)-1) + strings.Join(b, "/")
}

// render makes every file of the site, by its path in it. Its error names each broken link, a line each.
func render(c config) (map[string][]byte, error) {
	parts, pages, err := outline(c.root, c.order)
	if err != nil {
		return nil, err
	}
	docs := &library{config: c, pages: pages, files: map[string][]byte{mark: nil}}
	if err := docs.read(); err != nil {
		return nil, err
	}
	if err := errors.Join(docs.broken...); err != nil {
		return nil, err
	}
	files := docs.files
	for i, p := range pages {
		v := view{page: p, Parts: parts, Source: c.source, Root: strings.Repeat("../", strings.Count(p.out, "/")), Edit: docs.web(p.src)}
		if i > 0 {
			v.Prev = pages[i-1]
		}
		if i+1 < len(pages) {
			v.Next = pages[i+1]
		}
		var html bytes.Buffer
		if err := layout.Execute(&html, v); err != nil {
			return nil, fmt.Errorf("lay out %s: %w", p.out, err)
		}
		files[p.out] = html.Bytes()
	}
	if files["search-index.js"], err = index(pages); err != nil {
		return nil, err
	}
	for _, name := range []string{"style.css", "search.js"} {
		if files[name], err = assets.ReadFile("assets/" + name); err != nil {
			return nil, err
		}
	}
	// The dashboard's icon is the project's.
	if files["icon.svg"], err = os.ReadFile(filepath.Join(c.root, "gateway", "web", "icon.svg")); err != nil {
		return nil, err
	}
	return files, nil
}
