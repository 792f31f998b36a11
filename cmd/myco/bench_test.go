package main

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/bus"
)

// benched is a node that answers one question at a time with so many words.
type benched struct {
	id              bus.NodeID
	before, between time.Duration
	words           int
	lumped          bool // the words come in one piece
	fails           error
	slot            chan struct{}
}

// serve answers as those nodes do: the one that a task is pinned to, or whichever is free first.
func serve(nodes ...*benched) func(context.Context, bus.Task) iter.Seq2[bus.Chunk, error] {
	free := make(chan *benched, len(nodes))
	for _, n := range nodes {
		n.slot = make(chan struct{}, 1)
		free <- n
	}
	return func(ctx context.Context, t bus.Task) iter.Seq2[bus.Chunk, error] {
		return func(yield func(bus.Chunk, error) bool) {
			var n *benched
			for _, one := range nodes {
				if one.id == t.Node {
					n = one
				}
			}
			if n == nil {
				select {
				case n = <-free:
				case <-ctx.Done():
					yield(bus.Chunk{}, bus.AsError(ctx.Err()))
					return
				}
				defer func() { free <- n }()
			}
			select {
			case n.slot <- struct{}{}:
			case <-ctx.Done():
				yield(bus.Chunk{}, bus.AsError(ctx.Err()))
				return
			}
			defer func() { <-n.slot }()
			n.answer(ctx, t, yield)
		}
	}
}

func (n *benched) answer(ctx context.Context, t bus.Task, yield func(bus.Chunk, error) bool) {
	if n.fails != nil {
		yield(bus.Chunk{}, n.fails)
		return
	}
	if !t.Part { // task ls would list it
		yield(bus.Chunk{}, bus.Errorf(bus.CodeInvalid, "the task is no part of the bench"))
		return
	}
	pause, text := n.before, strings.Repeat("word ", n.words)
	for i := range n.words {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			yield(bus.Chunk{}, bus.AsError(ctx.Err()))
			return
		}
		pause = n.between
		piece, _ := json.Marshal(bus.InferenceChunk{Text: "word "})
		if (!n.lumped || i == n.words-1) && !yield(bus.Chunk{Node: n.id, Data: piece}, nil) {
			return
		}
	}
	result, _ := json.Marshal(bus.InferenceResult{Text: text, OutputTokens: n.words})
	yield(bus.Chunk{Node: n.id, End: &bus.TaskInfo{ID: t.ID, NodeID: n.id, State: bus.StateDone, Result: result}}, nil)
}

// Two nodes, one four times as fast as the other, and the swarm of both.
func TestBenchMeasures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fast := &benched{id: self, before: 100 * time.Millisecond, between: 25 * time.Millisecond, words: 37} // a second an answer
		slow := &benched{id: other, before: 400 * time.Millisecond, between: 100 * time.Millisecond, words: 37, lumped: true}
		b := &bench{submit: serve(fast, slow), now: time.Now, lasts: 8500 * time.Millisecond, model: "m", prompt: "p", maxTokens: 99}
		named := []bus.NodeInfo{{ID: self, Name: "fast"}, {ID: other, Name: "slow"}}
		var told []string
		v, err := b.all(t.Context(), benchPlan{model: "m", nodes: named, parallel: 2}, func(format string, args ...any) { told = append(told, fmt.Sprintf(format, args...)) })
		if err != nil {
			t.Fatal(err)
		}
		want := benchView{Model: "m", Seconds: 8.5, Rows: []benchRow{
			// Eight answers of 37 words, and half a second of the next: 17.
			{NodeID: self, Name: "fast", Parallel: 1, Answers: 8, TTFTMS: 100, TokensPerSecond: 36.82},
			// Of an answer that comes in one piece nothing is seen before.
			{NodeID: other, Name: "slow", Parallel: 1, Answers: 2, TTFTMS: 4000, TokensPerSecond: 8.71},
			// Two at a time wait for each other: each second one begins, with a second behind it in the queue.
			{NodeID: self, Name: "fast", Parallel: 2, Answers: 8, TTFTMS: 1100, TokensPerSecond: 36.82},
			{NodeID: other, Name: "slow", Parallel: 2, Answers: 2, TTFTMS: 4500, More: true, TokensPerSecond: 8.71},
			{Name: "swarm", Parallel: 2, Answers: 10, TTFTMS: 100, TokensPerSecond: 45.53, By: map[string]int{"fast": 313, "slow": 74}},
		}}
		if diff := cmp.Diff(want, v); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if last := told[len(told)-1]; last != "[5 of 5: swarm, 2 at a time: 45.5 tokens/s, first token after 100ms]" {
			t.Errorf("told at last: %s", last)
		}
	})
}

