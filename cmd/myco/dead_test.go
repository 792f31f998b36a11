package main

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

func TestDead(t *testing.T) {
	t.Parallel()
	d := setup(t)
	tasks := map[bus.TaskID]bus.TaskInfo{
		"t1": {
			ID: "t1", Type: "echo", State: bus.StateDead, Attempts: 4, Durable: true, NodeID: other, Submitter: self,
			Error: bus.Errorf(bus.CodeDead, "gave up: it ended with its worker too often"),
		},
		"t2": {ID: "t2", Type: "echo", State: bus.StateDead, Durable: false}, // somebody waited for it, and knows
		"t3": {ID: "t3", Type: "echo", State: bus.StateDone, Durable: true},
	}
	on(d, payload(bus.VerbTasks), func(struct{}) any { return []bus.TaskInfo{tasks["t1"], tasks["t2"], tasks["t3"]} })
	on(d, payload(bus.VerbTask), func(r bus.TaskRequest) any {
		if t, ok := tasks[r.ID]; ok {
			return t
		}
		return bus.Errorf(bus.CodeNotFound, "no node of the swarm knows task %s", r.ID).WithHint("myco task ls")
	})
	asked := make(chan bus.DeadRequest, 8)
	on(d, payload(bus.VerbRetry), func(r bus.DeadRequest) any {
		asked <- r
		if r.ID == "t9" {
			return bus.Errorf(bus.CodeNotFound, "no dead task t9").WithHint("myco dead ls")
		}
		return bus.Receipt{ID: "new", Accepted: true, Warning: "waits: no node has it"}
	})
	on(d, payload(bus.VerbRemove), func(r bus.DeadRequest) any { asked <- r; return struct{}{} })

	golden(t, "dead_ls.golden", d.myco("dead", "ls").want(t, 0).out)
	if o := d.myco("dead", "ls", "--json").want(t, 0).out; strings.Count(o, `"id"`) != 1 || !strings.Contains(o, `"t1"`) {
		t.Errorf("dead ls --json: %s", o)
	}
	if o := d.myco("dead", "show", "t1").want(t, 0).out; !strings.Contains(o, "gave up") {
		t.Errorf("dead show:\n%s", o)
	}
	d.myco("dead", "show", "t9").want(t, 3, "no node of the swarm knows task t9", "try: myco dead ls")
	d.myco("dead", "show", "t3").want(t, 1, "t3 is done, not dead", "try: myco task show t3")
	if o := d.myco("dead", "retry", "t1").want(t, 0).out; o != "t1 goes again as new; it waits: no node has it\n" {
		t.Errorf("dead retry printed %q", o)
	}
	if o := d.myco("dead", "retry", "--all", "--json").want(t, 0).out; !strings.Contains(o, `{"id":"t1","task_id":"new"`) {
		t.Errorf("dead retry --json printed %q", o)
	}
	if o := d.myco("dead", "rm", "t1").want(t, 0).out; o != "t1 is removed\n" {
		t.Errorf("dead rm printed %q", o)
	}
	for _, want := range []bus.TaskID{"t1", "t1", "t1"} {
		if r := <-asked; r.ID != want || r.Here {
			t.Errorf("asked for %+v, want %s, wherever it is", r, want)
		}
	}
	d.myco("dead", "retry", "t9").want(t, 3, "no dead task t9", "try: myco dead ls")
	if o := d.myco("dead", "retry", "t9", "t1").want(t, 3, "t9: no dead task t9").out; !strings.Contains(o, "t1 goes again") {
		t.Errorf("one that fails keeps the others back: %q", o)
	}
	if o := d.myco("dead", "retry", "--quiet", "t9", "t9").want(t, 3); strings.Count(o.err, "myco: t9: no dead task t9\n") != 2 {
		t.Errorf("of two that fail it says %q", o.err)
	}
	d.myco("dead", "rm").want(t, 2, "name dead tasks", "try: myco dead ls")
	d.myco("dead", "rm", "t1", "--all").want(t, 2, "name dead tasks")
}

// All of them go only where somebody said so: a script that passes --all alone removes nothing.
func TestRemovingAllTheDeadIsAskedFor(t *testing.T) {
	t.Parallel()
	d := setup(t)
	at := time.Unix(1_700_000_000, 0)
	on(d, payload(bus.VerbTasks), func(struct{}) any {
		return []bus.TaskInfo{
			{ID: "young", Type: "echo", State: bus.StateDead, Durable: true, Submitted: at.Add(time.Hour)},
			{ID: "old", Type: "echo", State: bus.StateDead, Durable: true, Submitted: at},
		}
	})
	on(d, payload(bus.VerbTask), func(r bus.TaskRequest) any { return bus.TaskInfo{ID: r.ID, State: bus.StateDead, Durable: true} })
	var removed atomic.Int32
	on(d, payload(bus.VerbRemove), func(bus.DeadRequest) any { removed.Add(1); return struct{}{} })

	if o := d.myco("dead", "ls").want(t, 0).out; strings.Index(o, "old") > strings.Index(o, "young") {
		t.Errorf("the oldest is not the first:\n%s", o)
	}
	d.mycoIn(t.Context(), "y\n", "dead", "rm", "--all").want(t, 2, "nothing was changed", "no terminal", "try: myco dead rm --all --yes")
	d.mycoIn(t.Context(), "y\n", "dead", "rm", "--all", "--force", "--json").want(t, 2, "try: myco dead rm --all --yes --force")
	if n := removed.Load(); n != 0 {
		t.Errorf("%d were removed without --yes", n)
	}
	if o := d.myco("dead", "rm", "--all", "--yes").want(t, 0).out; o != "old is removed\nyoung is removed\n" {
		t.Errorf("dead rm --all --yes printed %q", o)
	}
	if n := removed.Load(); n != 2 {
		t.Errorf("%d were removed, want both", n)
	}
}

func TestNothingIsDead(t *testing.T) {
	t.Parallel()
	d := setup(t)
	on(d, payload(bus.VerbTasks), func(struct{}) any { return []bus.TaskInfo{{ID: "t2", State: bus.StateDead}} })
	for _, args := range [][]string{{"ls"}, {"rm", "--all"}, {"retry", "--all"}} {
		d.myco(append([]string{"dead"}, args...)...).want(t, 0, "no durable task was given up")
	}
}

func TestDrain(t *testing.T) {
	t.Parallel()
	d := setup(t)
	asked := make(chan bus.DrainRequest, 4)
	on(d, payload(bus.VerbDrain), func(r bus.DrainRequest) any {
		asked <- r
		n := nodes[1]
		n.State, n.Busy = bus.NodeDraining, 1
		if r.Off {
			n.State = bus.NodeReady
		}
		return n
	})
	if o := d.myco("drain", "tower", "--no-wait").want(t, 0).out; o != "tower takes no more work; 1 task still there\n" {
		t.Errorf("drain printed %q", o)
	}
	if r := <-asked; r.Node != other || r.Off {
		t.Errorf("asked for %+v", r)
	}
	if o := d.myco("drain", "tower", "--off", "--json").want(t, 0).out; !strings.Contains(o, `"state":"ready"`) {
		t.Errorf("drain --off --json printed %q", o)
	}
	if r := <-asked; r.Node != other || !r.Off {
		t.Errorf("asked for %+v", r)
	}
	d.myco("drain", "nobody").want(t, 3, "nobody")
}
