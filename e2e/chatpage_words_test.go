//go:build e2e && linux

package e2e_test

import (
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// Each part of an answer runs as its language does, code from left to right; and an answer without words is not
// nothing.
func TestWordsInABrowser(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)
	const hebrew = "שלום **עולם**.\n\n- אחד\n- two\n\n> ציטוט\n\nplain words, ואז\n\n```\nא = 1\n```\n"
	e := startEngine(t, s, engine.Config{Name: "e", Ledger: &engine.Ledger{}, Script: func(r engine.Request) engine.Script {
		if strings.Contains(r.Prompt, "say nothing") {
			return engine.Script{Words: []string{""}}
		}
		return engine.Script{Words: strings.SplitAfter(hebrew, " ")}
	}})
	n := s.Found(t, "tower", "--engine", e.URL())
	awaitModel(t, n, "tower", engine.Model, true)
	x := openPage(t, n.Info.HTTPURL+"/ui/chat")
	x.sees("#model", engine.Model)
	x.asks("מה שלומך?")
	x.awaits(1, "plain words", "first word after")
	x.sees(".assistant pre", "א = 1") // until it is read as Markdown, which others do meanwhile, the text stands there as it came
	for what, want := range map[string]string{
		".turn.user": "rtl", ".assistant p": "rtl", ".assistant li": "rtl", ".assistant blockquote": "rtl", ".assistant > div > p:last-of-type": "ltr", ".assistant pre": "ltr", ".assistant p.dim": "ltr",
	} {
		if got := eval[string](x, "getComputedStyle(document.querySelector('"+what+"')).direction"); got != want {
			t.Errorf("%s is %s, want %s", what, got, want)
		}
	}
	x.asks("say nothing")
	x.awaits(2, "The model said nothing.", "Again")
	if shown := eval[string](x, "document.querySelector('.turn:last-child [role=alert]').textContent"); shown != "The model said nothing." {
		t.Errorf("a screen reader hears %q", shown)
	}
	x.quiet("")
}
