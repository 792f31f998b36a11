//go:build e2e && linux

package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// Tabs with an answer that they may not come back to, for want of a key, wait for one. They do not have each other try for ever.
func TestTabsWithoutTheirKey(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)
	var ledger engine.Ledger
	gate := make(chan struct{})
	held := func(r engine.Request) engine.Script { return engine.Script{Words: scriptedWords(r.Marker), Rest: gate} }
	a := s.Found(t, "laptop", "--http-key", "--engine", startEngine(t, s, engine.Config{Name: "laptop", Ledger: &ledger, Script: held}).URL())
	awaitModel(t, a, "laptop", engine.Model, true)
	var k bus.NewKey
	a.JSON(t, &k, "key", "create", "--name", "phone")
	x := openPage(t, a.Info.HTTPURL+"/ui/chat")
	has := func(key string) {
		t.Helper()
		eval[bool](x, fmt.Sprintf("(localStorage.setItem('chat key', JSON.stringify(%q)), true)", key))
	}
	anew := func(p *webPage, at string) {
		t.Helper()
		p.goTo("about:blank")
		p.goTo(at)
	}
	has(k.Key)
	anew(x, a.Info.HTTPURL+"/ui/chat")
	x.sees("#model", engine.Model)
	x.asks(engine.Prompt("held"))
	x.awaits(1, scriptedWords("held")[0])
	at := eval[string](x, "location.href")
	y := x.tab(at)
	y.awaits(1, scriptedWords("held")[0])
	has("wrong")
	for _, p := range []*webPage{x, y} {
		anew(p, at)
		p.sees("#wrong", "the key is missing or wrong")
		p.holds("document.querySelector('.turn.assistant')?.textContent.includes('missing or wrong') === true")
	}
	for i := range 10 { // so often one could have called the other back
		from, to := []*webPage{x, y}[i%2], []*webPage{y, x}[i%2]
		eval[bool](from, fmt.Sprintf("(localStorage.setItem('call', '%d'), true)", i))
		to.holds(fmt.Sprintf("localStorage.getItem('call') === '%d'", i))
	}
	if n := eval[int](x, "performance.getEntriesByType('resource').filter(e => e.name.includes('/v1/answers/')).length"); n > 1 {
		t.Errorf("a tab without its key has tried %d times, want once", n)
	}
	has(k.Key)
	anew(x, at)
	x.awaits(1, scriptedWords("held")[0])
	close(gate)
	x.awaits(1, "Again")
	x.quiet("401")
}

