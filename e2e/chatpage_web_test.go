//go:build e2e && linux

package e2e_test

import (
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// A person has a model search the web for its answer, where a node searches and the model calls tools.
func TestWebInABrowser(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)
	var ledger engine.Ledger
	looks := func(r engine.Request) engine.Script {
		switch {
		case strings.Contains(r.Prompt, "They hum in the garden."):
			return engine.Script{Words: []string{"They hum, ", "says ", "https://example.org/bees", "."}}
		case strings.Contains(r.Prompt, "bees"):
			return engine.Script{Words: []string{}, Calls: []engine.Call{{Name: "web_search", Arguments: map[string]any{"query": "bees"}}}}
		}
		return engine.Script{Words: []string{"I do not know."}}
	}
	_, searx := startSearx(t, newFinder(t).URL)
	a := s.Found(t, "laptop", "--engine", startEngine(t, s, engine.Config{Name: "laptop", Ledger: &ledger, Script: looks, CallsTools: true}).URL())
	awaitModel(t, a, "laptop", engine.Model, true)
	x := openPage(t, a.Info.HTTPURL+"/ui/chat")
	x.sees("#model", engine.Model)
	x.holds("document.getElementById('web').hidden")
	b := s.Join(t, a, "minipc", "--search", searx.String())
	harness.Settle(t, a, b)
	awaitTypes(t, a, b.Info.NodeID, bus.TypeSearch)
	eval[bool](x, "dispatchEvent(new Event('focus'))")
	x.holds("!document.getElementById('web').hidden")
	x.asks("Tell me of wasps")
	x.awaits(1, "I do not know.", "Again")
	x.click("#web")
	x.accessible("what is searched for")
	x.goTo(a.Info.HTTPURL + "/ui/chat")
	x.holds("document.getElementById('web').ariaPressed === 'true'") // it stays so
	x.sees("#model", engine.Model)
	x.asks("Tell me of bees")
	x.awaits(2, "They hum, says https://example.org/bees.", "laptop · "+engine.Model, "Again")
	if n := eval[int](x, "document.querySelectorAll('.turn a[href=\"https://example.org/bees\"]').length"); n != 1 {
		t.Errorf("there are %d links to the page", n)
	}
	x.quiet("")
}
