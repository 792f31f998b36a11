package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/bus"
)

// fetches has d answer each page with its URL as the text, and those of nowhere.example with an error. It
// answers the first page last.
func fetches(d *daemon, pages int) <-chan bus.Task {
	got := make(chan bus.Task, 10)
	waiting := []func(){}
	on(d, payload(bus.VerbSubmit), func(r bus.SubmitRequest) any {
		got <- r.Task
		var req bus.FetchRequest
		if err := json.Unmarshal(r.Task.Payload, &req); err != nil {
			d.t.Error(err)
		}
		end := bus.TaskInfo{ID: r.Task.ID, Type: bus.TypeFetch, State: bus.StateDone, Attempts: 1, NodeID: other}
		if strings.Contains(req.URL, "nowhere") {
			end.State, end.Error = bus.StateFailed, bus.Errorf(bus.CodeNotFound, "there is no such page")
		} else {
			end.Result, _ = json.Marshal(bus.FetchResult{ // strings and numbers
				URL: req.URL, Status: 200, Title: "Mushrooms", Byline: "Ada", Text: "# " + req.URL + "\n", Format: bus.FormatMarkdown, Bytes: 1234,
				Published: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), FetchedAt: time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC),
			})
		}
		waiting = append(waiting, func() { d.send(r.Inbox, bus.Chunk{Attempt: 1, End: &end}) })
		if len(waiting) == pages { // all are under way at once
			for i := range waiting {
				defer waiting[i]()
			}
			waiting = nil
		}
		return bus.SubmitReply{ID: r.Task.ID}
	})
	return got
}

func TestFetch(t *testing.T) {
	t.Parallel()
	d := setup(t)
	got := fetches(d, 1)
	o := d.myco("fetch", "--node", "tower", "--format", "text", "--timeout", "1m", "--max-bytes", "99", "https://a.example/").
		want(t, 0, "Mushrooms | Ada | 2026-03-01\n-- tower (myco-ba9876543210), https://a.example/, 1234 bytes, ")
	if o.out != "# https://a.example/\n" {
		t.Errorf("printed %q", o.out)
	}
	task := <-got
	if task.Type != bus.TypeFetch || task.Node != other || task.Timeout != time.Minute || string(task.Payload) != `{"url":"https://a.example/","format":"text","max_bytes":99}` {
		t.Errorf("task %+v with %s", task, task.Payload)
	}
	if o := d.myco("-q", "fetch", "https://a.example/").want(t, 0); o.err != "" {
		t.Errorf("quiet, it said %q", o.err)
	}
	if o := d.myco("fetch", "https://nowhere.example/").want(t, 3, "myco: there is no such page\n"); o.out != "" {
		t.Errorf("printed %q", o.out)
	}
}

func TestFetchSideBySide(t *testing.T) {
	t.Parallel()
	d := setup(t)
	fetches(d, 3)
	pages := []string{"https://a.example/", "https://nowhere.example/", "https://b.example/"}
	o := d.myco(append([]string{"fetch"}, pages...)...).want(t, 3, "myco: https://nowhere.example/: there is no such page\n")
	if want := "==> https://a.example/ <==\n# https://a.example/\n\n==> https://b.example/ <==\n# https://b.example/\n"; o.out != want {
		t.Errorf("printed %q, want %q", o.out, want)
	}
	lines := strings.Split(strings.TrimSpace(d.myco(append([]string{"fetch", "--json"}, pages...)...).want(t, 3).out), "\n")
	if len(lines) != 3 {
		t.Fatalf("printed %q, want an object for each page", lines)
	}
	for i, line := range lines {
		var v struct {
			Asked, URL, Text string
			NodeName         string `json:"node_name"`
			Error            *bus.Error
		}
		must(t, json.Unmarshal([]byte(line), &v))
		if v.Asked != pages[i] || v.NodeName != "tower" || (v.Error != nil) != (i == 1) || i != 1 && (v.URL != pages[i] || v.Text != "# "+pages[i]+"\n") {
			t.Errorf("line %d: %s", i, line)
		}
	}
}

func TestFetchErrors(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.myco("fetch").want(t, 2, "myco fetch --help")
	d.myco("fetch", "example.org").want(t, 2, "does not begin with http:// or https://", "try: myco fetch https://example.org")
	d.myco("fetch", "https://a.example", "ftp://b.example").want(t, 2, "ftp://b.example: ")
	d.myco("fetch", "--format", "pdf", "https://a.example").want(t, 2, "want markdown, text or raw")
	d.myco("fetch", "--timeout", "-1s", "https://a.example").want(t, 2, "--timeout -1s")
	d.myco("fetch", "--max-bytes", "99999999", "https://a.example").want(t, 2, "--max-bytes 99999999: want 1 to 16777216")
	d.myco("fetch", "--node", "nobody", "https://a.example").want(t, 3, `no node "nobody"`)
}

// The page comes before the question, and what is piped in after it.
func TestAskAboutPages(t *testing.T) {
	t.Parallel()
	d := setup(t)
	asked := make(chan bus.Task, 10)
	on(d, payload(bus.VerbSubmit), func(r bus.SubmitRequest) any {
		asked <- r.Task
		end := done(1, paris)
		if r.Task.Type == bus.TypeFetch {
			var req bus.FetchRequest
			if err := json.Unmarshal(r.Task.Payload, &req); err != nil {
				t.Error(err)
			}
			b, _ := json.Marshal(bus.FetchResult{URL: req.URL, Title: "Cities", Text: "Paris has towers.\n", Truncated: true}) // strings
			end.End.Result = b
		}
		d.send(r.Inbox, end)
		return bus.SubmitReply{ID: r.Task.ID}
	})
	o := d.mycoIn(t.Context(), "piped", "ask", "--url", "https://a.example/x?a=1,2", "Which city?").
		want(t, 0, "[https://a.example/x?a=1,2: about 4 tokens, cut: it is longer]", "-- tower")
	if o.out != "Paris it is.\n" {
		t.Errorf("printed %q", o.out)
	}
	<-asked
	question := <-asked
	var req bus.InferenceRequest
	must(t, json.Unmarshal(question.Payload, &req))
	want := bus.NeverObey + "\n\n" + bus.Marked("Page https://a.example/x?a=1,2 (Cities):\n\nParis has towers.") + "\n\nWhich city?\n\npiped"
	if d := cmp.Diff(want, req.Prompt); d != "" || question.Type != bus.TypeInference {
		t.Error(d)
	}
	d.myco("ask", "--url", "example.org", "Which city?").want(t, 2, "does not begin with")
}

// --node of ask names who answers, and not who fetches: where one node alone may fetch a page, fetch does.
func TestAskAboutAPageOfOneNode(t *testing.T) {
	t.Parallel()
	d := setup(t)
	on(d, payload(bus.VerbSubmit), func(bus.SubmitRequest) any {
		return bus.Errorf(bus.CodeForbidden, "public pages only").WithHint("mycod --web-port 81 on a node of yours, and then: myco fetch --node NODE URL")
	})
	d.myco("ask", "--url", "https://a.example:81/x", "Which city?").want(t, 1, "https://a.example:81/x: public pages only", "myco fetch --node NODE URL | myco ask PROMPT\n")
}
