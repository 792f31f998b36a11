package main

import (
	"bytes"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/net/html"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// actual is the site of this repository, made once.
var actual struct {
	once  sync.Once
	c     config
	files map[string][]byte
	err   error
}

func realSite(t *testing.T) (config, map[string][]byte) {
	t.Helper()
	actual.once.Do(func() {
		r := &actual
		root, module, err := findRoot(".")
		if err != nil {
			r.err = err
			return
		}
		r.c = config{root: root, module: module, source: "https://example.org/repo", ref: "main", order: order}
		if r.c.commands, r.err = askPrograms(t.Context(), root); r.err != nil {
			return
		}
		r.files, r.err = render(r.c)
	})
	if actual.err != nil {
		t.Fatalf("make the site:\n%v", actual.err)
	}
	return actual.c, actual.files
}

// document is a page of the site, read as a browser would.
type document struct {
	tree *html.Node
	ids  map[string]int
}

// documents parses every page.
func documents(t *testing.T, files map[string][]byte) map[string]document {
	t.Helper()
	all := map[string]document{}
	for name, content := range files {
		if path.Ext(name) != ".html" {
			continue
		}
		tree, err := html.Parse(bytes.NewReader(content))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		d := document{tree, map[string]int{}}
		for n := range tree.Descendants() {
			if id := attr(n, "id"); id != "" {
				d.ids[id]++
			}
		}
		all[name] = d
	}
	return all
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// leads returns the page and the anchor that a link in page from leads to; none of another site.
func leads(t *testing.T, from, href string) (to, id string) {
	t.Helper()
	u, err := url.Parse(href)
	if err != nil {
		t.Errorf("%s: a link to %q: %v", from, href, err)
		return "", ""
	}
	if u.IsAbs() {
		return "", ""
	}
	if u.Path == "" {
		return from, u.Fragment
	}
	return path.Join(path.Dir(from), u.Path), u.Fragment
}

// Every link of the real pages leads somewhere, and every page is one click away.
func TestEveryPageIsReached(t *testing.T) {
	t.Parallel()
	_, files := realSite(t)
	docs := documents(t, files)
	for name, d := range docs {
		beside := map[string]bool{}
		for n := range d.tree.Descendants() {
			href := attr(n, "href")
			if n.Type != html.ElementNode || href == "" {
				continue
			}
			to, id := leads(t, name, href)
			if to == "" {
				continue
			}
			if _, ok := files[to]; !ok {
				t.Errorf("%s: a link to %s, which is not there", name, href)
			} else if id != "" && docs[to].ids[id] == 0 {
				t.Errorf("%s: a link to %s, which has no such anchor", name, href)
			}
			for up := n.Parent; up != nil; up = up.Parent {
				if attr(up, "class") == "menu" {
					beside[to] = true
				}
			}
		}
		for other := range docs {
			if !beside[other] {
				t.Errorf("the sidebar of %s does not lead to %s", name, other)
			}
		}
		for id, k := range d.ids {
			if k > 1 {
				t.Errorf("%s has %d elements with the id %q", name, k, id)
			}
		}
	}
}

// Every page of Markdown below docs and the three at the top are in the site, in a chapter that a person chose.
func TestEveryPageIsThere(t *testing.T) {
	t.Parallel()
	c, files := realSite(t)
	made := map[string]bool{}
	for name, content := range files {
		if path.Ext(name) == ".html" {
			_, from, _ := bytes.Cut(content, []byte("Made of <a href=\""))
			_, from, _ = bytes.Cut(from, []byte(">"))
			from, _, _ = bytes.Cut(from, []byte("<"))
			made[string(from)] = true
		}
	}
	want := []string{"README.md", "SECURITY.md", "CONTRIBUTING.md"}
	err := filepath.WalkDir(filepath.Join(c.root, "docs"), func(file string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(file, ".md") {
			file, err = filepath.Rel(c.root, file)
			want = append(want, filepath.ToSlash(file))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range want {
		if !made[file] {
			t.Errorf("no page is made of %s", file)
		}
	}
	if len(want) < 30 {
		t.Errorf("%d pages of Markdown: the test has looked in the wrong place", len(want))
	}
}

// A browser that opens a page asks nobody but the folder that it is in.
func TestNothingIsLoadedFromElsewhere(t *testing.T) {
	t.Parallel()
	_, files := realSite(t)
	if got := foreign(documents(t, files)); len(got) > 0 {
		t.Errorf("loaded from elsewhere:\n%s", strings.Join(got, "\n"))
	}
	for name, content := range files {
		switch ext := path.Ext(name); {
		case ext == ".css":
			for _, s := range []string{"url(", "@import", "//"} {
				if bytes.Contains(content, []byte(s)) {
					t.Errorf("%s has %q: it may load something", name, s)
				}
			}
		case name == mark, ext == ".html", ext == ".js", ext == ".svg", ext == ".png":
		default:
			t.Errorf("%s is a kind of file that this test does not know", name)
		}
	}
	for _, page := range []string{
		`<script src="https://example.org/x.js"></script>`, `<img src="//example.org/x.png">`, `<link rel="stylesheet" href="http://example.org/x.css">`,
		`<img srcset="https://example.org/x.png 2x">`, `<p style="background: url(x)">`, `<style>@import "x"</style>`, `<iframe src="https://example.org/"></iframe>`,
		`<form action="https://example.org/"></form>`, `<p onclick="x()">`,
	} {
		if len(foreign(documents(t, map[string][]byte{"x.html": []byte(page)}))) == 0 {
			t.Errorf("the test sees nothing in %s", page)
		}
	}
}

// foreign lists what pages load from elsewhere, or could.
func foreign(docs map[string]document) []string {
	var found []string
	for name, d := range docs {
		for n := range d.tree.Descendants() {
			if n.Type != html.ElementNode {
				continue
			}
			if n.Data == "style" || n.Data == "iframe" || n.Data == "object" || n.Data == "embed" || n.Data == "base" {
				found = append(found, name+": <"+n.Data+">")
			}
			for _, a := range n.Attr {
				u, err := url.Parse(a.Val)
				away := err != nil || u.IsAbs() || u.Host != ""
				loads := slices.Contains([]string{"src", "data", "action", "poster", "background"}, a.Key) || a.Key == "href" && n.Data != "a"
				right := a.Key == "style" && strings.HasPrefix(a.Val, "text-align:") // a column of numbers
				if loads && away || a.Key == "srcset" || a.Key == "style" && !right || strings.HasPrefix(a.Key, "on") {
					found = append(found, name+": <"+n.Data+" "+a.Key+"="+a.Val+">")
				}
			}
		}
	}
	return found
}

// The commands are those that the programs have: all whose help is kept as golden, and their flags.
func TestCommandsAreThere(t *testing.T) {
	t.Parallel()
	c, files := realSite(t)
	docs := documents(t, files)
	goldens, err := filepath.Glob(filepath.Join(c.root, "cmd", "myco", "testdata", "help", "myco_*.golden"))
	if err != nil || len(goldens) < 20 {
		t.Fatalf("%d goldens of help, %v", len(goldens), err)
	}
	text := plainText(docs["myco.html"].tree)
	for _, golden := range goldens {
		id := strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(filepath.Base(golden), "myco_"), ".golden"), "_", "-")
		if docs["myco.html"].ids[id] == 0 {
			t.Errorf("myco.html has no section %s", id)
		}
		b, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		h, err := parseHelp(string(b))
		if err != nil {
			t.Fatalf("%s: %v", golden, err)
		}
		for _, o := range slices.Concat(h.args, h.flags) {
			if !strings.Contains(text, o.Name) || !strings.Contains(text, o.Text) {
				t.Errorf("myco.html says nothing of %s of %s: %q", o.Name, id, o.Text)
			}
		}
	}
	daemon := plainText(docs["mycod.html"].tree)
	for _, want := range []string{"--join=TOKEN", "mycod demo", "--keep", "--engine=URL"} {
		if !strings.Contains(daemon, want) {
			t.Errorf("mycod.html says nothing of %s", want)
		}
	}
	for _, id := range []string{"Conn", "Conn.Submit", "Dial", "Task", "CodeNoWorker"} {
		if id != "CodeNoWorker" && docs["bus.html"].ids[id] == 0 || !strings.Contains(plainText(docs["bus.html"].tree), strings.TrimPrefix(id, "Conn.")) {
			t.Errorf("bus.html says nothing of %s", id)
		}
	}
	if want := `(c *<a href="#Conn">Conn</a>) Status(ctx context.Context) (<a href="#Status">Status</a>, error)`; !bytes.Contains(files["bus.html"], []byte(want)) {
		t.Errorf("bus.html has no %s", want)
	}
}

func plainText(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data + " ")
		}
	}
	return words(b.String())
}

