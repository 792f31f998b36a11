package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/mycoswarm/mycoswarm/bus"
)

// mycoAt runs the command where standard output is a terminal with that many columns.
func (d *daemon) mycoAt(columns int, args ...string) outcome {
	d.t.Helper()
	var out, errs bytes.Buffer
	code := run(d.t.Context(), append([]string{"--data-dir", d.dir}, args...), streams{
		in: strings.NewReader(""), out: &out, err: &errs, columns: func() int { return columns },
	})
	return outcome{code, out.String(), errs.String()}
}

// manyReasons is what was bid for a task.
var manyReasons = bus.Why{Task: "t1", By: other, NodeID: self, Attempt: 1, PromptTokens: 300, Bids: []bus.NodeBid{
	{NodeID: self, Name: "laptop", Chosen: true, Bid: 1200 * time.Millisecond, Terms: []bus.BidTerm{
		{Why: "the model is loaded"}, {Cost: time.Second, Why: "writes 32 tokens, 32 a second as measured"}, {Cost: 200 * time.Millisecond, Why: "CPU 97 %"},
	}},
	{NodeID: other, Name: "tower", Not: "it does not have the model m:latest"},
}}

// What a task's bids say goes on in the next line: it is what was asked for.
func TestReasonsStayWhole(t *testing.T) {
	t.Parallel()
	d := setup(t)
	on(d, payload(bus.VerbWhy), func(bus.TaskRequest) any { return manyReasons })
	for _, columns := range []int{40, 60, 80} {
		o := d.mycoAt(columns, "task", "why", "t1").want(t, 0)
		for want := range strings.FieldsSeq("writes 32 tokens, 32 a second as measured; 200 ms: CPU 97 % it does not have the model m:latest") {
			if !strings.Contains(o.out, want) {
				t.Errorf("%q is missing on %d columns:\n%s", want, columns, o.out)
			}
		}
	}
}

// Tables fit the terminal, whatever its width, lose nothing on a wide one, and no program sees a difference.
func TestTablesFitTheTerminal(t *testing.T) {
	t.Parallel()
	d := trusting(t)
	on(d, payload(bus.VerbTasks), func(struct{}) any {
		return []bus.TaskInfo{
			{ID: "JmGGvp3Ux6TNW8pyJCZNc4", Type: "inference", Model: "qwen2.5-coder:7b-instruct-q4_K_M", State: bus.StateRunning, Attempts: 1, NodeID: other},
			{
				ID: "JmGGvp3Ux6TNW8pyJCZNc5", Type: "inference", Model: "日本語のモデル:latest", State: bus.StateDead, Attempts: 3, NodeID: "myco-cccccccccccc",
				Durable: true, Error: bus.Errorf(bus.CodeDead, "gave up after 3 attempts: it ended with its worker each time, on tower and laptop"),
			},
		}
	})
	on(d, payload(bus.VerbKeys), func(struct{}) any {
		return []bus.KeyInfo{
			{ID: "aaaa2222", Created: noon, KeyRequest: bus.KeyRequest{Name: "the telephone of a sister who lives elsewhere", PerMinute: 60, Concurrent: 2}},
			{ID: "bbbb3333", Created: noon, KeyRequest: bus.KeyRequest{Admin: true}},
		}
	})
	on(d, payload(bus.VerbProbe), func(bus.ProbeRequest) any {
		return []bus.ProbeReply{{NodeID: self, Name: "laptop", RTTMS: 0.031}, {NodeID: other, Name: "tower", Error: "no answer in 1s: no route to it for the last 40s"}}
	})
	on(d, payload(bus.VerbWhy), func(bus.TaskRequest) any { return manyReasons })
	var at strings.Builder
	for _, args := range [][]string{{"swarm"}, {"nodes"}, {"models"}, {"task", "ls"}, {"dead", "ls"}, {"key", "ls"}, {"ping"}, {"task", "why", "t1"}} {
		whole := d.myco(args...).want(t, 0).out
		_, bare, above := strings.Cut(whole, "\n\n")
		if !above {
			bare = whole
		}
		for _, columns := range []int{1, 5, 20, 40, 60, 80, 200} {
			o := d.mycoAt(columns, args...).want(t, 0)
			if _, table, above := strings.Cut(o.out, "\n\n"); above { // what is above is no table, and goes on in the next line
				o.out = table
			}
			for line := range strings.Lines(o.out) {
				if w := ansi.StringWidth(strings.TrimSuffix(line, "\n")); w > columns {
					t.Errorf("%v: a line of %d columns on a terminal of %d: %q", args, w, columns, line)
				}
			}
			if columns == 200 && o.out != bare || columns < 60 && !strings.Contains(o.out, cutMark) {
				t.Errorf("%v on a terminal of %d columns:\n%swant what is cut to be marked, and nothing to be where there is room:\n%s", args, columns, o.out, whole)
			}
			if columns == 40 || columns == 80 {
				fmt.Fprintf(&at, "== %s on %d columns\n%s", strings.Join(args, " "), columns, o.out)
			}
		}
		asJSON := append([]string{"--json"}, args...)
		if got, want := d.mycoAt(20, asJSON...), d.myco(asJSON...); got.out != want.out {
			t.Errorf("%v: a terminal of 20 columns gets %s, a pipe %s", asJSON, got.out, want.out)
		}
		if got := d.mycoAt(0, args...).out; got != whole {
			t.Errorf("%v on a terminal that does not tell its width: %s", args, got)
		}
	}
	golden(t, "fit.golden", at.String())
}

