//go:build e2e && linux

package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// webPage is a page in a real browser.
type webPage struct {
	t   *testing.T
	ctx context.Context //nolint:containedctx // it is the browser

	mu   sync.Mutex
	said []string // what the page wrote to its console, and what the browser complained of
}

// openPage opens url in a browser of its own, which ends with the test.
func openPage(t *testing.T, url string) *webPage {
	t.Helper()
	i := slices.IndexFunc(browsers, func(name string) bool {
		_, err := exec.LookPath(name)
		return err == nil
	})
	if i < 0 {
		t.Fatalf("there is none of %q: apt-get install chromium", browsers)
	}
	dir := t.TempDir()
	alloc, stop := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(browsers[i]), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(filepath.Join(dir, "profile")),
		chromedp.Env("HOME="+dir), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-dev-shm-usage", true))...)
	t.Cleanup(stop)
	ctx, end := chromedp.NewContext(alloc)
	t.Cleanup(end)
	x := &webPage{t: t, ctx: ctx}
	messages := chromedp.Console(ctx)
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		for m, err := range messages {
			if err != nil {
				return // the browser is gone
			}
			x.mu.Lock()
			x.said = append(x.said, fmt.Sprintf("%s: %s %s", m.Type, m.Text, m.URL))
			x.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Logf("close the browser: %v", err)
		}
		<-heard
	})
	x.goTo(url)
	return x
}

func (x *webPage) goTo(url string) {
	x.t.Helper()
	ctx, cancel := context.WithTimeout(x.ctx, 2*harness.Patience)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Navigate(url)); err != nil {
		x.t.Fatalf("open %s: %v", url, err)
	}
}

// eval returns what an expression is on the page.
func eval[T any](x *webPage, js string) T {
	x.t.Helper()
	v, err := tryEval[T](x, js)
	if err != nil {
		x.t.Fatalf("%s: %v", js, err)
	}
	return v
}

// tryEval is eval where the page may be left meanwhile, which is an error.
func tryEval[T any](x *webPage, js string) (T, error) {
	ctx, cancel := context.WithTimeout(x.ctx, harness.Patience)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
}

// sees waits until an element shows all of words, be it on the page that a click just led to.
func (x *webPage) sees(selector string, words ...string) {
	x.t.Helper()
	harness.Poll(x.t, harness.Patience, fmt.Sprintf("%s shows %q", selector, words), func() string {
		shown, err := tryEval[string](x, fmt.Sprintf("document.querySelector(%q)?.textContent ?? ''", selector))
		if err != nil {
			return err.Error()
		}
		for _, w := range words {
			if !strings.Contains(shown, w) {
				return fmt.Sprintf("%q", shown) // nothing at all is not it either
			}
		}
		return ""
	})
}

// resize gives the window another size, in pixels, and waits until the page is drawn in it: what a page sizes itself,
// as a plot, it sizes while it is drawn.
func (x *webPage) resize(width, height int64, options ...chromedp.EmulateViewportOption) {
	x.t.Helper()
	ctx, cancel := context.WithTimeout(x.ctx, harness.Patience)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(width, height, options...)); err != nil {
		x.t.Fatalf("make the window %d pixels wide: %v", width, err)
	}
	x.holds(fmt.Sprintf("matchMedia('(width: %dpx)').matches", width))
	eval[bool](x, "new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(() => drawn(true))))")
}

// quiet fails where the console has anything but what allowed matches.
func (x *webPage) quiet(allowed string) {
	x.t.Helper()
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, s := range x.said {
		if allowed == "" || !strings.Contains(s, allowed) {
			x.t.Errorf("the console has %s", s)
		}
	}
}

