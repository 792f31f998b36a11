package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/bus"
)

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(content), 0o600))
}

func piece(attempt, seq int, text string) bus.Chunk {
	b, _ := json.Marshal(bus.InferenceChunk{Text: text}) // it is only a string
	return bus.Chunk{Attempt: attempt, Seq: seq, Node: other, Data: b}
}

func done(attempts int, r bus.InferenceResult) bus.Chunk {
	b, _ := json.Marshal(r) // strings and numbers
	return bus.Chunk{Attempt: attempts, End: &bus.TaskInfo{
		ID: "t1", Type: bus.TypeInference, State: bus.StateDone, Attempts: attempts, NodeID: other, Result: b,
	}}
}

// answers makes d answer a question with these chunks, and returns the tasks it got.
func answers(d *daemon, chunks ...bus.Chunk) <-chan bus.Task {
	got := make(chan bus.Task, 10)
	on(d, payload(bus.VerbSubmit), func(r bus.SubmitRequest) any {
		got <- r.Task
		d.send(r.Inbox, chunks...)
		return bus.SubmitReply{ID: r.Task.ID}
	})
	return got
}

var paris = bus.InferenceResult{
	Text: "Paris it is.", Model: "gemma3:27b", OutputTokens: 5, TTFT: time.Second, Duration: 3 * time.Second, DoneReason: "stop",
}

func TestAskStreams(t *testing.T) {
	t.Parallel()
	d := setup(t)
	answers(d, piece(1, 0, "Paris"), piece(1, 1, " it is."), done(1, paris))
	o := d.myco("ask", "Which", "city?").want(t, 0, "-- tower (myco-ba9876543210), gemma3:27b, 2.0 tokens/s, ")
	if o.out != "Paris it is.\n" {
		t.Errorf("printed %q", o.out)
	}
	if o := d.myco("-q", "ask", "Which city?").want(t, 0); o.err != "" {
		t.Errorf("quiet, it said %q", o.err)
	}
}

// A quick answer comes in one piece: what the clock sees of it tells nothing, and the engine's own time does.
func TestSpeedIsTheEngines(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		result bus.InferenceResult
		want   string
	}{
		{"by the clock", bus.InferenceResult{OutputTokens: 5, TTFT: time.Second, Duration: 3 * time.Second}, "-- tower, m, 2.0 tokens/s"},
		{"in one piece", bus.InferenceResult{OutputTokens: 16, TTFT: 30 * time.Millisecond, Duration: 30*time.Millisecond + 66*time.Microsecond}, "-- tower, m"},
		{
			"in one piece, and the engine tells its time",
			bus.InferenceResult{OutputTokens: 16, TTFT: 30 * time.Millisecond, Duration: 30*time.Millisecond + 66*time.Microsecond, Writing: 8 * time.Millisecond},
			"-- tower, m, 2000 tokens/s",
		},
		{
			"the engine tells much less than the clock saw",
			bus.InferenceResult{OutputTokens: 5, TTFT: time.Second, Duration: 3 * time.Second, Writing: time.Microsecond},
			"-- tower, m, 2.0 tokens/s",
		},
		{"one token", bus.InferenceResult{OutputTokens: 1, TTFT: time.Second, Duration: 3 * time.Second, Writing: time.Second}, "-- tower, m"},
	} {
		a := answerView{NodeName: "tower", Model: "m"}
		if got := strings.TrimSuffix(footer(a, c.result, time.Second), ", 1s"); got != c.want {
			t.Errorf("%s: ask says %q, want %q", c.name, got, c.want)
		}
		if got := chatFooter(a, c.result, 0); got != c.want {
			t.Errorf("%s: chat says %q, want %q", c.name, got, c.want)
		}
	}
}

