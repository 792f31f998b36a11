package sched_test

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

var update = flag.Bool("update", false, "write the golden files anew")

// situation is that of a queue host: what asks, what waits. Times are text, such as "300ms".
type situation struct {
	About    string
	Hold     string
	Reserved int
	Nodes    []struct {
		Info                     bus.NodeInfo
		State                    bus.NodeState
		Slots, Busy, Free, Batch int
		CPU, GPU, Pulls          int
		FreeGB                   int64
		Soon, Stay               string
		Stays                    map[string]string
		Ahead                    map[string][]string // how long each has run
	}
	Queues []struct {
		Key  bus.Key
		Used string
		// Tasks are the open ones, the oldest first.
		Tasks []struct {
			Waited     string
			Prompt     int
			Warm, From bus.NodeID
			Avoid      []bus.NodeID
		}
	}
}

func span(t *testing.T, s string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(cmp.Or(s, "0s"))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (sc *situation) seats(t *testing.T, class string) (out []sched.Seat) {
	t.Helper()
	for i := range sc.Nodes {
		n := &sc.Nodes[i]
		if n.Info.Types == nil {
			n.Info.Types = []string{bus.TypeInference}
		}
		s := sched.Seat{
			Node: n.Info.ID, State: cmp.Or(n.State, bus.NodeReady), Info: &n.Info, Class: class, Slots: n.Slots, Busy: n.Busy, Free: n.Free,
			Batch: n.Batch, CPU: n.CPU, GPU: n.GPU, FreeBytes: n.FreeGB << 30, Pulls: n.Pulls, Soon: span(t, n.Soon), Stay: span(t, n.Stay),
		}
		for model, d := range n.Stays {
			if s.Stays == nil {
				s.Stays = map[string]time.Duration{}
			}
			s.Stays[model] = span(t, d)
		}
		for model, tasks := range n.Ahead {
			a := sched.Ahead{Model: model, Tasks: len(tasks)}
			for _, ran := range tasks {
				a.Ran = max(a.Ran, span(t, ran))
			}
			s.Ahead = append(s.Ahead, a)
		}
		out = append(out, s)
	}
	return out
}

func (sc *situation) heads(t *testing.T) (out []sched.QueueHead) {
	t.Helper()
	for _, q := range sc.Queues {
		q.Key.Class = cmp.Or(q.Key.Class, bus.TypeInference)
		q.Key.Lane = cmp.Or(q.Key.Lane, bus.Interactive)
		q.Key.Priority = cmp.Or(q.Key.Priority, bus.DefaultPriority)
		h := sched.QueueHead{Key: q.Key, Open: len(q.Tasks), Used: span(t, q.Used)}
		for i, k := range q.Tasks {
			since := t0.Add(-span(t, k.Waited))
			if i == 0 {
				h.Oldest = since
			}
			h.Items = append(h.Items, sched.HeadItem{
				Since: since, Need: sched.Need{Prompt: k.Prompt, From: k.From}, Warm: k.Warm, Avoid: k.Avoid,
			})
		}
		out = append(out, h)
	}
	return out
}

// bids writes what each node offers for one task, the best first.
func bids(b *strings.Builder, h sched.QueueHead, x sched.HeadItem, seats []sched.Seat) {
	type line struct {
		bid   sched.Bid
		terms []sched.Term
		node  bus.NodeID
	}
	var lines []line
	tender := sched.Tender{Key: h.Key, Need: x.Need, Warm: x.Warm, Pace: sched.PaceOf(h.Key, seats)}
	for i := range seats {
		bid, terms := sched.Explain(&tender, &seats[i])
		lines = append(lines, line{bid, terms, seats[i].Node})
	}
	slices.SortStableFunc(lines, func(x, y line) int {
		if (x.bid.Not == "") != (y.bid.Not == "") {
			return strings.Compare(x.bid.Not, y.bid.Not)
		}
		return cmp.Compare(x.bid.Cost, y.bid.Cost)
	})
	for _, l := range lines {
		if l.bid.Not != "" {
			fmt.Fprintf(b, "    %s: not: %s\n", l.node, l.bid.Not)
			continue
		}
		fmt.Fprintf(b, "    %s: %v\n", l.node, l.bid.Cost.Round(time.Millisecond))
		for _, term := range l.terms {
			fmt.Fprintf(b, "        %v: %s\n", term.Cost.Round(time.Millisecond), term.Why)
		}
	}
}

// Each file of testdata/choose is a scenario, and beside it what is decided.
func TestChooseScenarios(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/choose/*.json")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d scenarios, error %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var sc situation
			if err := json.Unmarshal(data, &sc); err != nil {
				t.Fatal(err)
			}
			golden := strings.TrimSuffix(file, ".json") + ".golden"
			got := sc.decide(t)
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s\ngot:\n%s\nwant:\n%s", sc.About, got, want)
			}
		})
	}
}

func (sc *situation) decide(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintln(&b, sc.About)
	heads := sc.heads(t)
	for i, h := range heads {
		fmt.Fprintf(&b, "\nqueue %d: %s\n", i, h.Key)
		for k, x := range h.Items {
			if k > 0 && x.Need == h.Items[k-1].Need && x.Warm == h.Items[k-1].Warm {
				continue
			}
			fmt.Fprintf(&b, "  task %d.%d\n", i, k)
			bids(&b, h, x, sc.seats(t, h.Key.Class))
		}
	}
	class := bus.TypeInference
	if len(heads) > 0 {
		class = heads[0].Key.Class
	}
	seats := sc.seats(t, class)
	answers, again := sched.Match(heads, seats, sched.Rules{Hold: span(t, sc.Hold), Reserved: sc.Reserved}, t0)
	fmt.Fprintln(&b, "\ngiven:")
	for _, a := range answers {
		fmt.Fprintf(&b, "  task %d.%d to %s\n", a.Head, a.Item, seats[a.Seat].Node)
	}
	if len(answers) == 0 {
		fmt.Fprintln(&b, "  nothing")
	}
	if !again.IsZero() {
		fmt.Fprintf(&b, "held for %v more\n", again.Sub(t0))
	}
	return b.String()
}

func TestNeedInAHeader(t *testing.T) {
	t.Parallel()
	for _, n := range []sched.Need{{}, {Prompt: 12}, {Affinity: 1 << 63}, {Prompt: 1, Affinity: 255, From: a}, {Affinity: 1, Warm: "myco-00000000000a"}} {
		if got := sched.ParseNeed(n.String()); got != n {
			t.Errorf("%+v is %q, and read as %+v", n, n.String(), got)
		}
	}
	for _, s := range []string{"", "x", "1 2", "-1 0 a", "1 xyz a", "1  "} {
		if got := sched.ParseNeed(s); got != (sched.Need{}) {
			t.Errorf("%q is read as %+v", s, got)
		}
	}
	if got := sched.ParseNeed("3 a n1 more of a later version"); got != (sched.Need{Prompt: 3, Affinity: 10, From: "n1"}) {
		t.Errorf("a header of a later version is read as %+v", got)
	}
}
