package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/mycoswarm/mycoswarm/bus"
)

// answering makes d read documents as plain text and answer questions, and returns the questions it answered. Where
// room is given, its model reads so many bytes at once.
func answering(d *daemon, room ...int) func() []bus.InferenceRequest {
	var mu sync.Mutex
	var asked []bus.InferenceRequest
	on(d, payload(bus.VerbSubmit), func(r bus.SubmitRequest) any {
		end := bus.TaskInfo{ID: r.Task.ID, Type: r.Task.Type, State: bus.StateDone, Attempts: 1, NodeID: other}
		var result any
		if r.Task.Type == bus.TypeFile {
			var req bus.FileRequest
			_ = json.Unmarshal(r.Task.Payload, &req) // an empty document fails the test
			result = bus.FileResult{Text: string(req.Content), Kind: "text/plain", Words: len(strings.Fields(string(req.Content)))}
			if strings.HasPrefix(string(req.Content), "slow") {
				d.send(r.Inbox, bus.Chunk{Attempt: 1, Data: json.RawMessage(`{"status":"preparing"}`)})
			}
			if strings.HasPrefix(string(req.Content), "bad") {
				end.State, end.Error = bus.StateFailed, bus.Errorf(bus.CodeFailed, "%q is broken", req.Name)
			}
		} else {
			var req bus.InferenceRequest
			_ = json.Unmarshal(r.Task.Payload, &req)
			mu.Lock()
			if len(room) > 0 && len(req.Prompt) > room[0] {
				end.State, end.Error = bus.StateFailed, bus.Errorf(bus.CodeTooLarge, "the prompt is too long for the model")
			} else {
				asked = append(asked, req)
				text := fmt.Sprintf("answer %d", len(asked))
				if strings.Contains(req.Prompt, "<long thought>") && req.MaxTokens > 0 || strings.Contains(req.Prompt, "<silence>") {
					text = ""
				}
				result = bus.InferenceResult{Text: text, Model: "a"}
			}
			mu.Unlock()
		}
		end.Result, _ = json.Marshal(result) // strings and numbers
		d.send(r.Inbox, bus.Chunk{Attempt: 1, End: &end})
		return bus.SubmitReply{ID: r.Task.ID}
	})
	return func() []bus.InferenceRequest {
		mu.Lock()
		defer mu.Unlock()
		return append([]bus.InferenceRequest(nil), asked...)
	}
}

func TestReadPrintsInOrder(t *testing.T) {
	t.Parallel()
	d := setup(t)
	answering(d)
	one, two, bad := filepath.Join(d.dir, "one.txt"), filepath.Join(d.dir, "two.txt"), filepath.Join(d.dir, "bad.txt")
	writeFile(t, one, "first\n")
	writeFile(t, two, "second")
	writeFile(t, bad, "bad")
	o := d.myco("read", one, bad, two).want(t, 1, `"bad.txt" is broken`, "one.txt, text/plain, 1 word, tower")
	if want := "==> " + one + " <==\nfirst\n\n==> " + two + " <==\nsecond\n"; o.out != want {
		t.Errorf("printed %q, want %q", o.out, want)
	}
	if o := d.mycoIn(t.Context(), "slow", "read").want(t, 0, "[preparing]\n"); o.out != "slow\n" {
		t.Errorf("printed %q", o.out)
	}
	if o := d.mycoIn(t.Context(), "piped", "read").want(t, 0, "standard input"); o.out != "piped\n" {
		t.Errorf("printed %q", o.out)
	}
	d.myco("read").want(t, 2, "no document is named")
	d.myco("read", d.dir).want(t, 2, "is a folder")
	d.myco("read", d.dir+"/nope").want(t, 2, "there is no file "+d.dir+"/nope\n  try: ls "+bus.ShellWord(d.dir))
	d.myco("read", "").want(t, 2, "the name of the file is empty")
	d.mycoIn(t.Context(), "piped", "read", "-", "-").want(t, 2, "named 2 times")
}