// Where another node goes on the text has no seam; who goes on is told beside it.
func TestAskGoesOn(t *testing.T) {
	t.Parallel()
	d := setup(t)
	marker := bus.Chunk{Attempt: 1, Seq: 1, Node: other, Data: json.RawMessage(`{}`), Continues: &bus.Continues{Attempt: 2, Lost: "myco-000000000001"}}
	end := done(2, paris)
	end.Attempt = 1
	answers(d, piece(1, 0, "Paris"), marker, piece(1, 2, " it is."), end)
	o := d.myco("ask", "Which city?").want(t, 0, "[myco-000000000001 was lost; tower continues]", "2 attempts")
	if o.out != "Paris it is.\n" {
		t.Errorf("printed %q", o.out)
	}
	o = d.myco("ask", "--json", "--stream", "Which city?").want(t, 0)
	if want := `{"attempt":1,"seq":1,"node_id":"myco-ba9876543210","text":"","continues":{"attempt":2,"lost":"myco-000000000001"}}`; !strings.Contains(o.out, want) {
		t.Errorf("printed %s, want %s in it", o.out, want)
	}
}

// An answer that cannot be written is left in the middle, and the engine with it.
func TestAskToAFullDisk(t *testing.T) {
	t.Parallel()
	d := setup(t)
	answers(d, piece(1, 0, "Paris")) // and no end
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var errs strings.Builder
	code := run(ctx, []string{"--data-dir", d.dir, "ask", "Which city?"}, streams{in: strings.NewReader(""), out: full{}, err: &errs})
	if code != 1 || !strings.Contains(errs.String(), "myco: write the result: no space left") {
		t.Errorf("exit code %d, %q", code, errs.String())
	}
}

func TestAskPrintsAnAnswerWithoutPieces(t *testing.T) {
	t.Parallel()
	d := setup(t)
	answers(d, done(1, paris))
	if o := d.myco("ask", "Which city?").want(t, 0); o.out != "Paris it is.\n" {
		t.Errorf("printed %q", o.out)
	}
}

func TestAskJSON(t *testing.T) {
	t.Parallel()
	d := setup(t)
	demo := paris
	demo.Demo = true
	answers(d, piece(1, 0, "Paris <it> is."), done(1, demo))
	o := d.myco("ask", "--json", "Which city?").want(t, 0, "This is a demo", "ollama pull gemma3:1b")
	var got answerView
	must(t, json.Unmarshal([]byte(o.out), &got))
	if got.TTFTMS <= 0 || got.DurationMS < got.TTFTMS {
		t.Errorf("times %v and %v ms, want both above 0", got.TTFTMS, got.DurationMS)
	}
	got.TTFTMS, got.DurationMS = 0, 0
	want := answerView{TaskID: "t1", Text: "Paris it is.", Model: "gemma3:27b", NodeID: other, NodeName: "tower", Attempts: 1, Demo: true}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	lines := strings.Split(d.myco("ask", "--json", "--stream", "Which city?").want(t, 0).out, "\n")
	if want := `{"attempt":1,"seq":0,"node_id":"myco-ba9876543210","text":"Paris <it> is."}`; lines[0] != want || len(lines) != 3 {
		t.Errorf("lines %q, want the piece %s, the answer and nothing else", lines, want)
	}
}

func TestAskHandsOverWhatIsAsked(t *testing.T) {
	t.Parallel()
	d := setup(t)
	got := answers(d, done(1, paris))
	for _, args := range [][]string{{"--node", "tower"}, {"--remote"}} {
		d.mycoIn(t.Context(), "piped\n", append(args, "ask", "-m", "m", "--priority", "9", "--timeout", "1m", "--system", "brief",
			"--temperature", "0", "--seed", "7", "--max-tokens", "3", "Words", "here")...).want(t, 2) // flags of ask come after it
		d.mycoIn(t.Context(), "piped\n", append([]string{
			"ask", "-m", "m", "--priority", "9", "--timeout", "1m", "--system", "brief",
			"--temperature", "0", "--seed", "7", "--max-tokens", "3", "Words", "here",
		}, args...)...).want(t, 0)
		task := <-got
		zero, seven := 0.0, int64(7)
		var req bus.InferenceRequest
		must(t, json.Unmarshal(task.Payload, &req))
		if d := cmp.Diff(bus.InferenceRequest{Prompt: "Words here\n\npiped", System: "brief", Temperature: &zero, Seed: &seven, MaxTokens: 3}, req); d != "" {
			t.Error(d)
		}
		if task.Type != bus.TypeInference || task.Model != "m" || task.Priority != 9 || task.Timeout != time.Minute ||
			task.Remote != (len(args) == 1) || (task.Node == other) != (len(args) == 2) {
			t.Errorf("task %+v with %v", task, args)
		}
	}
}

