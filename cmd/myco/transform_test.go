package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// shouting makes d read documents as plain text, and write a text in capital letters where it is asked to. Its model has room
// for so many bytes, of which it answers the beginning, and stops where that is all.
func shouting(d *daemon, room int) func() []bus.InferenceRequest {
	var mu sync.Mutex
	var asked []bus.InferenceRequest
	on(d, payload(bus.VerbSubmit), func(r bus.SubmitRequest) any {
		end := bus.TaskInfo{ID: r.Task.ID, Type: r.Task.Type, State: bus.StateDone, Attempts: 1, NodeID: other}
		var result any
		if r.Task.Type == bus.TypeFile {
			var req bus.FileRequest
			_ = json.Unmarshal(r.Task.Payload, &req) // an empty document fails the test
			result = bus.FileResult{Text: string(req.Content), Kind: "text/plain"}
		} else {
			var req bus.InferenceRequest
			_ = json.Unmarshal(r.Task.Payload, &req)
			mu.Lock()
			asked = append(asked, req)
			mu.Unlock()
			text := textIn(req.Prompt)
			res := bus.InferenceResult{Text: strings.ToUpper(text), Model: "a", DoneReason: "stop"}
			switch {
			case strings.Contains(text, "thoughts") && len(text) > 1000:
				res.Text, res.DoneReason = "", "length"
			case strings.Contains(text, "parrot"):
				before, behind := bus.Marks(text)
				res.Text = before + res.Text + behind + "\n"
			case strings.Contains(text, "fence"):
				res.Text = "```text\n" + res.Text + "\n```\n"
			case strings.Contains(text, "silence"):
				res.Text = " "
			case len(text) > room:
				res.Text, res.DoneReason = res.Text[:room], "length"
			}
			result = res
		}
		end.Result, _ = json.Marshal(result) // strings and numbers
		d.send(r.Inbox, bus.Chunk{Attempt: 1, End: &end})
		return bus.SubmitReply{ID: r.Task.ID}
	})
	return func() []bus.InferenceRequest {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(asked)
	}
}

// textIn is what stands between the marks of a prompt; empty without any.
func textIn(prompt string) (text string) {
	if found := textBetween.FindStringSubmatch(prompt); found != nil {
		text = found[1]
	}
	return text
}

var textBetween = regexp.MustCompile(`(?s)<text-[0-9a-f]{16}>\n(.*)\n</text-[0-9a-f]{16}>`)

// paragraphs are so many, of some 200 bytes each, and no two alike.
func paragraphs(n int) string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("paragraph %d: %s", i, strings.Repeat("word ", 38)+"end."))
	}
	return strings.Join(out, "\n\n")
}

// All of a text is written anew, in its order and with what was between its parts, also where a part has to be halved.
func TestTransform(t *testing.T) {
	t.Parallel()
	text := paragraphs(200) + "\nline\nline"
	for _, room := range []int{1 << 20, 1500} {
		d := setup(t)
		asked := shouting(d, room)
		o := d.mycoIn(t.Context(), text, "transform", "Write in capitals").want(t, 0, " parts of ", "-- a, tower (")
		if want := strings.ToUpper(text) + "\n"; o.out != want {
			t.Errorf("with room for %d bytes it printed %d bytes, want %d", room, len(o.out), len(want))
		}
		if len(asked()) < 5 {
			t.Errorf("it asked %d times", len(asked()))
		}
		for _, q := range asked() {
			if !strings.Contains(q.Prompt, "Write in capitals\n\n") || !strings.HasPrefix(q.Prompt, "This is part ") || !strings.Contains(q.System, "never an instruction") {
				t.Fatalf("it asked %.200q, as %q", q.Prompt, q.System)
			}
		}
	}
	d := setup(t)
	shouting(d, 1<<20)
	if o := d.mycoIn(t.Context(), "one page\n", "transform", "Write in capitals").want(t, 0, "-- a, tower, "); o.out != "ONE PAGE\n" {
		t.Errorf("printed %q", o.out)
	}
	var v struct {
		Text  string
		Parts int
		Nodes map[string]int
	}
	o := d.mycoIn(t.Context(), text, "transform", "Write in capitals", "--json").want(t, 0)
	if err := json.Unmarshal([]byte(o.out), &v); err != nil || v.Text != strings.ToUpper(text)+"\n" || v.Parts < 3 || v.Nodes[string(other)] != v.Parts {
		t.Errorf("%v in %d parts by %v", err, v.Parts, v.Nodes)
	}
}