// markupEngine has models whose names are markup.
func markupEngine(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/models" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"object":"list","data":[{"id":%q,"object":"model"}]}`, markupModel)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

const markupModel = `<img src=x onerror=document.title='owned'>`

// A browser at the address of a node shows the swarm as it is, and as it changes: a node that dies, the daemon
// itself that goes and comes back, without a reload. Names of others are words, whatever they say.
func TestDashboard(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)
	a := s.Found(t, "laptop")
	b := s.Join(t, a, "tower", "--engine", markupEngine(t))
	awaitModel(t, a, "tower", markupModel, true)
	harness.Settle(t, a, b)
	c := a.Dial(t)
	waits, err := c.Enqueue(t.Context(), bus.Task{Type: bus.TypeInference, Model: "nowhere:1b", Payload: []byte(`{"version":1,"prompt":"a canary"}`)})
	if err != nil {
		t.Fatal(err)
	}
	x := openPage(t, a.Info.HTTPURL+"/")
	if at := eval[string](x, "location.pathname"); at != "/ui/" {
		t.Errorf("a browser at / lands on %s", at)
	}
	x.sees("#link", "live")
	x.sees("#figures", "2/2")
	x.sees("#map", "laptop", "tower", "idle")
	x.sees("#node-"+string(b.Info.NodeID), "tower", "ready", "0/2", markupModel)
	x.sees("#open", string(waits.ID)[:8], "queued", "nowhere")
	harness.Poll(t, harness.Patience, "a link with a round trip", func() string {
		if l := eval[string](x, "document.querySelector('.links .both')?.textContent ?? ''"); !strings.HasSuffix(l, " ms") {
			return fmt.Sprintf("%q", l)
		}
		return ""
	})
	if n := eval[int](x, "document.querySelectorAll('img').length"); n != 0 {
		t.Errorf("a name made %d images", n)
	}
	if n := eval[int](x, "document.querySelectorAll('#plot canvas').length"); n != 1 {
		t.Errorf("%d plots, want 1", n)
	}
	x.accessible("the dashboard")
	crowd(t, x)
	x.sees("#map", "laptop", "idle")
	eval[bool](x, "(window.stays = true)")
	eval[bool](x, "(document.querySelector('#open a').click(), true)")
	x.sees("#task[open] #task-body", string(waits.ID), "What each node bid", "tower")
	x.accessible("a task")
	eval[bool](x, "(document.querySelector('#task').close(), true)")
	harness.Poll(t, harness.Patience, "the panel is closed, and its address too", func() string { return eval[string](x, "location.hash") })

	b.Kill()
	x.sees("#map", "lost")
	x.sees("#notes", "tower is lost")
	x.accessible("a lost node")
	x.sees("#figures", "1/2")
	if got := eval[string](x, "document.querySelector('.links g').getAttribute('class')"); got != "gone" {
		t.Errorf("the link to a node that is lost is %q", got)
	}
	x.quiet("")

	a.Kill()
	x.sees("#link[data-state=away]", "no news")
	a.Start(t, "--http-listen", strings.TrimPrefix(a.Info.HTTPURL, "http://"))
	x.sees("#link[data-state=live]", "live")
	x.sees("#map", "laptop")
	if !eval[bool](x, "window.stays === true") {
		t.Error("the page was loaded again")
	}
	if body := eval[string](x, "document.body.textContent"); strings.Contains(body, "a canary") || strings.Contains(eval[string](x, "document.title"), "owned") {
		t.Errorf("the page shows a prompt, or has run a name: %s", body)
	}
	x.quiet("ERR_") // that the daemon was away is all that it may say
}

// Where a key is wanted a browser is asked for it, on a page that works without scripts.
func TestDashboardLogin(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)
	a := s.Found(t, "laptop", "--http-key")
	x := openPage(t, a.Info.HTTPURL+"/ui/")
	send := func(key string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(x.ctx, harness.Patience)
		defer cancel()
		field := chromedp.ID("key")
		if err := chromedp.Do(ctx, chromedp.WaitVisible(field), chromedp.SendKeys(field, key+"\r")); err != nil {
			t.Fatalf("log in: %v", err)
		}
	}
	x.accessible("the login")
	send("wrong")
	x.sees("#wrong", "no key of this node")
	x.accessible("a wrong key")
	send(readFile(t, a, bus.HTTPKeyFile))
	x.sees("#figures", "1/1")
	x.sees("#notes", "one node so far", "myco invite")
	if cookie := eval[string](x, "document.cookie"); cookie != "" {
		t.Errorf("scripts may read the session: %q", cookie)
	}
	x.quiet("401")
}
