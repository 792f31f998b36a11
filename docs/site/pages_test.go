package main

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// repository makes one of these files, with a sidebar that knows README.md and docs/list.
func repository(t *testing.T, files map[string]string) config {
	t.Helper()
	root := t.TempDir()
	all := map[string]string{
		"README.md": "# Top\n", "docs/list/one.md": "# One\n", "gateway/web/icon.svg": "<svg/>", "cmd/tool/main.go": "package main\n",
		"docs/b.md": "# B\n\n## A `part`, and more_of it\n\n### Twice\n\n### Twice\n",
	}
	maps.Copy(all, files)
	for name, text := range all {
		file := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return config{root: root, module: "example.org/m", source: "https://example.org/m", ref: "v1", order: []chapter{
		{"Start", []entry{{"Home", "README.md", "index.html"}}}, {"More", []entry{{"List", "docs/list", "list/index.html"}}},
	}}
}

// What leads nowhere fails the site, and is told with file and line.
func TestBrokenLinks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, page, want string }{
		{"a file that is not there", "# A\n\nSee\n[it](c.md).\n", "docs/a.md:4: the link c.md: there is no file docs/c.md"},
		{"a heading of another page that is not there", "# A\n\n[it](b.md#c)\n", "docs/a.md:3: the link b.md#c: docs/b.md has no heading #c"},
		{"a heading that is called otherwise on GitHub", "# A\n\n[it](b.md#a-part-and-more-of-it)\n", "docs/a.md:3: the link b.md#a-part-and-more-of-it: docs/b.md has no heading"},
		{"a heading of its own", "# A\n\n- x\n- [it](#c)\n", "docs/a.md:4: the link #c: docs/a.md has no heading #c"},
		{"in a table", "# A\n\n| a | b |\n|---|---|\n| x | [it](c.md) |\n", "docs/a.md:5: the link c.md"},
		{"by a reference", "# A\n\n[it][r]\n\n[r]: c.md\n", "docs/a.md:3: the link c.md"},
		{"out of the repository", "# A\n\n[it](../../../etc)\n", "docs/a.md:3: the link ../../../etc leads out of the repository"},
		{"from the root", "# A\n\n[it](/docs/b.md)\n", "docs/a.md:3: the link /docs/b.md begins with a slash"},
		{"to nothing", "# A\n\n[it]()\n", "docs/a.md:3: a link is empty"},
		{"to another kind", "# A\n\n[it](ftp://example.org/)\n", "docs/a.md:3: the link ftp://example.org/ is neither"},
		{"an image that is elsewhere", "# A\n\n![it](https://example.org/x.png)\n", "docs/a.md:3: the image https://example.org/x.png is elsewhere"},
		{"an image that is not there", "# A\n\n![it](x.png)\n", "docs/a.md:3: the image x.png"},
		{"HTML", "# A\n\nis <nil>\n", "docs/a.md:3: HTML is left out"},
		{"a second title", "# A\n\nx\n\n# C\n", "docs/a.md:5: a page has one heading of the first level"},
		{"a page without a title", "A\n", "docs/a.md has no heading of the first level"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := render(repository(t, map[string]string{"docs/a.md": c.page}))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %s", err, c.want)
			}
		})
	}
	_, err := render(repository(t, map[string]string{"docs/a.md": "# A\n\n[it](c.md)\n\n[it](d.md)\n", "docs/e.md": "# E\n[it](f.md)"}))
	for _, want := range []string{"docs/a.md:3:", "docs/a.md:5:", "docs/e.md:2:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want all three", err)
		}
	}
	bad := repository(t, nil)
	bad.order = append(bad.order, chapter{"Gone", []entry{{"Gone", "docs/gone.md", "gone.html"}}})
	if _, err := render(bad); err == nil || !strings.Contains(err.Error(), "docs/gone.md") {
		t.Errorf("a sidebar with a page that is gone: %v", err)
	}
	bad.order[2] = chapter{"Twice", []entry{{"Twice", "docs/b.md", "index.html"}}}
	if _, err := render(bad); err == nil || !strings.Contains(err.Error(), "would both be index.html") {
		t.Errorf("two pages in one place: %v", err)
	}
}

