package main

import (
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// A task is meant by its id, and else by the beginning of its id where no other begins like this.
func TestTaskByTheBeginningOfItsID(t *testing.T) {
	t.Parallel()
	d := setup(t)
	tasks := []bus.TaskInfo{
		{ID: "abc1", Type: "echo", State: bus.StateDone},
		{ID: "abc2", Type: "echo", State: bus.StateDead, Durable: true},
		{ID: "abc22", Type: "echo", State: bus.StateDead, Durable: true},
		{ID: "xyz", Type: "echo", State: bus.StateDead, Durable: true},
		{ID: "msg_of_mine", Type: "echo", State: bus.StateDone},
	}
	on(d, payload(bus.VerbTasks), func(struct{}) any { return tasks })
	find := func(id bus.TaskID) any {
		for _, i := range tasks {
			if i.ID == id {
				return i
			}
		}
		return bus.Errorf(bus.CodeNotFound, "no node of the swarm knows task %s", id).WithHint("myco task ls")
	}
	ask := func(r bus.TaskRequest) any { return find(r.ID) }
	on(d, payload(bus.VerbTask), ask)
	on(d, payload(bus.VerbCancel), ask)
	on(d, payload(bus.VerbWhy), func(r bus.TaskRequest) any {
		if e, unknown := find(r.ID).(*bus.Error); unknown {
			return e
		}
		return bus.Why{Task: r.ID, Bids: []bus.NodeBid{}}
	})
	on(d, payload(bus.VerbRemove), func(r bus.DeadRequest) any {
		if e, unknown := find(r.ID).(*bus.Error); unknown {
			return e
		}
		return struct{}{}
	})
	for _, args := range [][]string{
		{"task", "show", "x"},
		{"task", "why", "xy"},
		{"task", "cancel", "xyz"},
		{"dead", "show", "x"},
		{"dead", "rm", "xy"},
		{"task", "why", "chatcmpl-xyz"},
		{"task", "show", "cmpl-xyz"},
		{"task", "show", "msg_xyz"},
		{"task", "why", "req_xyz"},
	} {
		if o := d.myco(args...).want(t, 0).out; !strings.Contains(o, "xyz") {
			t.Errorf("%v: %q, want it to be about xyz", args, o)
		}
	}
	if o := d.myco("task", "show", "abc2").want(t, 0).out; strings.Contains(o, "abc22") {
		t.Errorf("a whole id is not that of the task: %q", o)
	}
	if o := d.myco("task", "show", "msg_o").want(t, 0).out; !strings.Contains(o, "msg_of_mine") {
		t.Errorf("an id that looks like that of an answer: %q", o)
	}
	d.myco("task", "cancel", "ab").want(t, 2, `3 tasks begin with "ab": abc1, abc2, abc22`, "try: myco task ls")
	d.myco("task", "show", "q").want(t, 3, "no node of the swarm knows task q", "try: myco task ls")
	d.myco("dead", "rm", "q").want(t, 3, "no node of the swarm knows task q", "try: myco dead ls")
	if o := d.myco("dead").want(t, 0).out; !strings.Contains(o, "xyz") {
		t.Errorf("dead without more does not list: %q", o)
	}
	if o := d.myco("task").want(t, 0).out; !strings.Contains(o, "abc1") {
		t.Errorf("task without more does not list: %q", o)
	}
}

// What has ended of something larger is not listed, unless all is asked for. A list that is cut lacks nothing but such.
func TestListWithoutParts(t *testing.T) {
	t.Parallel()
	d := setup(t)
	tasks := []bus.TaskInfo{{ID: "mine", Type: "inference", State: bus.StateDone}, {ID: "runs", Type: "inference", State: bus.StateRunning, Part: true}}
	for len(tasks) < bus.MaxListed {
		tasks = append(tasks, bus.TaskInfo{ID: "part", Type: "inference", State: bus.StateDone, Part: true})
	}
	on(d, payload(bus.VerbTasks), func(struct{}) any { return tasks })
	if o := d.myco("task", "ls").want(t, 0); !strings.Contains(o.out, "mine") || !strings.Contains(o.out, "runs") || strings.Contains(o.out, "part") || o.err != "" {
		t.Errorf("lists\n%s%s", o.out, o.err)
	}
	if o := d.myco("task", "ls", "--all").want(t, 0, "lists 1000").out; !strings.Contains(o, "part") {
		t.Errorf("of all lists\n%s", o)
	}
}

// A list that may lack some says so, and a short one does not.
func TestListOfManyTasks(t *testing.T) {
	t.Parallel()
	tasks := make([]bus.TaskInfo, bus.MaxListed)
	for i := range tasks {
		tasks[i] = bus.TaskInfo{ID: bus.NewTaskID(), Type: "echo", State: bus.StateDone}
	}
	for _, c := range []struct {
		tasks []bus.TaskInfo
		told  bool
	}{{tasks, true}, {tasks[1:], false}} {
		d := setup(t)
		on(d, payload(bus.VerbTasks), func(struct{}) any { return c.tasks })
		r := d.myco("task", "ls").want(t, 0)
		if told := strings.Contains(r.err, "a node with many tasks lists 1000"); told != c.told {
			t.Errorf("of %d tasks: %q", len(c.tasks), r.err)
		}
	}
}
