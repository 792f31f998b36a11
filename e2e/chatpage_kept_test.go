//go:build e2e && linux

package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// keptTalks is how many conversations the browser keeps.
const keptTalks = "Object.keys(localStorage).filter(k => k.startsWith('chat talk ')).length"

// tab opens url in another tab of the same browser.
func (x *webPage) tab(url string) *webPage {
	x.t.Helper()
	ctx, end := chromedp.NewContext(x.ctx)
	x.t.Cleanup(end)
	if err := chromedp.Do(ctx); err != nil { // opens the tab, which lives as long as this context
		x.t.Fatal(err)
	}
	y := &webPage{t: x.t, ctx: ctx}
	y.goTo(url)
	y.sees("#model", engine.Model)
	return y
}

// chatNode is a node whose engine says its words after "said", and the address of its page to ask on. It does not
// end what it says to "hangs".
func chatNode(t *testing.T) string {
	t.Helper()
	s := harness.New(t, programs)
	var ledger engine.Ledger
	script := func(r engine.Request) engine.Script {
		if r.Marker == "hangs" {
			return engine.Script{Words: []string{"begun "}, Ending: engine.Hang}
		}
		return engine.Script{Words: []string{"said ", r.Marker}}
	}
	a := s.Found(t, "laptop", "--engine", startEngine(t, s, engine.Config{Name: "laptop", Ledger: &ledger, Script: script}).URL())
	awaitModel(t, a, "laptop", engine.Model, true)
	return a.Info.HTTPURL + "/ui/chat"
}

// The browser keeps conversations, which have addresses: they are opened from a list, gone back to, and deleted.
func TestConversationsInABrowser(t *testing.T) {
	t.Parallel()
	x := openPage(t, chatNode(t))
	x.sees("#model", engine.Model)
	x.asks(engine.Prompt("first"))
	x.awaits(1, "said first", "Again")
	first := eval[string](x, "location.href")
	x.click("#new")
	x.sees("#talk", "Ask anything")
	x.asks("<b x=1>Bold " + engine.Prompt("second"))
	x.awaits(1, "said second", "Again")
	if title := eval[string](x, "document.title"); title != "Ask the swarm" { // it goes into the history, which browsers send elsewhere
		t.Errorf("the page is called %q", title)
	}

	x.click("#open")
	if got, want := eval[[]string](x, "[...document.querySelectorAll('#list a')].map(a => a.textContent + ' ' + a.getAttribute('aria-current'))"),
		[]string{"<b x=1>Bold " + engine.Prompt("second") + " page", engine.Prompt("first") + " null"}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the list has %q, want %q", got, want)
	}
	x.resize(360, 700)
	if wide := eval[int](x, "Math.max(document.documentElement.scrollWidth, document.querySelector('#talks').scrollWidth)"); wide > 360 {
		t.Errorf("in a window of 360 pixels the list has %d", wide)
	}
	x.click("#list a") // the last
	x.awaits(1, "said first")
	if at := eval[string](x, "location.href"); at != first {
		t.Errorf("the first conversation is at %s, and was at %s", at, first)
	}
	eval[bool](x, "(history.back(), true)")
	x.awaits(1, "said second")
	x.goTo("about:blank")
	x.goTo(first)
	x.awaits(1, "said first")

	eval[bool](x, "(window.confirm = words => (window.asked = words, true), true)")
	x.click("#open")
	x.click("#list li button") // of the first
	x.sees("#talk", "Ask anything")
	if asked, on := eval[string](x, "asked"), eval[string](x, "document.activeElement.ariaLabel"); !strings.Contains(asked, engine.Prompt("first")) || !strings.HasPrefix(on, "Delete: <b x=1>") {
		t.Errorf("it asked %q, and the focus is on %q", asked, on)
	}
	if n := eval[int](x, keptTalks); n != 1 {
		t.Errorf("%d conversations are kept, want 1", n)
	}
	x.click("#clear")
	if n := eval[int](x, keptTalks); n != 0 {
		t.Errorf("%d conversations are kept after all were deleted", n)
	}
	x.goTo("about:blank")
	x.goTo(first)
	x.sees("#talk", "Ask anything")
	x.quiet("")
}

