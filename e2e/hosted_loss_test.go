//go:build e2e && linux

package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// finder is a search engine that finds a page called as what it is asked for, and keeps who asks waiting.
type finder struct {
	*httptest.Server
	asked  chan string   // each search, as it comes
	onward chan struct{} // lets one go on
	left   chan string   // each that was given up
}

func startFinder(t *testing.T) *finder {
	t.Helper()
	f := &finder{asked: make(chan string, 8), onward: make(chan struct{}), left: make(chan string, 8)}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.FormValue("q")
		f.asked <- q
		select {
		case <-f.onward:
			fmt.Fprintf(w, `{"results":[{"url":"https://example.org/%[1]s","title":"page %[1]s","content":"Of %[1]s."}]}`, q)
		case <-r.Context().Done():
			f.left <- q
		}
	}))
	t.Cleanup(f.Close)
	return f
}

// await takes what comes next.
func await(t *testing.T, what string, from <-chan string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	select {
	case s := <-from:
		return s
	case <-ctx.Done():
		t.Fatalf("%s: nothing within %v", what, harness.Patience)
		return ""
	}
}

// A worker is killed while a search is made for its model, and the next one in the midst of the answer: another takes over each
// time, and the client hears one answer, each word once. A client that leaves while something is searched for ends the search.
func TestWorkersAreLostWhileAModelSearches(t *testing.T) {
	s := harness.New(t, programs)
	f := startFinder(t)
	var ledger engine.Ledger
	workers, hung := make(chan string, 8), atomic.Bool{}
	script := func(r engine.Request) engine.Script {
		search := func(query string) engine.Script {
			workers <- r.Engine
			return engine.Script{Words: []string{"I look for " + query + ". "}, Calls: []engine.Call{{Name: "web_search", Arguments: map[string]any{"query": query}}}}
		}
		switch {
		case strings.Contains(r.Prompt, "page two"):
			if hung.CompareAndSwap(false, true) {
				workers <- r.Engine
				return engine.Script{Words: []string{"It ", "is "}, Ending: engine.Hang}
			}
			return engine.Script{Words: []string{"It ", "is ", "so."}}
		case strings.Contains(r.Prompt, "page one"):
			return search("two")
		}
		return search("one")
	}
	a := s.Found(t, "a", "--no-web", "--search", f.URL)
	nodes := map[string]*harness.Node{}
	for _, name := range []string{"b", "c", "d"} {
		nodes[name] = s.Join(t, a, name, "--no-web", "--engine", startEngine(t, s, engine.Config{Name: name, Ledger: &ledger, Script: script}).URL())
	}
	harness.Settle(t, a, nodes["b"], nodes["c"], nodes["d"])
	for name := range nodes {
		awaitModel(t, a, name, engine.Model, true)
	}
	awaitTypes(t, a, a.Info.NodeID, bus.TypeSearch)

	texts, ended := make(chan string, 64), make(chan []string, 1)
	go func() { ended <- searchAndAnswer(t.Context(), t, a, texts) }()
	first := await(t, "the first worker", workers)
	if q := await(t, "the first search", f.asked); q != "one" {
		t.Fatalf("it looks for %q", q)
	}
	nodes[first].Kill()
	f.onward <- struct{}{}
	second := await(t, "the second worker", workers)
	if await(t, "the second search", f.asked); second == first {
		t.Fatalf("%s was killed, and asked", first)
	}
	f.onward <- struct{}{}
	third := await(t, "the worker of the answer", workers)
	for said := ""; said != "It is "; {
		if said += await(t, "the beginning of the answer", texts); strings.HasSuffix(said, ". ") {
			said = ""
		}
	}
	nodes[third].Kill()
	want := []string{"message: I look for one. ", "web_search_call: one completed", "message: I look for two. ", "web_search_call: two completed", "message: It is so.", "completed"}
	if d := cmp.Diff(want, <-ended); d != "" {
		t.Errorf("the client's answer (-want +got):\n%s", d)
	}

	ctx, leave := context.WithCancel(t.Context())
	go func() { ended <- searchAndAnswer(ctx, t, a, texts) }()
	await(t, "a search", f.asked)
	leave()
	if q := await(t, "the end of a search whose client has left", f.left); q != "one" {
		t.Errorf("the search for %q has ended", q)
	}
	<-ended
}

// searchAndAnswer has a model search and answer at n, and returns the items of its answer, and how that ended. Each piece of a text goes
// to texts.
func searchAndAnswer(ctx context.Context, t *testing.T, n *harness.Node, texts chan<- string) (out []string) {
	body := `{"model":"` + engine.Model + `","input":"What is it?","stream":true,"tools":[{"type":"web_search"}]}`
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.Info.HTTPURL+"/v1/responses", strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return nil
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return append(out, err.Error())
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		var e struct {
			Type, Delta string
			Item        struct {
				Type, Status string
				Content      []struct{ Text string }
				Action       struct{ Query string }
			}
			Response struct{ Status string }
		}
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); !ok || json.Unmarshal([]byte(data), &e) != nil {
			continue
		}
		switch {
		case e.Type == "response.output_text.delta":
			texts <- e.Delta
		case e.Type == "response.output_item.done" && e.Item.Type == "message":
			out = append(out, "message: "+e.Item.Content[0].Text)
		case e.Type == "response.output_item.done":
			out = append(out, e.Item.Type+": "+e.Item.Action.Query+" "+e.Item.Status)
		case e.Response.Status != "" && e.Response.Status != "in_progress":
			out = append(out, e.Response.Status)
		}
	}
	return out
}
