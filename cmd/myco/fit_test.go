package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

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

// Tables fit the terminal, whatever its width, lose nothing on a wide one, and no program sees a difference.
func TestTablesFitTheTerminal(t *testing.T) {
	t.Parallel()
	d := trusting(t)
	on(d, payload(bus.VerbTasks), func(struct{}) any {
		return []bus.TaskInfo{
			{ID: "JmGGvp3Ux6TNW8pyJCZNc4", Type: "inference", Model: "qwen2.5-coder:7b-instruct-q4_K_M", State: bus.StateRunning, Attempts: 1, NodeID: other},
			{ID: "JmGGvp3Ux6TNW8pyJCZNc5", Type: "inference", Model: "日本語のモデル:latest", State: bus.StateDead, Attempts: 3, NodeID: "myco-cccccccccccc"},
		}
	})
	var at strings.Builder
	for _, args := range [][]string{{"swarm"}, {"nodes"}, {"models"}, {"task", "ls"}} {
		whole := d.myco(args...).want(t, 0).out
		for _, columns := range []int{1, 5, 20, 40, 60, 80, 200} {
			o := d.mycoAt(columns, args...).want(t, 0)
			for line := range strings.Lines(o.out) {
				if w := ansi.StringWidth(strings.TrimSuffix(line, "\n")); w > columns {
					t.Errorf("%v: a line of %d columns on a terminal of %d: %q", args, w, columns, line)
				}
			}
			if columns == 200 && o.out != whole || columns < 60 && !strings.Contains(o.out, cutMark) {
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

// The id of a swarm, of 64 letters, is what makes the title too long.
func TestTitleFitsTheTerminal(t *testing.T) {
	t.Parallel()
	v := swarmView{Swarm: bus.SwarmInfo{ID: strings.Repeat("0123456789abcdef", 4), Name: "home", QueueHost: self, Term: 7}}
	title, _, _ := strings.Cut(ansi.Strip(swarmTable(v, "", 80)), "\n")
	if want := "swarm home (0123456789ab…), queue host " + string(self) + ", term 7"; title != want {
		t.Errorf("%q, want %q", title, want)
	}
}
