package main

import (
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

func TestTasks(t *testing.T) {
	t.Parallel()
	d := setup(t)
	result, err := json.Marshal(paris)
	must(t, err)
	tasks := map[bus.TaskID]bus.TaskInfo{
		"t2": {ID: "t2", Type: bus.TypeInference, Model: "m:latest", State: bus.StateQueued, Durable: true, Copies: 2, Warning: "no node has m:latest"},
		"t1": {ID: "t1", Type: bus.TypeInference, Model: "m:latest", State: bus.StateDone, Attempts: 1, NodeID: other, Submitter: self, Result: result},
		"t3": {ID: "t3", Type: "echo", State: bus.StateDead, Attempts: 3, NodeID: self, Error: bus.Errorf(bus.CodeDead, "it crashed 3 nodes").WithHint("myco task show t3")},
		"t4": {ID: "t4", Type: "echo", State: bus.StateDone, Durable: true},
		"t6": {ID: "t6", Type: bus.TypeSearch, State: bus.StateDone, Result: json.RawMessage(`{"results":[{"title":"Spores","url":"https://b.example/"}]}`)},
		"t5": {ID: "t5", Type: "echo", State: bus.StateQueued, Position: 3, Wait: 4200 * time.Millisecond},
	}
	internal := bus.TaskInfo{ID: "t0", Type: bus.TypeShow, State: bus.StateDone, Attempts: 1, NodeID: other, Submitter: self}
	on(d, payload(bus.VerbTasks), func(struct{}) any { return []bus.TaskInfo{internal, tasks["t1"], tasks["t2"], tasks["t3"]} })
	find := func(r bus.TaskRequest) any {
		if i, ok := tasks[r.ID]; ok {
			return i
		}
		return bus.Errorf(bus.CodeNotFound, "no task %s", r.ID).WithHint("myco task ls")
	}
	on(d, payload(bus.VerbTask), find)
	on(d, payload(bus.VerbCancel), find)
	if out := d.myco("task", "show", "t4").want(t, 0).out; !strings.Contains(out, "durable   yes") {
		t.Errorf("a durable task that ended, of which no copies are kept any more:\n%s", out)
	}
	if out := d.myco("task", "show", "t6").want(t, 0).out; !strings.Contains(out, "result    1. Spores\n             https://b.example/\n") {
		t.Errorf("a search:\n%s", out)
	}
	golden(t, "task_ls.golden", d.myco("task", "ls").want(t, 0).out)
	golden(t, "task_ls_all.golden", d.myco("task", "ls", "--all").want(t, 0).out)
	for _, args := range [][]string{{"--json"}, {"--json", "--state", "done"}} {
		var few, all []map[string]any
		must(t, json.Unmarshal([]byte(d.myco(append([]string{"task", "ls"}, args...)...).want(t, 0).out), &few))
		must(t, json.Unmarshal([]byte(d.myco(append([]string{"task", "ls", "-a"}, args...)...).want(t, 0).out), &all))
		if len(all) != len(few)+1 || all[0]["id"] != "t0" || few[0]["id"] != "t1" {
			t.Errorf("%v lists %v, and with -a %v: want one more there, of type show", args, few, all)
		}
	}
	golden(t, "task_ls_json.golden", d.myco("task", "ls", "--state", "queued", "--state", "dead", "--json").want(t, 0).out)
	for _, id := range []string{"t1", "t2", "t3"} {
		golden(t, "task_show_"+id+".golden", d.myco("task", "show", id).want(t, 0).out)
		golden(t, "task_show_"+id+"_json.golden", d.myco("task", "show", id, "--json").want(t, 0).out)
	}
	if out := d.myco("task", "show", "t5").want(t, 0).out; !strings.Contains(out, "3 in the queue, for about 4.2 s") {
		t.Errorf("a task that waits:\n%s", out)
	}
	on(d, payload(bus.VerbWhy), func(r bus.TaskRequest) any {
		if r.ID != "t1" {
			return bus.Why{Task: r.ID, NodeID: self, Bids: []bus.NodeBid{}, Note: "nobody remembers"}
		}
		return bus.Why{
			Task: "t1", By: other, At: time.Unix(1, 0).UTC(), Waited: 12 * time.Millisecond, NodeID: self, Attempt: 1, PromptTokens: 300,
			Bids: []bus.NodeBid{
				{NodeID: self, Name: "a", Chosen: true, Bid: 1200 * time.Millisecond, Terms: []bus.BidTerm{
					{Why: "the model is loaded"}, {Cost: 1200 * time.Millisecond, Why: "writes 32 tokens"},
				}},
				{NodeID: "myco-eeeeeeeeeeee", Name: "c", Bid: time.Hour + 3*time.Second, Not: "its bid is higher", Terms: []bus.BidTerm{
					{Cost: 3 * time.Second, Why: "writes 32 tokens"}, {Cost: time.Hour, Why: "the demo engine bids last", Last: true},
				}},
				{NodeID: other, Name: "b", Not: "it does not have the model m:latest"},
			},
		}
	})
	for _, id := range []string{"t1", "t2"} {
		golden(t, "task_why_"+id+".golden", d.myco("task", "why", id).want(t, 0).out)
		golden(t, "task_why_"+id+"_json.golden", d.myco("task", "why", id, "--json").want(t, 0).out)
	}
	d.myco("task", "show", "t9").want(t, 3, "no task t9", "try: myco task ls")
	if o := d.myco("task", "cancel", "t3").want(t, 0); o.out != "t3 is dead, and stays so\n" {
		t.Errorf("cancel printed %q", o.out)
	}
}

func TestAttach(t *testing.T) {
	t.Parallel()
	d := setup(t)
	on(d, payload(bus.VerbTask), func(r bus.TaskRequest) any {
		if r.ID == "raw" {
			return bus.TaskInfo{ID: r.ID, Type: "echo"}
		}
		return bus.TaskInfo{ID: r.ID, Type: bus.TypeInference}
	})
	on(d, payload(bus.VerbAttach), func(r bus.AttachRequest) any {
		if r.ID == "raw" {
			d.send(r.Inbox, bus.Chunk{Attempt: 1, Data: []byte(`{"n":1}`)},
				bus.Chunk{End: &bus.TaskInfo{ID: r.ID, Type: "echo", State: bus.StateDone, Attempts: 1, Result: []byte(`"whole"`)}})
		} else {
			d.send(r.Inbox, piece(1, r.From, "it is."), done(1, paris))
		}
		return bus.SubmitReply{ID: r.ID}
	})
	if o := d.myco("task", "attach", "t1", "--from", "4").want(t, 0, "-- tower"); o.out != "it is.\n" {
		t.Errorf("attach printed %q", o.out)
	}
	if o := d.myco("task", "attach", "raw").want(t, 0); o.out != "{\"n\":1}\n\"whole\"\n" {
		t.Errorf("attach printed %q", o.out)
	}
	golden(t, "attach_json.golden", d.myco("task", "attach", "raw", "--json", "--stream").want(t, 0).out)
}

// However the daemon is started, who watched a task there is led back to it.
func TestHintsThatStartTheDaemon(t *testing.T) {
	t.Parallel()
	for hint, want := range map[string]bool{
		"mycod": true, "mycod --data-dir /x": true, "systemctl start mycod": true, "start mycod there, or unset MYCO_URL": true,
		"myco version, and compare it with: mycod --version": false, "myco doctor": false, "": false,
	} {
		if startsDaemon(hint) != want {
			t.Errorf("%q: %v", hint, !want)
		}
	}
}

// A task goes on without the daemon at which somebody watched it: the next command leads back to it.
func TestAttachToADaemonThatEnds(t *testing.T) {
	t.Parallel()
	d := setup(t)
	on(d, payload(bus.VerbTask), func(bus.TaskRequest) any {
		go d.end()
		return nil
	})
	d.myco("task", "attach", "t1").want(t, 4, "connection to the daemon is lost", "try: mycod --data-dir "+bus.ShellWord(d.dir)+", and then: myco task attach t1")
}

func TestAge(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for want, ago := range map[string]time.Duration{
		"0s": -time.Hour, "59s": 59 * time.Second, "1m": 119 * time.Second, "47h": 47*time.Hour + 59*time.Minute, "2d": 48 * time.Hour,
	} {
		if got := age(now.Add(-ago), now); got != want {
			t.Errorf("%v is %q, want %q", ago, got, want)
		}
	}
	if got := age(time.Time{}, now); got != "-" {
		t.Errorf("an unknown age is %q", got)
	}
}

// That nothing is listed tells what of, and how much is left out.
func TestNoTasksOfAKind(t *testing.T) {
	t.Parallel()
	d := setup(t)
	part := bus.TaskInfo{ID: "part", Type: bus.TypeInference, State: bus.StateDone, Part: true}
	var tasks atomic.Pointer[[]bus.TaskInfo]
	tasks.Store(new([]bus.TaskInfo))
	on(d, payload(bus.VerbTasks), func(struct{}) any { return *tasks.Load() })
	d.myco("task", "ls").want(t, 0, "no tasks\n")
	tasks.Store(&[]bus.TaskInfo{part, {ID: "mine", Type: bus.TypeInference, State: bus.StateDone}})
	d.myco("task", "ls", "--state", "failed", "--state", "dead").want(t, 0, "no task is failed or dead\n")
	d.myco("task", "ls", "--state", "waiting").want(t, 2, `--state "waiting" is no state of a task`, "try: one of queued, running, done, failed, cancelled, expired, dead")
	tasks.Store(&[]bus.TaskInfo{part, part})
	d.myco("task", "ls").want(t, 0, "no tasks but 2 of the parts of others, or of what nodes ask each other: myco task ls --all\n")
	if o := d.myco("task", "ls", "--json").want(t, 0); o.out != "[]\n" || o.err != "" {
		t.Errorf("printed %q, %q", o.out, o.err)
	}
}