// A site goes into an empty folder, or in place of an earlier one, and nowhere else.
func TestWrite(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "site")
	list := func() []string {
		var names []string
		_ = fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, _ error) error {
			if d != nil && !d.IsDir() {
				names = append(names, name)
			}
			return nil
		})
		return names
	}
	if err := write(dir, map[string][]byte{mark: nil, "index.html": nil, "old/page.html": nil}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".git"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := write(dir, map[string][]byte{mark: nil, "index.html": []byte("new")}); err != nil {
		t.Fatal(err)
	}
	if got, want := list(), []string{".git", mark, "index.html"}; !slices.Equal(got, want) {
		t.Errorf("after a second site: %q, want %q", got, want)
	}
	other := t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "thesis.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := write(other, map[string][]byte{mark: nil}); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("into a folder of something else: %v", err)
	}
	if _, err := os.Stat(filepath.Join(other, "thesis.txt")); err != nil {
		t.Error(err)
	}
}

// The same repository makes the same site.
func TestSameAgain(t *testing.T) {
	t.Parallel()
	c, files := realSite(t)
	again, err := render(c)
	if err != nil {
		t.Fatal(err)
	}
	if !maps.EqualFunc(files, again, bytes.Equal) {
		t.Error("the site is another one the second time")
	}
}
