//go:build e2e && linux

package e2e_test

import (
	"context"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// The documentation in a browser, from a disk and from a server: it is searched, a link is followed, it fits a phone,
// and it says nothing to the console.
func TestDocumentation(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "site")
	build := exec.CommandContext(t.Context(), "go", "run", "-buildvcs=false", "./docs/site", "-out", dir)
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("make the site: %v\n%s", err, out)
	}
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(server.Close)
	for name, top := range map[string]string{"disk": "file://" + dir, "server": server.URL} {
		t.Run(name, func(t *testing.T) { browseSite(t, top, dir) })
	}
}

func browseSite(t *testing.T, top, dir string) {
	x := openPage(t, top+"/decisions/index.html")
	x.sees("h1", "Decisions")
	x.accessible("a list of pages")
	do := func(actions ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		ctx, cancel := context.WithTimeout(x.ctx, harness.Patience)
		defer cancel()
		if err := chromedp.Do(ctx, actions...); err != nil {
			t.Fatal(err)
		}
	}
	// Not by chromedp's KeyEvent, which types the character all the same when the page has taken the key.
	eval[bool](x, "document.body.dispatchEvent(new KeyboardEvent('keydown', {key: '/', bubbles: true, cancelable: true}))")
	if at := eval[string](x, "document.activeElement.id"); at != "q" {
		t.Errorf("after / the keys go to %q", at)
	}
	field := chromedp.ID("q")
	do(chromedp.SendKeys(field, "firewall"))
	x.sees("#hits a[aria-selected]", "Firewall", "A swarm that starts by itself")
	do(chromedp.SendKeys(field, "\r"))
	x.sees("h1", "A swarm that starts by itself")
	x.accessible("a page")
	if at := eval[string](x, "location.pathname.split('/').pop() + location.hash"); at != "install.html#firewall" {
		t.Errorf("the search leads to %s", at)
	}
	do(chromedp.SendKeys(field, "nosuchwordanywhere"))
	x.sees("#hits", "Nothing has")
	do(chromedp.SendKeys(field, "\x1b"))
	if !eval[bool](x, "document.getElementById('hits').hidden") {
		t.Error("the results stay after Escape")
	}
	eval[bool](x, "(document.querySelector('.pager [rel=next]').click(), true)")
	x.sees("h1", "Coming from the Python version")

	x.resize(390, 844, chromedp.EmulateMobile, chromedp.EmulatePortrait)
	if shown := eval[string](x, "getComputedStyle(document.querySelector('.menu')).display"); shown != "none" {
		t.Errorf("on a phone the menu is %s before it is opened", shown)
	}
	eval[bool](x, "(document.querySelector('label[for=menu-open]').click(), true)")
	if shown := eval[string](x, "getComputedStyle(document.querySelector('.menu')).display"); shown == "none" {
		t.Error("on a phone the menu does not open")
	}
	pages := 0
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, ".html") {
			return err
		}
		pages++
		x.goTo(top + "/" + name)
		if name == "bus.html" { // the longest, with all that a page may have
			x.accessible(name)
		}
		if over := eval[int](x, "document.documentElement.scrollWidth - document.documentElement.clientWidth"); over > 0 {
			t.Errorf("%s is %d pixels wider than a phone", name, over)
		}
		return nil
	})
	if err != nil || pages < 30 {
		t.Errorf("%d pages, %v", pages, err)
	}
	x.quiet("")
	if got := eval[string](x, "performance.getEntriesByType('resource').map((e) => e.name).join(' ')"); got != "" {
		for one := range strings.FieldsSeq(got) {
			if !strings.HasPrefix(one, top) {
				t.Errorf("a page loads %s", one)
			}
		}
	}
}
