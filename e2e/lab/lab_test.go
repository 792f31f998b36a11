package lab_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/lab"
	"github.com/mycoswarm/mycoswarm/internal/protect"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The same seed plans the same run, another one another.
func TestPlansReplay(t *testing.T) {
	t.Parallel()
	kills := func(seed uint64) []lab.Step { return lab.Kills(lab.Rand(seed, 1), 5, 50) }
	chaos := func(seed uint64) []lab.Step { return lab.Chaos(lab.Rand(seed, 1), 5, time.Minute) }
	if diff := cmp.Diff(kills(7), kills(7)) + cmp.Diff(chaos(7), chaos(7)); diff != "" {
		t.Error(diff)
	}
	if cmp.Equal(kills(7), kills(8)) || cmp.Equal(chaos(7), chaos(8)) {
		t.Error("two seeds plan the same run")
	}
	revoked := 0
	for _, s := range chaos(7) {
		if s.Act == lab.Revoke {
			revoked++
		}
		if s.Group == 0 || s.Group >= 31 || s.Act == "" {
			t.Errorf("step %+v", s)
		}
	}
	if revoked != 1 {
		t.Errorf("%d nodes are put out, want 1", revoked)
	}
	if got, want := lab.Replay("TestX/fixed", 7), "LAB_SEED=7 go test -tags e2e -count=1 -v -run '^TestX$/^fixed$' ./e2e"; got != want {
		t.Errorf("replay with %s, want %s", got, want)
	}
}

// The audit passes a run in which all went well, and names each thing that did not.
func TestAudit(t *testing.T) {
	t.Parallel()
	info := func(state bus.TaskState, text string) bus.TaskInfo {
		return bus.TaskInfo{ID: "x", State: state, Attempts: 1, Result: []byte(`{"text":"` + text + `"}`)}
	}
	at := time.Now().Add(-time.Hour) // long before anything is hurt
	ran := func(engines ...string) (runs []engine.Run) {
		for i, e := range engines {
			start := at.Add(time.Duration(i) * time.Minute)
			runs = append(runs, engine.Run{Engine: e, Marker: "x", Start: start, End: start.Add(time.Second), Outcome: engine.Finished})
		}
		return runs
	}
	done := info(bus.StateDone, "done x")
	for _, c := range []struct {
		name  string
		entry lab.Entry
		seen  []bus.TaskInfo
		runs  []engine.Run
		hurt  string
		want  string // empty: all is well
	}{
		{name: "done", entry: lab.Entry{Durable: true, Accepted: true}, seen: []bus.TaskInfo{done, done}, runs: ran("a")},
		{name: "open", entry: lab.Entry{Durable: true, Accepted: true}, seen: []bus.TaskInfo{info(bus.StateQueued, ""), done}, want: "not one end"},
		{name: "unknown to one", entry: lab.Entry{Durable: true, Accepted: true}, seen: []bus.TaskInfo{done, {}}, want: "not one end"},
		{name: "never accepted", entry: lab.Entry{Durable: true, Err: errors.New("refused")}, seen: nil},
		{name: "other answer", entry: lab.Entry{Durable: true, Accepted: true}, seen: []bus.TaskInfo{info(bus.StateDone, "done y")}, want: "text"},
		{name: "failed", entry: lab.Entry{Durable: true, Accepted: true}, seen: []bus.TaskInfo{info(bus.StateFailed, "")}, want: "ended as failed"},
		{name: "cancelled", entry: lab.Entry{Durable: true, Accepted: true, May: []bus.TaskState{bus.StateCancelled}}, seen: []bus.TaskInfo{info(bus.StateCancelled, "")}},
		{name: "run twice", entry: lab.Entry{Durable: true, Accepted: true}, seen: []bus.TaskInfo{done}, runs: ran("a", "b"), want: "began on b"},
		{name: "attached", entry: lab.Entry{Accepted: true, Ends: 1, State: bus.StateDone, Text: "done x"}, runs: ran("a")},
		{name: "no end", entry: lab.Entry{Accepted: true, Node: "a", Err: errors.New("gone")}, want: "0 ends"},
		{name: "no end, its node was killed", entry: lab.Entry{Accepted: true, Node: "a", Err: errors.New("gone")}, hurt: "a"},
		{name: "two ends", entry: lab.Entry{Accepted: true, Ends: 2, State: bus.StateDone, Text: "done x"}, want: "2 ends"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var b lab.Book
			c.entry.ID = "x"
			b.Open(c.entry)
			if c.hurt != "" {
				b.Hurt(c.hurt, lab.Kill)
			}
			b.Note("x", func(*lab.Entry) {})
			var seen []lab.Seen
			for i, s := range c.seen {
				one := lab.Seen{Node: string(rune('a' + i)), Tasks: map[bus.TaskID]bus.TaskInfo{}}
				if s.ID != "" {
					one.Tasks["x"] = s
				}
				seen = append(seen, one)
			}
			r := lab.Audit(&b, seen, map[string][]engine.Run{"x": c.runs}, lab.Rules{})
			if got := strings.Join(r.Problems, "\n"); c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("problems %q, want %q", got, c.want)
			}
		})
	}
}

// A durable task that ended at a node which was put out is gone with it where the other that kept it has left, and only there.
func TestAuditOfWhatIsGone(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		event bus.EventKind
		leave bool
		lost  int
	}{
		{"ended", bus.EventDone, true, 0},
		{"ended, both ends refused", bus.EventSuperseded, true, 0},
		{"not ended", bus.EventStarted, true, 1},
		{"nobody left", bus.EventDone, false, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var b lab.Book
			b.Open(lab.Entry{ID: "x", Durable: true, Accepted: true, Copies: 2, Node: "a"})
			b.Event(bus.Event{Task: "x", Kind: c.event})
			b.Hurt("a", lab.Revoke)
			if c.leave {
				b.Hurt("b", lab.Leave)
			}
			if r := lab.Audit(&b, []lab.Seen{{Node: "c"}}, nil, lab.Rules{}); r.Lost != c.lost || r.Gone != 1-c.lost {
				t.Errorf("%d lost, %d gone: %v", r.Lost, r.Gone, r.Problems)
			}
		})
	}
}

// A row tells its test, and what happened without its protections.
func TestPage(t *testing.T) {
	t.Parallel()
	p := lab.Page{Faults: []lab.Fault{
		{Event: "a flood", Promise: "refused", Test: "TestFlood", Count: 2, Figure: "546 accepted", Without: []protect.Protection{"one", "two"}, Harm: "a|b, <nil>"},
		{Event: "a clock", Promise: "none", Test: "TestClock", Package: "./sched"},
	}}
	for _, want := range []string{
		"| a flood | refused | `TestFlood` | 2 | 546 accepted | *one*, *two*: a\\|b, \\<nil> |\n",
		"| a clock | none | `TestClock` in sched |  |  |  |\n",
	} {
		if got := p.Markdown(); !strings.Contains(got, want) {
			t.Errorf("no line %q in\n%s", want, got)
		}
	}
}
