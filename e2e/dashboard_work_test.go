//go:build e2e && linux

package e2e_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/figures"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// A browser shows a swarm at work: who answers, how fast, what runs and what waits. With MYCO_FIGURES=1 what it shows
// becomes the picture in README.md.
func TestDashboardAtWork(t *testing.T) {
	t.Parallel()
	var ledger engine.Ledger
	s := harness.New(t, programs)
	machines := []struct {
		name, model string
		word        time.Duration // from one to the next
	}{{"study", "gemma3:27b", 25 * time.Millisecond}, {"kitchen", "gemma3:4b", 60 * time.Millisecond}, {"attic", "gemma3:4b", 110 * time.Millisecond}}
	var nodes []*harness.Node
	for _, m := range machines {
		eng := startEngine(t, s, engine.Config{Name: m.name, Models: []string{m.model}, Ledger: &ledger, Script: func(r engine.Request) engine.Script {
			words := 120
			if r.Marker == "asked" {
				words = 10_000 // until the test ends
			}
			return engine.Script{Words: strings.SplitAfter(strings.Repeat("word ", words), " "), Before: m.word, Between: m.word}
		}})
		flags := []string{"--slots", "2", "--engine", eng.URL()}
		if len(nodes) == 0 {
			nodes = append(nodes, s.Found(t, m.name, flags...))
		} else {
			nodes = append(nodes, s.Join(t, nodes[0], m.name, flags...))
		}
	}
	harness.Settle(t, nodes...)
	for _, m := range machines {
		awaitModel(t, nodes[0], m.name, m.model, true)
	}
	c := nodes[2].Dial(t)
	question := func(model, marker string) bus.Task {
		return bus.Task{Type: bus.TypeInference, Model: model, Payload: fmt.Appendf(nil, `{"version":1,"prompt":%q}`, engine.Prompt(marker))}
	}
	for i := range 60 { // more than they do while the test looks
		for _, model := range []string{"gemma3:27b", "gemma3:4b"} {
			if _, err := c.Enqueue(t.Context(), question(model, fmt.Sprintf("%s-%d", model[7:], i))); err != nil {
				t.Fatal(err)
			}
		}
	}
	ctx, leave := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	defer asking.Wait()
	defer leave()
	asking.Go(func() {
		for _, err := range c.Submit(ctx, question("gemma3:27b", "asked")) {
			if err != nil && ctx.Err() == nil {
				t.Errorf("an answer ended: %v", err)
			}
		}
	})
	x := openPage(t, nodes[0].Info.HTTPURL+"/ui/")
	for i, n := range nodes {
		row := "#node-" + string(n.Info.NodeID)
		// Work that nobody waits for leaves a slot to who asks.
		x.sees(row, machines[i].name, "ready", []string{"●●2/2", "●○1/2", "●○1/2"}[i], machines[i].model)
		harness.Poll(t, harness.Patience, machines[i].name+" shows a speed", func() string {
			if v := eval[string](x, fmt.Sprintf("document.querySelector(%q).children[5].textContent", row)); strings.Trim(v, "0.– ") == "" {
				return fmt.Sprintf("%q", v)
			}
			return ""
		})
	}
	x.sees("#open", "running", "queued", "gemma3:27b", "gemma3:4b")
	x.sees("#queues", "gemma3:27b")
	for _, width := range []int64{1600, 1000, 800, 400} {
		x.resize(width, 900)
		x.accessible(fmt.Sprintf("a swarm at work, %d pixels wide", width))
		if wide := eval[string](x, `[document.documentElement, ...document.querySelectorAll("section")].filter(e => e.scrollWidth > e.clientWidth).map(e => e.id || e.localName).join()`); wide != "" {
			t.Errorf("in a window of %d pixels these are wider than it: %s", width, wide)
		}
	}
	if os.Getenv(figures.EnvRecord) == "1" {
		shoot(x, nodes[0])
	}
	x.quiet("")
}

// shoot waits until there is something to see, and writes what the page shows to docs/figures.
func shoot(x *webPage, n *harness.Node) {
	x.t.Helper()
	harness.Poll(x.t, 2*harness.Patience, "some tasks are done", func() string {
		var done []bus.TaskInfo
		n.JSON(x.t, &done, "task", "ls", "--state", "done")
		if len(done) < 30 {
			return fmt.Sprintf("%d done", len(done))
		}
		return ""
	})
	x.resize(1280, 860)
	ctx, cancel := context.WithTimeout(x.ctx, harness.Patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		x.t.Fatalf("take a picture: %v", err)
	}
	if err := os.WriteFile("../docs/figures/dashboard.png", png, 0o644); err != nil {
		x.t.Fatal(err)
	}
}