func TestAskErrors(t *testing.T) {
	t.Parallel()
	d := setup(t)
	end := &bus.TaskInfo{ID: "t1", State: bus.StateExpired}
	on(d, payload(bus.VerbSubmit), func(r bus.SubmitRequest) any {
		if r.Task.Model == "absent" {
			return bus.Errorf(bus.CodeNoWorker, "no node has absent").WithHint("myco pull absent")
		}
		d.send(r.Inbox, piece(1, 0, "Par"), bus.Chunk{End: end})
		return bus.SubmitReply{ID: "t1"}
	})
	if o := d.myco("ask", "-m", "absent", "hello").want(t, 3, "myco: no node has absent\n  try: myco pull absent\n"); o.out != "" {
		t.Errorf("printed %q, want nothing", o.out)
	}
	if o := d.myco("ask", "--json", "-m", "absent", "hello").want(t, 3); o.out !=
		`{"error":{"code":"no_worker","message":"no node has absent","hint":"myco pull absent"}}`+"\n" {
		t.Errorf("printed %q, want the error", o.out)
	}
	if o := d.myco("ask", "hello").want(t, 5, "task t1 is expired"); o.out != "Par\n" {
		t.Errorf("printed %q, want what came, on a line of its own", o.out)
	}
	d.myco("ask", "--node", "nobody", "hello").want(t, 3, `no node "nobody"`)
	long := d.mycoIn(t.Context(), strings.Repeat("x", bus.MaxPrompt+1), "ask").want(t, 2, "prompt", "limit")
	if strings.Contains(long.err, "xxx") {
		t.Error("the prompt is in the error")
	}
}

func TestInterruptCancelsTheTask(t *testing.T) {
	t.Parallel()
	d := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cancelled := make(chan bus.TaskID, 1)
	on(d, payload(bus.VerbCancel), func(r bus.TaskRequest) any {
		cancelled <- r.ID
		return bus.TaskInfo{ID: r.ID, State: bus.StateCancelled}
	})
	got := make(chan bus.TaskID, 1)
	on(d, payload(bus.VerbSubmit), func(r bus.SubmitRequest) any {
		got <- r.Task.ID
		cancel()
		return bus.SubmitReply{ID: r.Task.ID}
	})
	d.mycoIn(ctx, "", "ask", "hello").want(t, 130, "myco: interrupted")
	if a, b := receive(t, got, "the task"), receive(t, cancelled, "its end"); a != b {
		t.Errorf("cancelled %s, want %s", b, a)
	}
}

func TestDetach(t *testing.T) {
	t.Parallel()
	d := setup(t)
	on(d, payload(bus.VerbEnqueue), func(r bus.EnqueueRequest) any {
		id := bus.TaskID("t7")
		if strings.HasPrefix(string(r.Task.ID), "news") {
			id = r.Task.ID
		}
		return bus.Receipt{ID: id, Accepted: true, Copies: 2, Warning: "no node has absent:7b now"}
	})
	if o := d.myco("ask", "--detach", "hello").want(t, 0, "warning: no node has absent:7b now", "myco task attach t7"); o.out != "t7\n" {
		t.Errorf("printed %q, want the id alone", o.out)
	}
	if o := d.myco("ask", "--detach", "--json", "hello").want(t, 0); o.out !=
		`{"task_id":"t7","accepted":true,"copies":2,"warning":"no node has absent:7b now"}`+"\n" {
		t.Errorf("printed %q", o.out)
	}
	if o := d.myco("ask", "--detach", "--id", "news-2026-01-02", "hello").want(t, 0, "myco task attach news-2026-01-02"); o.out != "news-2026-01-02\n" {
		t.Errorf("printed %q, want the id that was given", o.out)
	}
	d.myco("ask", "--id", "news", "hello").want(t, 2, "--detach")
	d.myco("ask", "--detach", "--id", "no id", "hello").want(t, 2, "only letters")
	d.myco("ask", "--detach", "--id", "", "hello").want(t, 2, "0 characters")
}