// Parts are handed over in the order in which they are printed; a model that could think does not; the tasks are known as
// parts.
func TestTransformInOrder(t *testing.T) {
	t.Parallel()
	d := setup(t)
	there := slices.Clone(nodes)
	there[1].Models = []bus.ModelInfo{{Name: "a", Can: bus.Thinks}}
	d.nodes.Store(&there)
	asked := shouting(d, 1<<20)
	d.mycoIn(t.Context(), paragraphs(400), "transform", "-m", "a", "x").want(t, 0)
	for i, q := range asked() {
		if want := fmt.Sprintf("This is part %d of ", i+1); !strings.HasPrefix(q.Prompt, want) || string(q.Think) != "false" {
			t.Errorf("asked %.40q, think %s, want %q", q.Prompt, q.Think, want)
		}
	}
	d.mycoIn(t.Context(), paragraphs(400), "summarize", "-m", "a").want(t, 0)
	all := asked()
	for i, q := range all {
		if last := i == len(all)-1; (string(q.Think) == "false") == last {
			t.Errorf("asked %.40q, think %s", q.Prompt, q.Think)
		}
	}
}

// Where what is written cannot be printed, the rest is left.
func TestTransformToAFullDisk(t *testing.T) {
	t.Parallel()
	d := setup(t)
	asked := shouting(d, 1<<20)
	var errs strings.Builder
	s := streams{in: strings.NewReader(paragraphs(2000)), piped: true, out: full{}, err: &errs}
	code := run(t.Context(), []string{"--data-dir", d.dir, "transform", "x"}, s)
	if n := len(asked()); code != 1 || !strings.Contains(errs.String(), "myco: write the result: no space left") || strings.Contains(errs.String(), "printed") || n > 2*partsAtOnce {
		t.Errorf("exit code %d after %d parts: %s", code, n, &errs)
	}
}

// What a model writes, or stands in a document, steers no terminal, and is as it is elsewhere.
func TestForeignTextInATerminal(t *testing.T) {
	t.Parallel()
	d := setup(t)
	shouting(d, 1<<20)
	for _, command := range [][]string{{"transform", "x"}, {"summarize"}, {"read"}} {
		for name, columns := range map[string]func() int{"a terminal": func() int { return 80 }, "a file": nil} {
			var out, errs strings.Builder
			s := streams{in: strings.NewReader("A\x1b]52;c;Y\aB\n"), piped: true, out: &out, err: &errs, columns: columns, environ: []string{"CLICOLOR_FORCE=1", "TERM=xterm-256color"}}
			if code := run(t.Context(), append([]string{"--data-dir", d.dir}, command...), s); code != 0 {
				t.Fatalf("%v: exit code %d: %s", command, code, &errs)
			}
			if steers := strings.Contains(out.String(), "\x1b]"); steers == (columns != nil) || !strings.Contains(out.String(), "]52;") {
				t.Errorf("%v to %s: %q", command, name, out.String())
			}
		}
	}
}

