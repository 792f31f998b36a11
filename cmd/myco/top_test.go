package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/gateway/overview"
)

// topOf is a fixed look at a swarm of four.
func topOf(t *testing.T) topView {
	t.Helper()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	lost := bus.NodeInfo{ID: "myco-ffffffffffff", Name: "attic", State: bus.NodeLost, Busy: 3, Slots: 4, Use: &bus.NodeUse{TokensPerSecond: 99}}
	old := bus.NodeInfo{ID: "myco-eeeeeeeeeeee", Name: "old", State: bus.NodeReady, Slots: 1, Models: []bus.ModelInfo{{Name: "m"}}}
	laptop, tower := nodes[0], nodes[1]
	laptop.Use = &bus.NodeUse{CPUPercent: 7.4, GPUPercent: -1}
	tower.Use = &bus.NodeUse{CPUPercent: 42.6, GPUPercent: 88, TokensPerSecond: 61.54}
	tower.Queues = []bus.QueueCount{
		{Lane: bus.Interactive, Class: "inference", Model: "gemma3:27b", Waiting: 5, Running: 2}, {Lane: bus.Batch, Class: "shout", Waiting: 1},
	}
	ago := 5 * time.Second
	g := newTopGather(nil, func() time.Time { return now.Add(-ago) })
	t1, t2 := bus.Running{Task: "t1", Attempt: 1}, bus.Running{Task: "t2", Attempt: 2}
	t3 := bus.Running{Task: "t3", Attempt: 1, BeganMS: 1_000_000, WaitedMS: 40_000}
	g.Hear(bus.Heartbeat{Node: lost.ID, Running: []bus.Running{{Task: "t0", Attempt: 1}}})
	for _, then := range []struct {
		ago     time.Duration
		running []bus.Running
	}{{5 * time.Second, []bus.Running{t3}}, {2 * time.Second, []bus.Running{t1, t3}}, {time.Second, []bus.Running{t1, t2, t3}}} {
		ago = then.ago
		g.Hear(bus.Heartbeat{Node: other, WallMS: 1_000_000, Running: then.running})
	}
	ago = 0
	v, err := g.Look(t.Context(), told{
		bus.Status{Swarm: bus.SwarmInfo{ID: "s1", Name: "home", QueueHost: other, Term: 3}, Nodes: []bus.NodeInfo{lost, laptop, old, tower}},
		[]bus.TaskInfo{{ID: "t2", Type: "inference", Model: "gemma3:27b", Submitted: now.Add(-time.Minute)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return topView{v}
}

// told is a swarm that tells this.
type told struct {
	status bus.Status
	tasks  []bus.TaskInfo
}

func (s told) Status(context.Context) (bus.Status, error)    { return s.status, nil }
func (s told) Tasks(context.Context) ([]bus.TaskInfo, error) { return s.tasks, nil }

func TestTopStaysAsItIs(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	v := newView(&out, []string{"TERM=dumb"}, false)
	for _, size := range [][2]int{{0, 0}, {100, 24}, {60, 16}, {40, 8}} {
		v.text(fmt.Sprintf("== %d x %d\n%s", size[0], size[1], topOf(t).render(size[0], size[1])))
	}
	v.json = true
	v.object(topOf(t))
	golden(t, "top.golden", out.String())
}

// Whatever the size of the terminal, the view fits it.
func TestTopFitsTheTerminal(t *testing.T) {
	t.Parallel()
	v := topOf(t)
	for i := range 30 {
		v.Tasks = append(v.Tasks, overview.Task{ID: bus.TaskID(fmt.Sprint(i)), Name: "tower"})
		v.Queues = append(v.Queues, bus.QueueCount{Lane: bus.Batch, Class: "x"})
	}
	for height := 1; height < 90; height++ {
		for _, width := range []int{1, 20, 200} {
			text := v.render(width, height)
			rows := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
			if len(rows) > height {
				t.Errorf("%d rows on a terminal of %d", len(rows), height)
			}
			for _, r := range rows {
				if ansi.StringWidth(r) > width {
					t.Errorf("a line of %d columns on a terminal of %d: %q", ansi.StringWidth(r), width, r)
				}
			}
		}
	}
}

func TestTopSnapshot(t *testing.T) {
	t.Parallel()
	d := setup(t)
	o := d.myco("top").want(t, 0)
	if !strings.Contains(o.out, "home  2 of 2 nodes ready") || !strings.Contains(o.out, "gemma3:27b +4") {
		t.Errorf("printed %s", o.out)
	}
}

// One look names what runs on every node, and not on the one alone that was heard first.
func TestTopSnapshotNamesTheTasksOfAll(t *testing.T) {
	t.Parallel()
	d := setup(t)
	on(d, bus.SubjectPayloadRPC(self, bus.VerbTasks), func(struct{}) any {
		return []bus.TaskInfo{{ID: "t1", Type: "inference", Model: "gemma3:27b"}, {ID: "t2", Type: "shout"}}
	})
	var asked atomic.Int32
	_, err := d.nc.Subscribe(bus.SubjectRPC(self, bus.VerbStatus), func(*nats.Msg) { asked.Add(1) })
	must(t, err)
	beat := func(node bus.NodeID, task bus.TaskID) {
		b, err := json.Marshal(bus.Heartbeat{Node: node, Running: []bus.Running{{Task: task, Attempt: 1}}})
		must(t, err)
		must(t, d.nc.Publish(bus.SubjectHeartbeat(node), b))
	}
	each := time.NewTicker(10 * time.Millisecond)
	defer each.Stop()
	printed := make(chan outcome, 1)
	go func() { printed <- d.myco("top") }()
	for {
		select {
		case o := <-printed:
			for _, want := range []string{"t1    tower   inference  gemma3:27b", "t2    laptop  shout"} {
				if o.want(t, 0); !strings.Contains(o.out, want) {
					t.Errorf("there is no %q in\n%s", want, o.out)
				}
			}
			return
		case <-each.C:
			if beat(other, "t1"); asked.Load() > 2 { // it has heard of the first, and asked since
				beat(self, "t2")
			}
		}
	}
}

// One look fits the terminal as well, where it cannot be live: no key leaves what is over.
func TestTopSnapshotFitsTheTerminal(t *testing.T) {
	t.Parallel()
	d := setup(t)
	var out, errs strings.Builder
	s := streams{in: strings.NewReader(""), out: &out, err: &errs, columns: func() int { return 30 }}
	if code := run(t.Context(), []string{"--data-dir", d.dir, "top"}, s); code != 0 || strings.Contains(out.String(), "leaves") {
		t.Errorf("exit code %d, %s%s", code, &out, &errs)
	}
	for line := range strings.Lines(out.String()) {
		if n := ansi.StringWidth(strings.TrimSuffix(line, "\n")); n > 30 {
			t.Errorf("a line of %d columns on a terminal of 30: %q", n, line)
		}
	}
}

// The keys that people try to leave it with do, and Ctrl-Z puts it aside.
func TestTopObeysItsKeys(t *testing.T) {
	t.Parallel()
	keys := map[tea.Msg]tea.KeyPressMsg{
		tea.QuitMsg{}: {Code: 'q', Text: "q"}, tea.SuspendMsg{}: {Code: 'z', Mod: tea.ModCtrl},
	}
	for want, key := range keys {
		_, do := topModel{}.Update(key)
		if do == nil || do() != want {
			t.Errorf("%s does not do %T", key, want)
		}
	}
	if _, do := (topModel{}).Update(tea.KeyPressMsg{Code: 'x', Text: "x"}); do != nil {
		t.Error("x does something")
	}
}
