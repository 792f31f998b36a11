//go:build e2e && linux

package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// A text whose Markdown takes minutes leaves the page as quick as it was: it is shown as it stands.
func TestSlowMarkdownInABrowser(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)
	var ledger engine.Ledger
	slow := strings.Repeat("_a.", 30_000) // some 46 s of a processor
	script := func(r engine.Request) engine.Script {
		if r.Marker == "slow" {
			return engine.Script{Words: []string{slow[:10], slow[10:]}}
		}
		return engine.Script{Words: []string{"**strong**"}}
	}
	a := s.Found(t, "laptop", "--engine", startEngine(t, s, engine.Config{Name: "laptop", Ledger: &ledger, Script: script}).URL())
	awaitModel(t, a, "laptop", engine.Model, true)
	x := openPage(t, a.Info.HTTPURL+"/ui/chat")
	x.sees("#model", engine.Model)
	eval[bool](x, `(() => {
		let last = performance.now()
		window.longest = 0
		setInterval(() => {
			const now = performance.now()
			longest = Math.max(longest, now - last)
			last = now
		}, 20)
		return true
	})()`)
	x.asks(engine.Prompt("slow"))
	x.awaits(1, "_a._a", "first word after")
	// What had come of it before is shown until the Worker has had its time with the whole.
	x.holds(fmt.Sprintf("document.querySelectorAll('.turn .raw').length === 1 && document.querySelector('.turn .raw').textContent.length === %d", len(slow)))
	x.asks(engine.Prompt("other"))
	x.awaits(2, "strong", "first word after")
	x.holds("document.querySelectorAll('.turn strong').length === 1")
	if ms := eval[float64](x, "longest"); ms > 10_000 {
		t.Errorf("the page did nothing for %.0f ms", ms)
	}

	x.goTo("about:blank")
	x.goTo(a.Info.HTTPURL + "/ui/chat")
	x.holds("document.querySelectorAll('.turn strong').length === 1 && document.querySelectorAll('.turn .raw').length === 1")
	x.quiet("")
}

// A conversation that is longer than the model's context can go on without its older half, and a question that is too long
// be changed.
func TestChatInABrowserOutgrowsTheContext(t *testing.T) {
	t.Parallel()
	a := harness.New(t, programs).Node(t, "laptop")
	x := func() *webPage {
		a.Start(t, "--engine", startOllama(t))
		awaitModel(t, a, "laptop", "tinylm", true)
		return openPage(t, a.Info.HTTPURL+"/ui/chat")
	}()
	x.sees("#model", "tinylm")
	turns := 0
	for full := false; !full; {
		if turns++; turns > 40 {
			t.Fatal("40 turns fit into 256 tokens")
		}
		x.asks("What is the capital of France?")
		x.awaits(turns, "Again")
		full = strings.Contains(x.answers()[turns-1], "older half")
	}
	x.awaits(turns, "Change the question")
	x.click(".turn:last-child button:not(:last-child):not(:nth-last-child(2))") // Ask without the older half
	x.awaits(turns, "Again")
	x.sees(".line", "no longer sent")
	if last := x.answers()[turns-1]; strings.Contains(last, "older half") || !strings.Contains(last, "tinylm") {
		t.Errorf("without the older half: %q", last)
	}

	x.click("#new")
	long := strings.Repeat("one two three four ", 100)
	x.asks(long)
	x.awaits(1, "The question is longer than tinylm:latest can read at once", "Change the question", "Again")
	x.click(".turn:last-child button:nth-last-child(2)") // Change the question
	if back := eval[string](x, "document.querySelector('#question').value"); back != strings.TrimSpace(long) {
		t.Errorf("the question comes back as %.50q", back)
	}
	eval[bool](x, "(document.querySelector('#question').value = '', true)")
	x.asks("What is the capital of France?")
	x.awaits(1, "Paris", "Again")
	x.quiet("400")
}