// Two tabs with one conversation follow each other, also while an answer is written. One that goes on without having heard of the
// other becomes a copy; what was deleted in one is not kept again by the other.
func TestConversationInTwoTabs(t *testing.T) {
	t.Parallel()
	x := openPage(t, chatNode(t))
	x.sees("#model", engine.Model)
	x.asks(engine.Prompt("first"))
	x.awaits(1, "said first", "Again")
	at := eval[string](x, "location.href")
	y := x.tab(at)
	y.awaits(1, "said first")
	y.asks(engine.Prompt("hangs"))
	y.awaits(2, "begun")
	x.awaits(2, "begun")
	y.click("#stop")
	y.awaits(2, "begun", "Stopped.", "Again")
	x.awaits(2, "begun", "Stopped.", "Again")
	if n := eval[int](x, keptTalks); n != 1 {
		t.Errorf("%d conversations are kept, want 1", n)
	}
	// What a tab writes there it is not told itself.
	eval[bool](y, `(() => {
		const k = Object.keys(localStorage).find(k => k.startsWith("chat talk ")), v = localStorage.getItem(k)
		localStorage.setItem(k, v.replace(/"version":"\w+"/, '"version":"of another"').replace("said first", "said elsewhere"))
		return true
	})()`)
	y.asks(engine.Prompt("third"))
	y.awaits(3, "said third", "Again")
	y.sees("#stays", "Another tab", "copy")
	if now := eval[string](y, "location.href"); now == at {
		t.Error("the copy has the address of what it was made of")
	}
	x.goTo("about:blank")
	x.goTo(at)
	x.sees("#talk", "said elsewhere", "begun")
	y.goTo("about:blank")
	y.goTo(strings.SplitN(at, "#", 2)[0])
	y.sees("#talk", "said first", "begun", "Stopped.", "said third")
	if n := eval[int](x, keptTalks); n != 2 {
		t.Errorf("%d conversations are kept, want 2", n)
	}

	eval[bool](x, "(window.confirm = () => true, true)")
	x.click("#open")
	x.click("#clear")
	y.sees("#stays", "was deleted")
	y.asks(engine.Prompt("fourth"))
	y.awaits(4, "said fourth", "Again")
	if n := eval[int](y, keptTalks); n != 0 {
		t.Errorf("%d conversations are kept after they were deleted, want none", n)
	}
	x.quiet("/v1/answers/") // a tab may hear that the other asks before the node does
}

// A browser has little room: the oldest conversations give way, and one that is very long is not kept on.
func TestConversationsGiveWay(t *testing.T) {
	t.Parallel()
	x := openPage(t, chatNode(t))
	x.sees("#model", engine.Model)
	const add = `const add = (i, size) => localStorage.setItem("chat talk old" + i,
		JSON.stringify({version: "v", title: "old " + i, at: i}) + "\n" + JSON.stringify({turns: [{role: "user", content: "x".repeat(size)}], from: 0}));`
	eval[bool](x, "(() => {"+add+"for (let i = 0; i < 120; i++) add(i, 1); return true})()")
	x.asks(engine.Prompt("first"))
	x.awaits(1, "said first", "Again")
	if n, oldest := eval[int](x, keptTalks), eval[bool](x, "'chat talk old20' in localStorage"); n != 100 || oldest || !eval[bool](x, "'chat talk old21' in localStorage") {
		t.Errorf("%d conversations are kept, the oldest among them: %v; want the latest 100", n, oldest)
	}

	full := eval[int](x, "(() => {"+add+"for (let i = 1000; ; i++) try { add(i, 500000) } catch (e) { return i }})()")
	eval[bool](x, "(() => {"+add+"for (let size = 250000; size > 10;) try { add('er' + size, size); size-- } catch { size = size >> 1 } return true})()")
	x.click("#new")
	x.asks(engine.Prompt("second"))
	x.awaits(1, "said second", "Again")
	x.sees("#stays", "stays in this browser")
	x.click("#open")
	x.sees("#list", "second", fmt.Sprintf("old %d", full-1))
	if eval[bool](x, "'chat talk old21' in localStorage") {
		t.Error("the oldest has not given way")
	}
	eval[bool](x, "(document.querySelector('#talks').close(), true)")

	eval[bool](x, "(document.querySelector('#question').value = 'x'.repeat(1100000), true)")
	x.asks("")
	x.sees("#stays", "too long to be kept")
	x.awaits(2, "said", "Again")
	x.quiet("")
}