// A page that shows a command or a flag which the programs do not have fails the site.
func TestCommandsAreQuotedRight(t *testing.T) {
	t.Parallel()
	global := []option{{"-h, --help", ""}, {"--json", ""}}
	of := func(command string, flags ...option) help {
		return help{command: command, flags: append(flags, global...)}
	}
	programs := []program{
		{"myco", of(""), []help{of("ask", option{"-m, --model=MODEL", ""}), of("task"), of("task ls", option{"--state=STATE,...", ""}), of("service"), of("service install")}},
		{"mycod", of("", option{"--join=TOKEN", ""}, option{"--slots=N", ""}), []help{of("demo", option{"--keep", ""})}},
	}
	for _, right := range []string{
		"myco", "myco ask -m x 'Why?'", "myco ask --model=x --json", "git diff | myco ask x", "myco task ls --state dead | grep --none x", "myco task --state dead",
		"mycod --join TOKEN  # or --none", "mycod demo --keep", "sudo myco service install -- --slots 4", "source <(myco ask --json)", "myco ask x && mycod --slots 4",
		"--state", "-m MODEL", "myco PROMPT", "curl --none x", "myco-a953646972ab", "nats --context myco sub x", "go run ./cmd/mycod none", "~/.config/myco --none",
	} {
		if err := misquoted(programs, right); err != nil {
			t.Errorf("%s: %v", right, err)
		}
	}
	for wrong, want := range map[string]string{
		"myco none": "myco has no command none", "myco ask --none": "myco ask has no flag --none", "myco ask -x y": "myco ask has no flag -x",
		"git diff | myco none": "myco has no command none", "myco service install -- --none 4": "mycod has no flag --none", "mycod --keep": "mycod has no flag --keep",
		"x && mycod none": "mycod has no command none", "--none": "no command of myco or mycod has a flag --none", "source <(myco none)": "myco has no command none",
		"sudo myco none": "myco has no command none", "myco ask --state": "myco ask has no flag --state", "myco task --model x": "myco task has no flag --model",
	} {
		if err := misquoted(programs, wrong); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", wrong, err, want)
		}
	}
	c := repository(t, map[string]string{
		"docs/a.md": "# A\n\nIt is `myco none`.\n\n    myco ask x\n    myco ask --none\n",
		"docs/b.md": "# B\n\n    curl -N x/v1/y -H 'Content-Type: application/json' \\\n      -d '{}'\n    curl x/api/z -d '{}'\n    curl x/v1/z -d '{}'\n",
	})
	c.commands = programs
	_, err := render(c)
	for _, want := range []string{
		"docs/a.md:3: myco has no command none", "docs/a.md:6: myco ask has no flag --none",
		"docs/b.md:3: a node refuses curl x/v1/z without -H 'Content-Type: application/json'",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

// What leads somewhere leads there in the site too.
func TestLinks(t *testing.T) {
	t.Parallel()
	files, err := render(repository(t, map[string]string{"docs/list/a.md": `# A & B

<!-- for those who write -->
[one](../b.md) [two](../b.md#a-part-and-more_of-it) [three](../b.md#twice-1) [four](#here) [five](../list) [six](../../README.md)
[seven](../../cmd/tool/main.go#L1) [eight](../../cmd/tool) [nine](https://example.org/x?a=b&c) https://example.org/auto [ten](one.md)
![a picture](p.png)

| a | b |
|---|--:|
| ` + "x | `a\\|b` and `myco <x>` and `run --long-flag <a> then - and -- more`" + ` |

    run it  # a comment, with <b>
    echo "a # b"

## Here
`, "docs/list/p.png": "PNG"}))
	if err != nil {
		t.Fatal(err)
	}
	page := string(files["list/a.html"])
	for _, want := range []string{
		`<a href="../b.html">one</a>`, `<a href="../b.html#a-part-and-more_of-it">two</a>`, `<a href="../b.html#twice-1">three</a>`, `<a href="#here">four</a>`,
		`<a href="index.html">five</a>`, `<a href="../index.html">six</a>`, `<a href="https://example.org/m/blob/v1/cmd/tool/main.go#L1">seven</a>`,
		`<a href="https://example.org/m/tree/v1/cmd/tool">eight</a>`, `<a href="https://example.org/x?a=b&amp;c">nine</a>`, `<a href="https://example.org/auto">https://example.org/auto</a>`,
		`<a href="one.html">ten</a>`, `<img src="../images/docs/list/p.png" alt="a picture">`, `<code class="whole">a|b</code>`, `<code class="whole">myco &lt;x&gt;</code>`,
		`<code>run <span class="flag">--long-flag</span> &lt;a&gt; then - and <span class="flag">--</span> more</code>`,
		`run it  <span class="c"># a comment, with &lt;b&gt;</span>`, `echo &#34;a # b&#34;`, `<h2 id="here">Here<a class="anchor" href="#here"`,
		`<title>A &amp; B · mycoSwarm</title>`, `Made of <a href="https://example.org/m/blob/v1/docs/list/a.md">docs/list/a.md</a>`,
		`<a rel="prev" href="index.html"><span>Previous</span>List</a>`, `<a rel="next" href="one.html"><span>Next</span>One</a>`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s in\n%s", want, page)
		}
	}
	if strings.Contains(page, "those who write") || strings.Contains(page, "omitted") {
		t.Error("a comment is in the page")
	}
	if got := string(files["images/docs/list/p.png"]); got != "PNG" {
		t.Errorf("the image is %q", got)
	}
	if list := string(files["list/index.html"]); !strings.Contains(list, `<li><a href="a.html">A &amp; B</a></li>`) || !strings.Contains(list, "<h1 id=\"list\">List</h1>") {
		t.Errorf("a folder without a README:\n%s", list)
	}
	if _, ok := files["b.html"]; !ok || !strings.Contains(page, `<h2>More</h2>`) {
		t.Error("a page that the sidebar does not name is not in it")
	}
	for _, want := range []string{`["list/a.html#here","A \u0026 B","Here","",0.5]`, `["b.html#twice","B","Twice","",1]`} {
		if index := string(files["search-index.js"]); !strings.Contains(index, want) {
			t.Errorf("no %s in %s", want, index)
		}
	}
}