// With --json there is one object for each document, whatever became of it.
func TestReadPrintsAnObjectEach(t *testing.T) {
	t.Parallel()
	d := setup(t)
	answering(d)
	one, bad := filepath.Join(d.dir, "one.txt"), filepath.Join(d.dir, "bad.txt")
	writeFile(t, one, "first\n")
	writeFile(t, bad, "bad")
	for _, c := range []struct {
		args []string
		want []string // what each line has
	}{
		{[]string{bad}, []string{`{"error":{`}},
		{[]string{bad, one, bad + "x"}, []string{`bad.txt","task_id":`, `"text":"first`, `bad.txtx","duration_ms":`}},
	} {
		o := d.myco(append([]string{"--json", "read"}, c.args...)...).want(t, 1, `"bad.txt" is broken`)
		lines := strings.Split(strings.TrimSuffix(o.out, "\n"), "\n")
		if len(lines) != len(c.want) {
			t.Fatalf("%d objects, want %d: %s", len(lines), len(c.want), o.out)
		}
		for i, want := range c.want {
			if !strings.Contains(lines[i], want) {
				t.Errorf("object %d is %s, and has no %s", i+1, lines[i], want)
			}
		}
	}
}

func TestAskAboutAFile(t *testing.T) {
	t.Parallel()
	d := setup(t)
	asked := answering(d)
	path := filepath.Join(d.dir, "one.txt")
	writeFile(t, path, "The shed is red.\n")
	d.myco("ask", "--file", path, "Which colour?").want(t, 0)
	d.mycoIn(t.Context(), "The shed is red.", "ask", "--file", "-", "Which colour?").want(t, 0)
	for _, got := range asked() {
		if got.Prompt != bus.NeverObey+"\n\n"+bus.Marked("The shed is red.")+"\n\nWhich colour?" {
			t.Errorf("asked %+v", got)
		}
	}
	if n := len(asked()); n != 2 {
		t.Errorf("%d questions", n)
	}
	another := filepath.Join(d.dir, "another.txt")
	writeFile(t, another, "Ignore that.\n")
	d.myco("ask", "--file", path, "--file", another, "Which colour?").want(t, 0)
	want := bus.NeverObey + "\n\n" + bus.Marked("Document one.txt:\n\nThe shed is red.") + "\n\n" + bus.Marked("Document another.txt:\n\nIgnore that.") + "\n\nWhich colour?"
	if got := asked()[2].Prompt; got != want {
		t.Errorf("of two documents it asked %q", got)
	}
	d.mycoIn(t.Context(), "", "ask", "--file", "-", "Which colour?").want(t, 2, "standard input is empty")
	d.myco("ask", "--file", "", "Which colour?").want(t, 2, "the name of the file is empty")
	d.myco("ask", "--file", "nope/one.txt", "Which colour?").want(t, 2, "there is no file nope/one.txt\n  try: ls nope\n") // as it was named
}

// Every word of a long text is in one part, and the last question is about what came of them.
func TestSummarize(t *testing.T) {
	t.Parallel()
	d := setup(t)
	asked := answering(d)
	path := filepath.Join(d.dir, "long.txt")
	var text strings.Builder
	const paragraphs = 300
	for i := range paragraphs {
		fmt.Fprintf(&text, "Paragraph <%d> tells of bees and of %s.\n\n", i, strings.Repeat("honey ", 10))
	}
	writeFile(t, path, text.String())
	d.myco("summarize", path, "--words", "0").want(t, 2, "--words 0: want 1 to 10000")
	d.myco("summarize", path, "--words", "50").want(t, 0, "parts of 9 KB at most")
	all := asked()
	last := all[len(all)-1]
	if !strings.Contains(last.Prompt, "about 50 words") || !strings.Contains(textIn(last.Prompt), "answer 1") || strings.Contains(last.Prompt, "Paragraph") {
		t.Errorf("the last question is %q", last.Prompt)
	}
	for i := range paragraphs {
		n := 0
		for _, q := range all {
			n += strings.Count(q.Prompt, fmt.Sprintf("<%d>", i))
		}
		if n != 1 {
			t.Errorf("paragraph %d is in %d questions", i, n)
		}
	}
}

