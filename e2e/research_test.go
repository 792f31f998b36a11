//go:build e2e && linux

package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

const (
	whyGlow = "Why do mushrooms glow"
	// glowPages are more pages than one node fetches at once.
	glowPages = 6
)

// glowSite is a site that searx asks, with pages that wait until gate is closed, which asked tells of each.
type glowSite struct {
	*httptest.Server
	asked chan string
	gate  chan struct{}
}

func newGlowSite(t *testing.T) *glowSite {
	t.Helper()
	g := &glowSite{asked: make(chan string, 100), gate: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("/find", func(w http.ResponseWriter, r *http.Request) {
		type hit struct {
			URL     string `json:"url"`
			Title   string `json:"title"`
			Content string `json:"content"`
		}
		found := []hit{}
		page := func(name string) {
			found = append(found, hit{g.URL + "/" + name, "Of " + name, "Mushrooms glow, says what is shown of " + name + "."})
		}
		switch r.URL.Query().Get("q") {
		case whyGlow:
			page("dead")
			page("page/0")
			page("page/1")
			page("page/2")
		case "foxfire luciferin":
			page("page/0")
			page("page/3")
			page("page/4")
			page("page/5")
		}
		if err := json.NewEncoder(w).Encode(map[string]any{"results": found}); err != nil {
			t.Error(err)
		}
	})
	mux.HandleFunc("/page/{n}", func(w http.ResponseWriter, r *http.Request) {
		g.asked <- r.PathValue("n")
		select {
		case <-g.gate:
			fmt.Fprintf(w, "<title>Page %s</title><p>Mushrooms glow by luciferin, tells page %[1]s.", r.PathValue("n"))
		case <-r.Context().Done():
		}
	})
	g.Server = httptest.NewServer(mux)
	t.Cleanup(g.Close)
	return g
}

// heldAll waits until all pages are being fetched at once.
func (g *glowSite) heldAll(t *testing.T, by *harness.Process) {
	t.Helper()
	held := map[string]bool{}
	for len(held) < glowPages {
		select {
		case n := <-g.asked:
			held[n] = true
		case <-time.After(harness.Patience):
			t.Fatalf("only the pages %v are fetched at once:\n%s", held, by.Log(20))
		}
	}
}

// researchOutcome is what research --json prints, as far as it is looked at.
type researchOutcome struct {
	Answer   string
	NodeName string `json:"node_name"`
	Queries  []struct {
		Query    string
		NodeName string `json:"node_name"`
		Error    *bus.Error
	}
	Sources []struct {
		Number     int
		URL, Title string
		Fetched    bool
		NodeName   string `json:"node_name"`
		Error      *bus.Error
	}
}

// fetchers are the names of the nodes that fetched pages.
func (o researchOutcome) fetchers() (names []string) {
	for _, s := range o.Sources {
		if s.Fetched {
			names = append(names, s.NodeName)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// One node asks, whose model plans and answers; two others search by a searx and fetch pages, more at once than either
// could. A page that is gone is told, and a node that is killed amid it changes nothing.
func TestResearchByTheWholeSwarm(t *testing.T) {
	for name, killed := range map[string]bool{"all live": false, "a node is killed": true} {
		t.Run(name, func(t *testing.T) { researchTogether(t, killed) })
	}
}

func researchTogether(t *testing.T, killed bool) {
	s := harness.New(t, programs)
	site := newGlowSite(t)
	_, searx := startSearx(t, site.URL)
	var mu sync.Mutex
	var prompts []string
	eng := startEngine(t, s, engine.Config{Name: "e", Ledger: &engine.Ledger{}, Script: func(r engine.Request) engine.Script {
		mu.Lock()
		defer mu.Unlock()
		prompts = append(prompts, r.Prompt)
		if strings.Contains(r.Prompt, "queries for a search engine") {
			return engine.Script{Words: []string{`{"queries": `, `["foxfire luciferin"]}`}}
		}
		return engine.Script{Words: []string{"By luci", "ferin [", "1], and", " [99]", " more [2", "]."}}
	}})
	at, err := url.Parse(site.URL)
	if err != nil {
		t.Fatal(err)
	}
	web := []string{"--no-demo-engine", "--web-allow", "127.0.0.1", "--web-port", at.Port(), "--search", searx.String()}
	a := s.Found(t, "a", "--no-web", "--engine", eng.URL())
	b, c := s.Join(t, a, "b", web...), s.Join(t, a, "c", web...)
	harness.Settle(t, a, b, c)
	awaitModel(t, a, "a", engine.Model, true)
	awaitTypes(t, a, b.Info.NodeID, bus.TypeSearch)
	awaitTypes(t, a, c.Info.NodeID, bus.TypeSearch)

	ask := a.LaunchMyco(t, "research", "--json", "-m", engine.Model, whyGlow)
	site.heldAll(t, ask)
	if killed {
		c.Kill()
	}
	close(site.gate)
	if code, err := ask.Wait(2 * harness.Patience); code != 0 || err != nil {
		t.Fatalf("exit code %d, error %v\n%s", code, err, ask.Log(30))
	}
	log := ask.Log(50)
	var o researchOutcome
	for line := range strings.Lines(log) {
		if strings.HasPrefix(line, "{") {
			if err := json.Unmarshal([]byte(line), &o); err != nil {
				t.Fatal(err)
			}
		}
	}
	if o.Answer != "By luciferin [1], and more [2]." || o.NodeName != "a" || len(o.Queries) != 2 || len(o.Sources) != glowPages+1 {
		t.Fatalf("%+v\n%s", o, log)
	}
	for _, q := range o.Queries {
		if q.Error != nil || q.NodeName != "b" && q.NodeName != "c" {
			t.Errorf("searched for %+v", q)
		}
	}
	for i, p := range o.Sources {
		dead := p.URL == site.URL+"/dead"
		if p.Fetched == dead || (p.Error != nil) != dead || p.Number != i+1 {
			t.Errorf("source %+v", p)
		}
		if part := fmt.Sprintf("[%d] %s, %s:\n", p.Number, p.Title, p.URL); !strings.Contains(prompts[len(prompts)-1], part) {
			t.Errorf("no %q in the question:\n%s", part, prompts[len(prompts)-1])
		}
	}
	if by := o.fetchers(); !killed && !slices.Equal(by, []string{"b", "c"}) || killed && !slices.Equal(by, []string{"b"}) {
		t.Errorf("fetched by %v", by)
	}
	if told := "[not read, what the search engine shows is taken instead: " + site.URL + "/dead: there is no such page"; !strings.Contains(log, told) {
		t.Errorf("no %q in\n%s", told, log)
	}
}
