package markup

import (
	"bytes"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"codeberg.org/readeck/go-readability/v2"
	"github.com/JohannesKaufmann/html-to-markdown/v2/converter"
	"github.com/JohannesKaufmann/html-to-markdown/v2/plugin/base"
	"github.com/JohannesKaufmann/html-to-markdown/v2/plugin/commonmark"
	"github.com/JohannesKaufmann/html-to-markdown/v2/plugin/strikethrough"
	"github.com/JohannesKaufmann/html-to-markdown/v2/plugin/table"
	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// Limits of what is made of a page, so that a small one does not become a large one, or take for ever.
const (
	// maxNodes is how many elements, texts and comments of a page are read.
	maxNodes = 100_000
	// maxSpans is how many cells of tables may be added because others reach over them.
	maxSpans = 10_000
	// maxBase is the longest URL that the others of a page are told from, in bytes.
	maxBase = 2048
	// maxLine is how much is taken of what a page tells of itself, in characters: it comes before a model with each passage.
	maxLine = 500
	// fewRunes is how long an article is at least, in characters, if the whole page has four times as many.
	fewRunes = 500
)

// Document is what a document of HTML says, and what it tells of itself: empty where it tells nothing.
type Document struct {
	// Text is in UTF-8 and ends with one line feed.
	Text                string
	Title, Byline, Site string // each on one line, of 500 characters at most
	Published           time.Time
	// Cut tells that the document has more than is read of one.
	Cut bool
}

// Read makes text of HTML, Markdown or plain: of an article what there is to read, of other documents
// everything. Links and pictures are told from at, or from the base that the document names, and stay as
// they are where there is neither. Where it fails the document is deeper, or otherwise more, than its parser
// takes.
func Read(source string, at *url.URL, plain bool) (out Document, err error) {
	defer func() {
		if r := recover(); r != nil { // in a library: the parser's way to give up is among them
			err = fmt.Errorf("%v", r)
		}
	}()
	doc, err := html.Parse(strings.NewReader(source))
	if err != nil {
		return out, err
	}
	out.Cut = prune(doc)
	absolute(doc, baseOf(doc, at))
	parser := readability.NewParser()
	parser.KeepClasses = true // that of code names its language
	article, err := parser.ParseDocument(doc, at)
	if err != nil {
		return out, err
	}
	out.Title, out.Byline, out.Site = line(article.Title()), line(article.Byline()), line(article.SiteName())
	if at, err := article.PublishedTime(); err == nil {
		out.Published = at
	}
	node := article.Node
	if text, all := runes(node), runes(doc); node == nil || text < fewRunes && text*4 < all {
		node = doc
	}
	lighten(node)
	text, err := render(node, plain)
	if err != nil {
		return out, err
	}
	out.Text = strings.TrimSpace(Clean(text)) + "\n"
	return out, nil
}

// ReadAll makes text of all of a document of HTML, Markdown or plain, as of a chapter of a book, and reports whether it has more
// than is read of one. It fails as Read does.
func ReadAll(source string, plain bool) (text string, cut bool, err error) {
	defer func() {
		if r := recover(); r != nil { // as in Read
			err = fmt.Errorf("%v", r)
		}
	}()
	doc, err := html.Parse(strings.NewReader(source))
	if err != nil {
		return "", false, err
	}
	cut = prune(doc)
	lighten(doc)
	text, err = render(doc, plain)
	return strings.TrimSpace(Clean(text)) + "\n", cut, err
}

// line is s on one line, within bounds.
func line(s string) string {
	r := []rune(strings.Join(strings.Fields(Clean(s)), " "))
	return string(r[:min(len(r), maxLine)])
}

// render makes text of a part of a page.
func render(node *html.Node, plain bool) (string, error) {
	var b bytes.Buffer
	if plain {
		err := readability.Article{Node: node}.RenderText(&b)
		return b.String(), err
	}
	tables(node)
	c := converter.NewConverter(converter.WithPlugins(
		base.NewBasePlugin(), commonmark.NewCommonmarkPlugin(), strikethrough.NewStrikethroughPlugin(),
		// Cells that are filled up to the width of the longest make many megabytes of a few.
		table.NewTablePlugin(table.WithCellPaddingBehavior(table.CellPaddingBehaviorMinimal), table.WithHeaderPromotion(true)),
	))
	out, err := c.ConvertNode(node)
	return string(out), err
}

// prune bounds what the rest has to do with doc, and reports whether it left something out.
func prune(doc *html.Node) (cut bool) {
	var drop []*html.Node
	n, spans := 0, 0
	for d := range doc.Descendants() {
		n++
		switch {
		case n > maxNodes || d.Type == html.CommentNode:
			cut = cut || n > maxNodes
			drop = append(drop, d)
		case d.DataAtom == atom.Base && len(attribute(d, "href")) > maxBase:
			drop = append(drop, d)
		case d.DataAtom == atom.Td || d.DataAtom == atom.Th:
			wide, high := span(d, "colspan"), span(d, "rowspan")
			if spans += wide*high - 1; wide*high > maxSpans || spans > maxSpans {
				setAttribute(d, "colspan", "1")
				setAttribute(d, "rowspan", "1")
				spans = min(spans, maxSpans)
			}
		}
	}
	for _, d := range drop {
		d.Parent.RemoveChild(d)
	}
	return cut
}

// span is how many columns or rows a cell reaches over. More than maxSpans is all the same.
func span(cell *html.Node, name string) int {
	n, err := strconv.Atoi(attribute(cell, name))
	switch {
	case attribute(cell, name) == "", err == nil && n < 1:
		return 1
	case err != nil || n > maxSpans: // what another reader makes of it is not to be seen
		return maxSpans + 1
	}
	return n
}

// unseen are elements whose text nobody reads.
var unseen = map[atom.Atom]bool{
	atom.Head: true, atom.Script: true, atom.Style: true, atom.Noscript: true, atom.Template: true, atom.Svg: true,
}

// runes counts the characters of a part of a page that are read, blanks apart.
func runes(node *html.Node) (n int) {
	if node == nil || unseen[node.DataAtom] {
		return 0
	}
	if node.Type == html.TextNode {
		for f := range strings.FieldsSeq(node.Data) {
			n += utf8.RuneCountInString(f)
		}
	}
	for c := range node.ChildNodes() {
		n += runes(c)
	}
	return n
}

// lighten takes out of a part of a page what has no meaning as text: pictures that are in their own address,
// links that are programs, and what nobody reads. What is raised comes into its line.
func lighten(node *html.Node) {
	var drop []*html.Node
	for d := range node.Descendants() {
		switch {
		case unseen[d.DataAtom] && d.DataAtom != atom.Head, d.DataAtom == atom.Img && hasScheme(d, "src", "data"):
			drop = append(drop, d)
		case d.DataAtom == atom.Sup:
			lower(d)
		case d.DataAtom == atom.Summary: // it would run into what follows
			rename(d, atom.P)
			d.Parent.InsertBefore(&html.Node{Type: html.ElementNode, DataAtom: atom.Br, Data: "br"}, d.NextSibling)
		case d.DataAtom == atom.A && hasScheme(d, "href", "javascript"):
			d.Attr = slices.DeleteFunc(d.Attr, func(a html.Attribute) bool { return a.Key == "href" })
		}
	}
	for _, d := range drop {
		d.Parent.RemoveChild(d)
	}
}

func hasScheme(n *html.Node, name, scheme string) bool {
	s, _, ok := strings.Cut(strings.TrimSpace(attribute(n, name)), ":")
	return ok && strings.EqualFold(s, scheme)
}

// baseOf is what the links of a page are told from; nil where nothing tells.
func baseOf(doc *html.Node, at *url.URL) *url.URL {
	for d := range doc.Descendants() {
		if href := attribute(d, "href"); d.DataAtom == atom.Base && href != "" {
			u, err := url.Parse(href)
			switch {
			case err != nil:
			case at != nil:
				return at.ResolveReference(u)
			case u.IsAbs():
				return u
			}
		}
	}
	return at
}

// absolute makes the addresses of links and pictures whole.
func absolute(doc *html.Node, from *url.URL) {
	if from == nil {
		return
	}
	for d := range doc.Descendants() {
		name := map[atom.Atom]string{atom.A: "href", atom.Img: "src"}[d.DataAtom]
		if name == "" || attribute(d, name) == "" {
			continue
		}
		if u, err := url.Parse(strings.TrimSpace(attribute(d, name))); err == nil && u.Scheme == "" {
			setAttribute(d, name, from.ResolveReference(u).String())
		}
	}
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Namespace == "" && a.Key == name {
			return a.Val
		}
	}
	return ""
}

func setAttribute(n *html.Node, name, value string) {
	for i, a := range n.Attr {
		if a.Namespace == "" && a.Key == name {
			n.Attr[i].Val = value
		}
	}
}
