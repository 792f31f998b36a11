package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/bus"
)

// mushrooms is what a search has found.
var mushrooms = bus.SearchResult{
	Results: []bus.SearchHit{
		{Title: "Mushrooms of the woods", URL: "https://a.example/woods?of=them&all=1", Content: "They grow where it is dark, and where it is damp they grow best.", Published: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC), Engines: []string{"one", "two"}},
		{Title: "Spores", URL: "https://b.example/", Engines: []string{"two"}},
	},
	Silent: []string{"three (CAPTCHA)"}, SearchedAt: time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC),
}

// searches has d answer each search with res.
func searches(d *daemon, res bus.SearchResult) <-chan bus.Task {
	got := make(chan bus.Task, 10)
	on(d, payload(bus.VerbSubmit), func(r bus.SubmitRequest) any {
		got <- r.Task
		end := bus.TaskInfo{ID: r.Task.ID, Type: bus.TypeSearch, State: bus.StateDone, Attempts: 1, NodeID: other}
		end.Result, _ = json.Marshal(res) // strings and times
		d.send(r.Inbox, bus.Chunk{Attempt: 1, End: &end})
		return bus.SubmitReply{ID: r.Task.ID}
	})
	return got
}

func TestSearch(t *testing.T) {
	t.Parallel()
	d := setup(t)
	got := searches(d, mushrooms)
	o := d.myco("search", "--node", "tower", "-n", "5", "--language", "de", "--since", "week", "--timeout", "1m", "mushrooms", "in the", "woods").
		want(t, 0, "[no answer from three (CAPTCHA)]\n-- tower (myco-ba9876543210), 2 pages from 2 engines, ")
	want := "1. Mushrooms of the woods (2026-03-01)\n   https://a.example/woods?of=them&all=1\n   They grow where it is dark, and where it is damp they grow best.\n\n2. Spores\n   https://b.example/\n"
	if d := cmp.Diff(want, o.out); d != "" {
		t.Error(d)
	}
	task := <-got
	if task.Type != bus.TypeSearch || task.Node != other || task.Timeout != time.Minute || string(task.Payload) != `{"query":"mushrooms in the woods","max_results":5,"language":"de","since":"week"}` {
		t.Errorf("task %+v with %s", task, task.Payload)
	}
	if o := d.myco("-q", "search", "mushrooms").want(t, 0); o.err != "" {
		t.Errorf("quiet, it said %q", o.err)
	}
	var v searchView
	must(t, json.Unmarshal([]byte(d.myco("--json", "search", "mushrooms").want(t, 0).out), &v))
	if d := cmp.Diff(mushrooms, v.SearchResult); d != "" || v.NodeName != "tower" || v.Query != "mushrooms" || v.Attempts != 1 {
		t.Errorf("%+v, %s", v, d)
	}
}

// What is found goes on in the next line where the terminal is narrow; addresses stay whole.
func TestSearchOnANarrowTerminal(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	newView(&out, []string{"TERM=dumb"}, false).text(hitsText(mushrooms.Results, 30))
	want := "1. Mushrooms of the woods\n   (2026-03-01)\n   https://a.example/woods?of=them&all=1\n   They grow where it is dark,\n   and where it is damp they\n   grow best.\n\n2. Spores\n   https://b.example/\n"
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Error(d)
	}
	ten := strings.Split(hitsText(make([]bus.SearchHit, 10), 0), "\n")
	if !strings.HasPrefix(ten[0], " 1. ") || !strings.HasPrefix(ten[27], "10. ") {
		t.Errorf("ten pages: %q", ten)
	}
}

// What would steer a terminal does not get there, whatever node says it.
func TestSearchSteersNoTerminal(t *testing.T) {
	t.Parallel()
	got := hitsText([]bus.SearchHit{{Title: "a\x1b]0;b\nc", URL: "https://a.example/\x1b[2J", Content: "d\re\u009b"}}, 0)
	var out strings.Builder
	newView(&out, []string{"TERM=dumb"}, false).text(got)
	if want := "1. a]0;b c\n   https://a.example/[2J\n   de\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

func TestSearchErrors(t *testing.T) {
	t.Parallel()
	d := setup(t)
	searches(d, bus.SearchResult{Results: []bus.SearchHit{}, Silent: []string{"three (CAPTCHA)"}})
	if o := d.myco("search", "mushrooms").want(t, 3, "[no answer from three (CAPTCHA)]", "myco: no page was found", "try: search again in a while"); o.out != "" {
		t.Errorf("printed %q", o.out)
	}
	d.myco("search", "--since", "day", "mushrooms").want(t, 3, "no page was found", "leave out --since")
	if o := d.myco("--json", "search", "mushrooms").want(t, 3); !strings.HasPrefix(o.out, `{"query":"mushrooms","results":[],"silent":["three (CAPTCHA)"]`) {
		t.Errorf("printed %q", o.out)
	}
	d.myco("search").want(t, 2, "myco search --help")
	d.myco("search", " ").want(t, 2, "the query is empty", "try: myco search WORDS")
	d.myco("search", "--since", "decade", "x").want(t, 2, "want day, week, month or year")
	d.myco("search", "--language", "de_DE", "x").want(t, 2, "want a tag")
	d.myco("search", "-n", "51", "x").want(t, 2, "-n 51: want 1 to 50")
	d.myco("search", "--node", "nobody", "x").want(t, 3, `no node "nobody"`)
}