// What is told of a task, and why something failed, steers no terminal.
func TestTaskAndErrorInATerminal(t *testing.T) {
	t.Parallel()
	answer, err := json.Marshal(bus.InferenceResult{Text: "a\x1b]0;b\u009bc"})
	if err != nil {
		t.Fatal(err)
	}
	failed := bus.Errorf(bus.CodeFailed, "a\x1b]0;b").WithHint("c\x1b]0;d")
	var out, errs strings.Builder
	s := streams{out: &out, err: &errs, columns: func() int { return 80 }, environ: []string{"CLICOLOR_FORCE=1", "TERM=xterm-256color"}}
	a := &app{streams: s, view: newView(s.out, s.environ, false), now: time.Now}
	for _, info := range []bus.TaskInfo{{Type: bus.TypeInference, Result: answer}, {Type: "mine", Result: []byte("\"a\u009bc\"")}, {Error: failed}} {
		a.task(info)
	}
	a.value([]byte("[\"a\u009bc\"]"))
	a.hint("warning: %s", failed.Message)
	a.finish(t.Context(), failed)
	for what, said := range map[string]string{"output": out.String(), "errors": errs.String()} {
		if strings.Contains(said, "\x1b]") || strings.Contains(said, "\u009b") || !strings.Contains(said, "a]0;b") {
			t.Errorf("%s: %q", what, said)
		}
	}
}

// The marks of a text are no part of an answer that copies them.
func TestTransformWithoutMarks(t *testing.T) {
	t.Parallel()
	d := setup(t)
	shouting(d, 1<<20)
	if o := d.mycoIn(t.Context(), "a parrot", "transform", "Write in capitals").want(t, 0); o.out != "A PARROT\n" {
		t.Errorf("printed %q", o.out)
	}
}

// Where a part cannot be written, what comes before it is there, and it is said so.
func TestTransformFails(t *testing.T) {
	t.Parallel()
	d := setup(t)
	asked := shouting(d, 1<<20)
	d.mycoIn(t.Context(), "\n", "transform", "x").want(t, 2, "there is no text")
	d.mycoIn(t.Context(), "x", "transform", " ").want(t, 2, "what to do", "myco transform")
	d.mycoIn(t.Context(), "silence", "transform", "x").want(t, 1, "says nothing")
	if n := len(asked()); n != 1 {
		t.Errorf("it asked %d times, want once", n)
	}
	d = setup(t)
	shouting(d, 20) // less than any half
	d.mycoIn(t.Context(), paragraphs(2), "transform", "x").want(t, 2, "no room", "longer context")
}

// A model that thinks until it has no room left has said nothing yet: it gets less.
func TestTransformByThoughts(t *testing.T) {
	t.Parallel()
	d := setup(t)
	shouting(d, 1<<20)
	text := strings.ReplaceAll(paragraphs(10), "end.", "thoughts")
	if o := d.mycoIn(t.Context(), text, "transform", "Write in capitals").want(t, 0); o.out != strings.ToUpper(text)+"\n" {
		t.Errorf("printed %q", o.out)
	}
}

// The depth of lines, and blank ones, stay as they are where a text is cut.
func TestTransformOfCode(t *testing.T) {
	t.Parallel()
	d := setup(t)
	shouting(d, 1<<20)
	text := "list:" + strings.Repeat("\n    - an entry that is deep\n\n\n\n        deeper", 400)
	if o := d.mycoIn(t.Context(), text, "transform", "Write in capitals").want(t, 0, " parts of "); o.out != strings.ToUpper(text)+"\n" {
		t.Errorf("printed %q", o.out)
	}
}

// A fence that a model puts around all that it writes is no part of the text.
func TestTransformInFences(t *testing.T) {
	t.Parallel()
	d := setup(t)
	shouting(d, 1<<20)
	if o := d.mycoIn(t.Context(), "no fence", "transform", "Write in capitals").want(t, 0); o.out != "NO FENCE\n" {
		t.Errorf("printed %q", o.out)
	}
	for _, answer := range []string{"```go\na\n```\nand\n```\nb\n```", "```", "```\n```", "a\n```", "```\na"} {
		if got := unfenced(answer, "text"); got != answer {
			t.Errorf("%q: %q", answer, got)
		}
	}
	if got := unfenced("```\na\n```", "```\nA\n```"); got != "```\na\n```" {
		t.Errorf("a fence of the text: %q", got)
	}
}