// What cannot answer has a row that says so, and the others theirs.
func TestBenchOfANodeThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good := &benched{id: self, before: time.Second, words: 1}
		bad := &benched{id: other, before: time.Second, words: 1}
		b := &bench{submit: serve(good, bad), now: time.Now, lasts: 3500 * time.Millisecond, model: "m"}
		v, err := b.all(t.Context(), benchPlan{model: "m", nodes: []bus.NodeInfo{{ID: self, Name: "good"}, {ID: other, Name: "bad"}}, parallel: 1}, func(format string, _ ...any) {
			if strings.HasPrefix(format, "[%d of") { // the first row is there
				bad.fails = bus.Errorf(bus.CodeFailed, "the engine has no memory")
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if v.Rows[0].Error != "" || v.Rows[0].Answers != 3 || v.Rows[1].Error != "the engine has no memory" {
			t.Errorf("got %+v", v.Rows)
		}
		if text := ansi.Strip(v.String(0)); !strings.Contains(text, "bad    1          -        -            -") || !strings.Contains(text, "the engine has no memory") {
			t.Errorf("got\n%s", text)
		}
	})
}

// One that does not even load the model keeps nobody from measuring the others.
func TestBenchOfANodeThatLoadsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := &benched{id: self, fails: bus.Errorf(bus.CodeFailed, "the engine has no memory")}
		good := &benched{id: other, before: time.Second, words: 1}
		plan := benchPlan{model: "m", nodes: []bus.NodeInfo{{ID: self, Name: "bad"}, {ID: other, Name: "good"}}, parallel: 1}
		b := &bench{submit: serve(bad, good), now: time.Now, lasts: 3500 * time.Millisecond, model: "m"}
		quiet := func(string, ...any) {}
		if v, err := b.all(t.Context(), plan, quiet); err != nil || len(v.Rows) != 3 || v.Rows[0].Error != "the engine has no memory" || v.Rows[1].Answers != 3 {
			t.Errorf("got %+v, %v", v.Rows, err)
		}
		good.fails = bad.fails
		if v, err := b.all(t.Context(), plan, quiet); len(v.Rows) > 0 || err == nil || err.Error() != "the engine has no memory" {
			t.Errorf("where nobody loads it: %+v, %v", v.Rows, err)
		}
	})
}

// Where one node alone has the model, it is the swarm.
func TestBenchOfOneNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bench{submit: serve(&benched{id: self, before: time.Second, words: 1}), now: time.Now, lasts: 3500 * time.Millisecond, model: "m"}
		v, err := b.all(t.Context(), benchPlan{model: "m", nodes: []bus.NodeInfo{{ID: self, Name: "one"}}, parallel: 2}, func(string, ...any) {})
		if err != nil || len(v.Rows) != 2 || v.Rows[1].Name != "one" || v.Rows[1].Parallel != 2 || strings.Contains(v.String(0), "swarm") {
			t.Errorf("%v, %+v", err, v.Rows)
		}
	})
}

