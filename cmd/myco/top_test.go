package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/mycoswarm/mycoswarm/bus"
)

// topOf is a fixed look at a swarm of four.
func topOf() topView {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	lost := bus.NodeInfo{ID: "myco-ffffffffffff", Name: "attic", State: bus.NodeLost, Busy: 3, Slots: 4, Use: &bus.NodeUse{TokensPerSecond: 99}}
	old := bus.NodeInfo{ID: "myco-eeeeeeeeeeee", Name: "old", State: bus.NodeReady, Slots: 1}
	laptop, tower := nodes[0], nodes[1]
	laptop.Use = &bus.NodeUse{CPUPercent: 7.4, GPUPercent: -1}
	tower.Use = &bus.NodeUse{CPUPercent: 42.6, GPUPercent: 88, TokensPerSecond: 61.54}
	tower.Queues = []bus.QueueCount{
		{Lane: bus.Interactive, Class: "inference", Model: "gemma3:27b", Waiting: 5, Running: 2}, {Lane: bus.Batch, Class: "shout", Waiting: 1},
	}
	beats := map[bus.NodeID]bus.Heartbeat{
		other:   {Running: []bus.Running{{Task: "t1", Attempt: 1}, {Task: "t2", Attempt: 2}, {Task: "t3", Attempt: 1}}},
		lost.ID: {Running: []bus.Running{{Task: "t0", Attempt: 1}}},
	}
	begun := map[bus.TaskID]topRun{
		"t1": {at: now.Add(-2 * time.Second)}, "t2": {at: now.Add(-time.Second)}, "t3": {at: now.Add(-5 * time.Second), waited: 40 * time.Second, told: true},
	}
	known := map[bus.TaskID]bus.TaskInfo{"t2": {ID: "t2", Type: "inference", Model: "gemma3:27b", Submitted: now.Add(-time.Minute)}}
	return viewTop(bus.Status{Swarm: bus.SwarmInfo{ID: "s1", Name: "home", QueueHost: other, Term: 3}, Nodes: []bus.NodeInfo{lost, laptop, old, tower}},
		beats, begun, known, now)
}

func TestTopStaysAsItIs(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	v := newView(&out, []string{"TERM=dumb"}, false)
	for _, size := range [][2]int{{0, 0}, {100, 24}, {60, 16}, {40, 8}} {
		v.text(fmt.Sprintf("== %d x %d\n%s", size[0], size[1], topOf().render(size[0], size[1])))
	}
	v.json = true
	v.object(topOf())
	golden(t, "top.golden", out.String())
}

// Whatever the size of the terminal, the view fits it.
func TestTopFitsTheTerminal(t *testing.T) {
	t.Parallel()
	v := topOf()
	for i := range 30 {
		v.Tasks = append(v.Tasks, topTask{ID: bus.TaskID(fmt.Sprint(i)), Name: "tower"})
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

// A run counts from when it began, by the clock of its node, and not from the submission or from when top
// began to listen; a later attempt counts anew. Of a node that does not tell, it counts from the first word.
func TestTopTellsWaitingFromRunning(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	g := newTopGather(nil, func() time.Time { return now })
	wall := now.Add(3 * time.Hour).UnixMilli() // its clock is wrong
	beat := func(r bus.Running) bus.Heartbeat {
		return bus.Heartbeat{Node: other, WallMS: wall, Running: []bus.Running{r}}
	}
	view := func() topTask {
		s := bus.Status{Nodes: []bus.NodeInfo{{ID: other, State: bus.NodeReady}}}
		known := map[bus.TaskID]bus.TaskInfo{"t1": {ID: "t1", Submitted: now.Add(-9 * time.Hour)}}
		return viewTop(s, g.beats, g.begun, known, now).Tasks[0]
	}
	g.hear(beat(bus.Running{Task: "t1", Attempt: 1, BeganMS: wall - 7000, WaitedMS: 20_000}))
	if got := view(); got.RunningMS != 7000 || got.WaitedMS == nil || *got.WaitedMS != 20_000 || got.AgeMS != 27_000 {
		t.Errorf("%+v, want 7 s of running after 20 s of waiting", got)
	}
	now, wall = now.Add(time.Second), wall+1000
	g.hear(beat(bus.Running{Task: "t1", Attempt: 1, BeganMS: wall - 8000, WaitedMS: 20_000}))
	if got := view(); got.RunningMS != 8000 {
		t.Errorf("%+v, want 8 s of running a second later", got)
	}
	g.hear(beat(bus.Running{Task: "t1", Attempt: 2, BeganMS: wall, WaitedMS: 28_000}))
	if got := view(); got.RunningMS != 0 || *got.WaitedMS != 28_000 {
		t.Errorf("%+v, want that the second attempt counts anew", got)
	}
	g.hear(beat(bus.Running{Task: "t1", Attempt: 3}))
	now = now.Add(2 * time.Second)
	if got := view(); got.RunningMS != 2000 || got.WaitedMS != nil || got.AgeMS < 9*3600_000 {
		t.Errorf("%+v, want 2 s of running, and nothing of waiting, of a node that does not tell", got)
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
