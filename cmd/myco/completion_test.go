package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
	kongcompletion "github.com/jotaen/kong-completion"
	"github.com/posener/complete"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Every predictor that a field names is there: without, a shell would get nothing at all.
func TestPredictors(t *testing.T) {
	t.Parallel()
	var c cli
	parser, err := kong.New(&c, kong.Vars{"version": ""})
	must(t, err)
	s := streams{in: strings.NewReader("")}
	_, err = kongcompletion.Command(parser, kongcompletion.WithPredictors(predictors(t.Context(), s)))
	must(t, err)
}

// What is offered is there once, however many nodes have it; of tasks it is the last ones, and of dead ones those that
// myco dead knows.
func TestWhatPredictorsOffer(t *testing.T) {
	d := setup(t)
	t.Setenv(envLine, "myco --data-dir "+d.dir+" ")
	at := time.Unix(1_700_000_000, 0)
	on(d, payload(bus.VerbTasks), func(struct{}) any {
		all := []bus.TaskInfo{
			{ID: "letter", State: bus.StateDead, Durable: true, Submitted: at.Add(time.Hour)},
			{ID: "waited", State: bus.StateDead, Submitted: at.Add(time.Hour)},
		}
		for i := range completionMost {
			all = append(all, bus.TaskInfo{ID: bus.TaskID(fmt.Sprint("t", i)), State: bus.StateDone, Submitted: at})
		}
		return all
	})
	offers := predictors(t.Context(), streams{in: strings.NewReader("")})
	for name, want := range map[string]string{"model": "a b c d gemma3:27b", "dead": "letter"} {
		if got := strings.Join(offers[name].Predict(complete.Args{}), " "); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	both := []bus.ModelInfo{{Name: "qwen3:8b"}, {Name: "gemma3:1b"}}
	if got := strings.Join(eachOnce([]bus.NodeInfo{{Models: both}, {Models: both}}, modelNames), " "); got != "gemma3:1b qwen3:8b" {
		t.Errorf("models of two nodes: %q, want each once", got)
	}
	if got := offers["task"].Predict(complete.Args{}); len(got) != completionMost || !slices.Contains(got, "letter") {
		t.Errorf("of tasks, %d are offered, without the last: %v", len(got), got)
	}
}

// What others have named is one word to a shell, and no command; what steers a terminal is not offered.
func TestCompletionsAreWords(t *testing.T) {
	t.Parallel()
	got := asWords([]string{"gemma3:1b", "my trip", "$(rm x)`y`;z", "a\"b'c\\d", "~/x,y=1", "漢字モデル:7b", "\x1b[2J", "two\nlines"})
	want := []string{"gemma3:1b", `my\ trip`, "\\$\\(rm\\ x\\)\\`y\\`\\;z", `a\"b\'c\\d`, "~/x,y=1", "漢字モデル:7b"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