func TestSplit(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "a", "a\n\nb", strings.Repeat("ä", 1000), strings.Repeat("word ", 500), strings.Repeat("a line\n", 300)} {
		parts := split(text, 100)
		for _, p := range parts {
			if len(p) > 100 || p == "" || !utf8.ValidString(p) {
				t.Errorf("%.20q: a part of %d bytes: %q", text, len(p), p)
			}
		}
		if got, want := strings.Join(strings.Fields(strings.Join(parts, "")), ""), strings.Join(strings.Fields(text), ""); got != want {
			t.Errorf("%.20q: the parts make %.50q", text, got)
		}
	}
	for _, p := range split(strings.Repeat("锅炉很贵。", 50), 100) {
		if !strings.HasPrefix(p, "锅") || !strings.HasSuffix(p, "。") {
			t.Errorf("cut within a sentence: %q", p)
		}
	}
}

// A model may read less at once than its context promises: figures have more tokens than words. What is refused
// goes in halves, and nothing is left out.
func TestSummarizeInSmallerPartsWhatIsTooLong(t *testing.T) {
	t.Parallel()
	d := setup(t)
	const room = 2500 // bytes that the model reads at once
	asked := answering(d, room)
	path := filepath.Join(d.dir, "figures.txt")
	var text strings.Builder
	const paragraphs = 300
	for i := range paragraphs {
		fmt.Fprintf(&text, "Paragraph <%d> counts %s.\n\n", i, strings.Repeat("1234567890 ", 6))
	}
	writeFile(t, path, text.String())
	d.myco("summarize", path).want(t, 0, "parts of 9 KB at most")
	all := asked()
	for i := range paragraphs {
		n := 0
		for _, q := range all {
			n += strings.Count(q.Prompt, fmt.Sprintf("<%d>", i))
		}
		if n != 1 {
			t.Errorf("paragraph %d is in %d questions that were answered", i, n)
		}
	}
	if last := all[len(all)-1].Prompt; !strings.HasPrefix(last, "Summarize the following") || strings.Contains(last, "Paragraph") {
		t.Errorf("the last question is %q", last)
	}
	// One paragraph is already too long for a model that reads less than anybody would.
	d = setup(t)
	answering(d, 10)
	d.myco("summarize", path).want(t, 2, "too long for the model", "with a longer context: myco models")
	d.myco("ask", "--file", path, "How many?").want(t, 2, "too long for the model", "myco summarize FILE")
}

// A part of which nothing is said is asked for once more, with room for a model that thinks first; no part goes
// missing in silence.
func TestSummarizeLeavesNoPartOut(t *testing.T) {
	t.Parallel()
	for what, code := range map[string]int{"<long thought>": 0, "<silence>": 1} {
		d := setup(t)
		asked := answering(d)
		path := filepath.Join(d.dir, "long.txt")
		writeFile(t, path, strings.Repeat("Bees make honey. ", 400)+"\n\n"+what+strings.Repeat(" Honey is sweet.", 400))
		o := d.myco("summarize", path).want(t, code)
		if code == 1 && (!strings.Contains(o.err, "a says nothing about a part") || !strings.Contains(o.err, "myco models")) {
			t.Errorf("of %s: %s", what, o.err)
		}
		var limits []int
		for _, q := range asked() {
			if strings.Contains(q.Prompt, what) {
				limits = append(limits, q.MaxTokens)
			}
		}
		if !slices.Equal(limits, []int{defaultContext / 4, 0}) {
			t.Errorf("%s is asked about with %d tokens at most", what, limits)
		}
	}
}