// Help is read as it is printed, and what is not so is told.
func TestParseHelp(t *testing.T) {
	t.Parallel()
	h, err := parseHelp("Usage: x <command> [<a> ...]\n\nDoes one thing\nor two.\n\nArguments:\n  [<a> ...]    One, and\n               more.\n\n" +
		"Flags:\n  -h, --help     Show it.\n      --a-long-one=VALUE\n                 Below it.\n\n      --last\n\nAddresses:\n  --at=HOST    Where.\n\nCommands:\n  sub one    It.\n\nTwo more:\n  sub two    That.\n\nRun \"x <command> --help\" for more.\n")
	if err != nil {
		t.Fatal(err)
	}
	if h.usage != "x <command> [<a> ...]" || h.about != "Does one thing or two." || len(h.args) != 1 || h.args[0] != (option{"[<a> ...]", "One, and more."}) {
		t.Errorf("read as %+v", h)
	}
	if len(h.flags) != 4 || h.flags[3] != (option{"--at=HOST", "Where."}) || h.flags[0] != (option{"-h, --help", "Show it."}) || h.flags[1] != (option{"--a-long-one=VALUE", "Below it."}) || h.flags[2] != (option{"--last", ""}) {
		t.Errorf("flags read as %+v", h.flags)
	}
	if len(h.commands) != 2 || h.commands[0] != (option{"sub one", "It."}) || h.commands[1] != (option{"sub two", "That."}) {
		t.Errorf("commands read as %+v", h.commands)
	}
	for _, bad := range []string{"", "Usage: x\n", "Usage: x\n\nIt.\n\nFlags:\nno indent\n", "Usage: x\n\nIt.\n\nFlags:\n          too deep\n"} {
		if h, err := parseHelp(bad); err == nil {
			t.Errorf("%q is read as %+v", bad, h)
		}
	}
}

// While somebody writes, a page that is loaded again shows it, or what is wrong.
func TestServe(t *testing.T) {
	t.Parallel()
	c := repository(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	said, says := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- show(ctx, c, "127.0.0.1:0", says) }()
	line := make([]byte, 100)
	k, err := said.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	at := strings.TrimSpace(string(line[:k]))
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(name string) (int, string) {
		t.Helper()
		r, err := client.Get(at + name)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, string(b)
	}
	if code, body := get(""); code != http.StatusOK || !strings.Contains(body, "<h1 id=\"top\">Top</h1>") {
		t.Errorf("%s: %d %s", at, code, body)
	}
	if code, body := get("list/"); code != http.StatusOK || !strings.Contains(body, "One") {
		t.Errorf("a folder: %d %s", code, body)
	}
	if code, _ := get("style.css"); code != http.StatusOK {
		t.Errorf("the style: %d", code)
	}
	if code, _ := get("none.html"); code != http.StatusNotFound {
		t.Errorf("a page that is not there: %d", code)
	}
	for text, want := range map[string]string{"# Now\n": "Now", "# Now\n[it](none.md)": "README.md:2:"} {
		if err := os.WriteFile(filepath.Join(c.root, "README.md"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, body := get("index.html"); !strings.Contains(body, want) {
			t.Errorf("after %q was written: %s", text, body)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	w := httptest.NewRecorder()
	(&live{config: repository(t, nil)}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/../../README.md", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("a file of the repository: %d", w.Code)
	}
}

// Flags that say nothing, or too much, are usage errors, before anything is built.
func TestUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"-out", "x", "-serve", "y"}, {"-out", "x", "more"}, {"-none"}} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), args, &out, &errs); code != 2 || errs.Len() == 0 {
			t.Errorf("%q: exit code %d, %s", args, code, &errs)
		}
	}
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"-help"}, &out, &errs); code != 0 || !strings.Contains(errs.String(), "-serve address") {
		t.Errorf("-help: exit code %d, %s", code, &errs)
	}
}