func TestAskForJSON(t *testing.T) {
	t.Parallel()
	d := setup(t)
	got := answers(d, piece(1, 0, "{}"), done(1, bus.InferenceResult{Text: "{}", Model: "gemma3:27b"}))
	schema := filepath.Join(t.TempDir(), "schema.json")
	writeFile(t, schema, `{"type": "object"}`)
	for _, c := range []struct{ format, think, wantFormat, wantThink string }{
		{"json", "false", `"json"`, "false"}, {schema, "high", `{"type":"object"}`, `"high"`},
	} {
		d.myco("ask", "--format", c.format, "--think", c.think, "?").want(t, 0)
		var req bus.InferenceRequest
		must(t, json.Unmarshal((<-got).Payload, &req))
		if string(req.Format) != c.wantFormat || string(req.Think) != c.wantThink {
			t.Errorf("format %s, think %s; want %s and %s", req.Format, req.Think, c.wantFormat, c.wantThink)
		}
	}
	d.myco("ask", "--format", "xml", "?").want(t, 2, "--format xml: want json, or the file of a JSON schema, and there is no such file")
	writeFile(t, schema, "[1]")
	d.myco("ask", "--format", schema, "?").want(t, 2, "is no JSON schema")
	d.myco("ask", "--format", t.TempDir(), "?").want(t, 2, "--format: read ")
	d.myco("ask", "--think", "much", "?").want(t, 2, "think much: want true, false, low, medium or high")
}

// Not all models think: whoever asks one that does not to, is told how to ask it.
func TestAskOneThatDoesNotThink(t *testing.T) {
	t.Parallel()
	d := setup(t)
	end := bus.TaskInfo{State: bus.StateFailed, NodeID: other, Error: bus.Errorf(bus.CodeInvalid, `ollama did not accept the request: "m" does not support thinking`)}
	answers(d, bus.Chunk{Attempt: 1, Node: other, End: &end})
	d.myco("ask", "--think", "high", "?").want(t, 2, "does not support thinking", "try: leave --think out; models that think: myco models")
	ch := &chat{app: &app{streams: streams{interactive: true}}, s: &session{}}
	if e := bus.AsError(ch.unpinned(bus.Errorf(bus.CodeNoWorker, "no").WithHint("ollama pull m, or name one of those above with -m"))); !strings.HasSuffix(e.Hint, "above with /model") {
		t.Errorf("another model: %s", e.Hint)
	}
	if e := bus.AsError(ch.unpinned(end.Error)); !strings.Contains(e.Hint, `/think ""`) {
		t.Errorf("in a conversation: %+v", e)
	}
}

// Who names what a question is about, and asks none, is told how one does.
func TestAboutWithoutAQuestion(t *testing.T) {
	t.Parallel()
	d := setup(t)
	about := bus.ShellWord("my report.pdf") // as this system's shell wants it
	for flag, next := range map[string]string{
		"--file":    "try: myco ask --file " + about + ` "What is it about?"; its summary: myco summarize ` + about,
		"--url":     "try: myco ask --url " + about + ` "What is it about?"`,
		"--library": "try: myco ask --library " + about + ` "What did the boiler cost?"`,
		"--image":   "try: myco ask --image " + about + ` "What is on it?"`,
	} {
		d.myco("ask", flag, "my report.pdf").want(t, 2, "there is no question", next)
	}
}