func TestBenchPlans(t *testing.T) {
	has := []bus.ModelInfo{{Name: "a:latest"}}
	s := bus.Status{Node: bus.NodeInfo{ID: self}, Nodes: []bus.NodeInfo{
		{ID: self, Name: "laptop", State: bus.NodeReady, Models: has, Slots: 2},
		{ID: other, Name: "tower", State: bus.NodeReady, Models: append(has, bus.ModelInfo{Name: "b", SizeBytes: 1}), Slots: 9, ModelSlots: 4, Busy: 1}, // and five of a plugin
		{ID: "myco-000000000001", Name: "gone", State: bus.NodeLost, Models: has, Slots: 9},
		{ID: "myco-000000000002", Name: "office", State: bus.NodeReady, Models: has, Slots: 9, Owner: &bus.OwnerUse{Closed: true, Why: "until 17:00"}},
		{ID: "myco-000000000003", Name: "bare", State: bus.NodeReady, Slots: 9},
	}}
	for _, c := range []struct {
		name          string
		cmd           benchCmd
		nodes, others string
		parallel      int
		err           string
	}{
		{"all that have it", benchCmd{Model: "a"}, "laptop tower", "", 6, ""},
		{"the swarm's choice", benchCmd{}, "tower", "", 4, ""},
		{"some alone", benchCmd{Model: "a", Node: []string{"tower"}, Parallel: new(3)}, "tower", "laptop", 3, ""},
		{"nobody has it", benchCmd{Model: "c"}, "", "", 0, "model 'c' not found: no node that takes questions has it; gone is lost, and not measured; office is closed until 17:00, and not measured"},
		{"one without it", benchCmd{Model: "a", Node: []string{"bare"}}, "", "", 0, "bare takes no questions to this model: it does not have 'a'"},
		{"one that is closed", benchCmd{Model: "a", Node: []string{"office"}}, "", "", 0, "office takes no questions to this model: it is closed until 17:00"},
		{"one that is lost", benchCmd{Model: "a", Node: []string{"gone"}}, "", "", 0, "gone takes no questions to this model: it is lost"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := c.cmd.plan(s)
			if c.err != "" {
				if err == nil || bus.AsError(err).Message != c.err {
					t.Fatalf("error %v, want %s", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			list := func(nodes []bus.NodeInfo) string {
				var names []string
				for _, n := range nodes {
					names = append(names, n.Name)
				}
				return strings.Join(names, " ")
			}
			if list(p.nodes) != c.nodes || list(p.others) != c.others || p.parallel != c.parallel {
				t.Errorf("nodes %s, others %s, %d at a time", list(p.nodes), list(p.others), p.parallel)
			}
			want := []string{"gone is lost, and not measured", "office is closed until 17:00, and not measured", "1 task under way: the figures are of what is left beside"}
			if alone := slices.Contains(p.before, "tower alone has b: there is no other to measure it beside"); alone != (c.nodes+c.others == "tower") {
				t.Errorf("said before: %q", p.before)
			}
			if diff := cmp.Diff(want, p.before); diff != "" && c.nodes != "tower" && c.others == "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestBenchIsShown(t *testing.T) {
	v := benchView{Model: "m", Seconds: 10, Rows: []benchRow{
		{Name: "miu", Parallel: 1, Answers: 8, TTFTMS: 52.1, TokensPerSecond: 100},
		{Name: "naru", Parallel: 1, TTFTMS: 10_000.2, More: true},
		{Name: "miu", Parallel: 4, Answers: 14, TTFTMS: 1430, TokensPerSecond: 200},
		{Name: "swarm", Parallel: 4, Answers: 16, TTFTMS: 5.678, TokensPerSecond: 250, By: map[string]int{"naru": 2, "miu": 4}},
	}}
	want := `NODE   AT A TIME  ANSWERS  FIRST TOKEN  TOKENS/S                            BY
miu    1          8        52ms         100       ██████████
naru   1          0        over 10s     0.0
miu    4          14       1.43s        200       ███████████████████
swarm  4          16       5.68ms       250       ████████████████████████  miu 67%, naru 33%

m, 4 at a time: the swarm makes 1.25 times the tokens/s of miu alone; a first token comes after 5.68ms, from miu alone after 1.43s.
`
	if diff := cmp.Diff(want, ansi.Strip(v.String(0))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for line := range strings.Lines(v.String(60)) {
		if !strings.Contains(line, "at a time:") && lipgloss.Width(line) > 60 {
			t.Errorf("too wide: %q", line)
		}
	}
}