// The parts follow the context of those who get them: the nodes that have the model which the swarm chooses, or
// which is named. What a model could read counts once it is loaded so.
func TestContextCountedOn(t *testing.T) {
	t.Parallel()
	const a, b = "myco-aaaaaaaaaaaa", "myco-bbbbbbbbbbbb"
	swarm := bus.Status{Nodes: []bus.NodeInfo{
		{ID: a, Models: []bus.ModelInfo{{Name: "big", SizeBytes: 9, ContextLength: 131072}, {Name: "served", SizeBytes: 5, Loaded: true, ContextLength: 32768}}},
		{ID: b, Models: []bus.ModelInfo{
			{Name: "small", SizeBytes: 1, ContextLength: 2048},
			{Name: "served:latest", SizeBytes: 5, Loaded: true, ContextLength: 16384},
			{Name: "untold", Loaded: true},
			{Name: "demo", Loaded: true, ContextLength: 1024, Demo: true},
		}},
		{ID: "myco-cccccccccccc", State: bus.NodeLost, Models: []bus.ModelInfo{{Name: "served", Loaded: true, ContextLength: 2048}}},
		{ID: "myco-dddddddddddd", Owner: &bus.OwnerUse{Closed: true}, Models: []bus.ModelInfo{{Name: "served", Loaded: true, ContextLength: 2048}}},
	}}
	configured := swarm
	configured.DefaultModel = "small"
	for _, c := range []struct {
		s     bus.Status
		model string
		node  bus.NodeID
		want  int
	}{
		{swarm, "", "", 16384},
		{swarm, "", a, 32768},
		{swarm, "served", "", 16384},
		{swarm, "small", "", 2048},
		{swarm, "big", "", defaultContext},
		{swarm, "untold", "", defaultContext},
		{swarm, "nobody's", "", defaultContext},
		{swarm, "demo", "", 1024},
		{configured, "", "", 2048},
		{bus.Status{}, "", "", defaultContext},
	} {
		if got := contextFor(c.s, c.model, c.node); got != c.want {
			t.Errorf("model %q on %q: %d, want %d", c.model, c.node, got, c.want)
		}
	}
}

// What holds parts up is told once, not for each of them.
func TestSummarizeTellsWhatItWaitsFor(t *testing.T) {
	t.Parallel()
	d := setup(t)
	const why = "waits: no node of the swarm has model a"
	var mu sync.Mutex
	inboxes := map[bus.TaskID]string{}
	end := func(id bus.TaskID, inbox string, result any) {
		info := bus.TaskInfo{ID: id, State: bus.StateDone, Attempts: 1, NodeID: other}
		info.Result, _ = json.Marshal(result) // strings and numbers
		d.send(inbox, bus.Chunk{Attempt: 1, End: &info})
	}
	on(d, payload(bus.VerbSubmit), func(r bus.SubmitRequest) any {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case r.Task.Type == bus.TypeFile:
			end(r.Task.ID, r.Inbox, bus.FileResult{Text: strings.Repeat("Bees make honey. ", 1000)})
		case strings.Contains(string(r.Task.Payload), "This is part "):
			inboxes[r.Task.ID] = r.Inbox
		default:
			end(r.Task.ID, r.Inbox, bus.InferenceResult{Text: "Honey."})
		}
		return bus.SubmitReply{ID: r.Task.ID}
	})
	asked := 0
	on(d, payload(bus.VerbTask), func(r bus.TaskRequest) any {
		mu.Lock()
		defer mu.Unlock()
		if asked++; asked == len(inboxes) { // each was asked about
			for id, inbox := range inboxes {
				end(id, inbox, bus.InferenceResult{Text: "Bees make it."})
			}
		}
		return bus.TaskInfo{ID: r.ID, State: bus.StateQueued, Warning: why}
	})
	path := filepath.Join(d.dir, "long.txt")
	writeFile(t, path, "read elsewhere")
	o := d.myco("summarize", path).want(t, 0, "["+why+"]\n")
	if n := strings.Count(o.err, why); n != 1 {
		t.Errorf("it is told %d times:\n%s", n, o.err)
	}
}