// longTalk is a node whose engine answers for minutes, and what waits until its work on so many answers was broken off.
func longTalk(t *testing.T) (a *harness.Node, left func(n int)) {
	t.Helper()
	s := harness.New(t, programs)
	var ledger engine.Ledger
	script := func(engine.Request) engine.Script {
		return engine.Script{Words: slices.Repeat([]string{"begun "}, 1000), Between: 300 * time.Millisecond}
	}
	a = s.Found(t, "laptop", "--slots", "2", "--engine", startEngine(t, s, engine.Config{Name: "laptop", Ledger: &ledger, Script: script}).URL())
	awaitModel(t, a, "laptop", engine.Model, true)
	return a, func(n int) {
		t.Helper()
		if _, err := ledger.Wait(within(t, "the engine's work ends"), func(r []engine.Run) bool {
			return len(r) == n && !slices.ContainsFunc(r, func(one engine.Run) bool { return one.Outcome != engine.Left })
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// To delete a conversation stops the answer in it, though no tab, or another one alone, follows that.
func TestDeletedWhileAnswered(t *testing.T) {
	t.Parallel()
	a, left := longTalk(t)
	page := a.Info.HTTPURL + "/ui/chat"
	x := openPage(t, page)
	x.sees("#model", engine.Model)
	x.asks(engine.Prompt("left"))
	x.awaits(1, "begun")
	x.goTo("about:blank")
	x.goTo(page + "#other")
	x.sees("#talk", "Ask anything")
	y := x.tab(page + "#other")
	y.asks(engine.Prompt("followed"))
	y.awaits(1, "begun")
	eval[bool](x, "(window.confirm = () => true, true)")
	x.click("#open")
	x.click("#clear")
	y.awaits(1, "begun", "Stopped.")
	left(2)
	x.quiet("")
}

// Tabs that have read one answer, and keep it at the same moment, stay as they are: none is drawn anew, nor a copy.
func TestTabsKeepOneAnswer(t *testing.T) {
	t.Parallel()
	x := openPage(t, chatNode(t))
	x.sees("#model", engine.Model)
	x.asks(engine.Prompt("first"))
	x.awaits(1, "said first", "Again")
	y := x.tab(eval[string](x, "location.href"))
	y.awaits(1, "said first", "Again")
	eval[bool](x, "(document.querySelector('.turn.user').dataset.drawn = 'once', addEventListener('storage', () => { window.heard = true }), true)")
	eval[bool](y, `(() => {
		const k = Object.keys(localStorage).find(k => k.startsWith("chat talk "))
		localStorage.setItem(k, localStorage.getItem(k).replace(/"version":"\w+"/, '"version":"of another"'))
		return true
	})()`)
	x.holds("window.heard === true")
	x.holds("document.querySelector('.turn.user').dataset.drawn === 'once'")
	x.asks(engine.Prompt("second"))
	x.awaits(2, "said second", "Again")
	if n := eval[int](x, keptTalks); n != 1 {
		t.Errorf("%d conversations are kept, want 1", n)
	}
	x.quiet("")
}

// A tab that slept while another one asked on shows what that has made of the conversation, and makes no copy.
func TestTabThatSlept(t *testing.T) {
	t.Parallel()
	x := openPage(t, chatNode(t))
	x.sees("#model", engine.Model)
	x.asks(engine.Prompt("hangs"))
	x.awaits(1, "begun")
	// What a tab writes there it is not told itself.
	eval[bool](x, `(() => {
		const k = Object.keys(localStorage).find(k => k.startsWith("chat talk ")), [head, rest] = localStorage.getItem(k).split("\n"), c = JSON.parse(rest)
		delete c.turns.at(-1).open
		c.turns.push({role: "user", content: "asked elsewhere"})
		localStorage.setItem(k, JSON.stringify({...JSON.parse(head), version: "of another"}) + "\n" + JSON.stringify(c))
		return true
	})()`)
	x.click("#stop")
	x.sees("#talk", "asked elsewhere")
	if n := eval[int](x, keptTalks); n != 1 || strings.Contains(eval[string](x, "document.querySelector('#stays').textContent"), "copy") {
		t.Errorf("%d conversations are kept, want 1", n)
	}
	x.quiet("")
}

// An answer that nobody can come back to, since the browser keeps nothing, ends with its page.
func TestUnkeptAnswerEndsWithItsPage(t *testing.T) {
	t.Parallel()
	a, left := longTalk(t)
	x := openPage(t, a.Info.HTTPURL+"/ui/chat")
	x.sees("#model", engine.Model)
	eval[bool](x, "(Storage.prototype.setItem = () => { throw new Error('no room') }, true)")
	x.asks(engine.Prompt("unkept"))
	x.awaits(1, "begun")
	x.goTo("about:blank")
	left(1)
	x.quiet("")
}

// An answer that is stopped while the node is not reached ends once it is.
func TestStoppedWithoutANetwork(t *testing.T) {
	t.Parallel()
	a, left := longTalk(t)
	wire := newCable(t, strings.TrimPrefix(a.Info.HTTPURL, "http://"))
	x := openPage(t, "http://"+wire.ln.Addr().String()+"/ui/chat")
	x.sees("#model", engine.Model)
	x.asks(engine.Prompt("stopped"))
	x.awaits(1, "begun")
	wire.pull()
	x.sees("#state", "not reached. Trying again")
	x.click("#stop")
	x.awaits(1, "begun", "Stopped.")
	wire.plug()
	left(1)
	x.quiet("ERR_")
}