// What doctor tells goes on below its beginning, between words: a flag stays whole. A pipe gets a line for each.
func TestDoctorFitsTheTerminal(t *testing.T) {
	t.Parallel()
	d := setup(t)
	found := diagnosis(d.dir)
	found.Engines = []bus.EngineDiagnosis{{URL: "http://127.0.0.1:1", Kind: "ollama", Error: "dial tcp 127.0.0.1:1: connect: connection refused"}}
	on(d, payload(bus.VerbDoctor), func(struct{}) any { return found })
	for _, columns := range []int{50, 80} {
		o := d.mycoAt(columns, "doctor")
		for line := range strings.Lines(o.out) {
			line = strings.TrimSuffix(line, "\n")
			long := slices.ContainsFunc(strings.Fields(line), func(word string) bool { return len(word) > columns/2 }) // a path
			if ansi.StringWidth(line) > columns && !long {
				t.Errorf("a line of %d columns on a terminal of %d: %q", ansi.StringWidth(line), columns, line)
			}
		}
	}
	if whole := d.mycoAt(0, "doctor").out; !strings.Contains(whole, "the own announcement comes back, and 1 other node is heard\n") {
		t.Errorf("a pipe gets\n%s", whole)
	}
	text := "it is not as it was\ntry: myco --data-dir /a/b pull gemma3:1b --node laptop, or wait"
	for columns := range 80 {
		got := wrapPairs([][2]string{{"warn  engine", text}, {"ok  a", ""}}, columns)[0][1]
		if columns < 12+2+20 && got != text || strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(text), " ") {
			t.Errorf("on %d columns: %q", columns, got)
		}
	}
}

// The id of a swarm, of 64 letters, is what makes the title too long.
func TestTitleFitsTheTerminal(t *testing.T) {
	t.Parallel()
	v := swarmView{Swarm: bus.SwarmInfo{ID: strings.Repeat("0123456789abcdef", 4), Name: "home", QueueHost: self, Term: 7}}
	title, _, _ := strings.Cut(ansi.Strip(swarmTable(v, "", 80)), "\n")
	if want := "swarm home (0123456789ab…), queue host " + string(self) + ", term 7"; title != want {
		t.Errorf("%q, want %q", title, want)
	}
}

// What a plugin may do stays whole as long as there is room for it at all.
func TestPluginsFitTheTerminal(t *testing.T) {
	t.Parallel()
	rows := pluginRows([]bus.PluginInfo{
		{Name: "word-counter-of-the-library", Type: "words", About: "counts\nwords", Slots: 2, Processes: 1, Confined: true, May: []string{"read /srv/books", "network"}},
		{Name: "old", Error: bus.Errorf(bus.CodeInvalid, "plugin.toml:1:1: there is no setting typ")},
	})
	if out := pluginsGive.fitted(0, pluginsHead, rows); !strings.Contains(out, "  counts words\n") {
		t.Errorf("what a plugin is about is not told:\n%s", out)
	}
	for _, columns := range []int{5, 20, 40, 60, 80} {
		out := pluginsGive.fitted(columns, pluginsHead, rows)
		for line := range strings.Lines(out) {
			if w := ansi.StringWidth(strings.TrimSuffix(line, "\n")); w > columns {
				t.Errorf("a line of %d columns on a terminal of %d: %q", w, columns, line)
			}
		}
		if columns >= 40 && (!strings.Contains(out, "network") || !strings.Contains(out, "/srv/books")) {
			t.Errorf("on %d columns:\n%s", columns, out)
		}
	}
}
