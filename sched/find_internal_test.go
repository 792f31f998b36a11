package sched

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Of more tasks than a list has, it has those that matter most: the open ones, the dead ones, and then the latest.
func TestListOfManyTasks(t *testing.T) {
	t.Parallel()
	o := New(Config{ID: "myco-00000000000a"}, Effects{Wire: &queueOfOne{}}).outbox
	at := time.Unix(1_700_000_000, 0)
	job := func(id string, i int) Job {
		return Job{Task: bus.Task{ID: bus.TaskID(id), Type: "work"}, Submitter: o.n.cfg.ID, Custodian: oneWorker, Accepted: at.Add(time.Duration(i) * time.Second)}
	}
	keep := func(id string, i int, state bus.TaskState) {
		j := job(id, i)
		o.kept[j.Task.ID] = &kept{job: j, final: &Final{Task: j.Task.ID, State: state}}
	}
	const tasks, few = 3000, 5
	for i := range tasks {
		keep(fmt.Sprintf("done%d", i), i, bus.StateDone)
	}
	for i := range tasks { // later ones, and less wanted
		part := job(fmt.Sprintf("part%d", i), tasks+i)
		part.Task.Part = true
		o.kept[part.Task.ID] = &kept{job: part, final: &Final{Task: part.Task.ID, State: bus.StateDone}}
	}
	if f := o.known("part0"); len(f) != 1 || !f[0].Info.Part {
		t.Errorf("of a part is told %+v", f)
	}
	for i := range few {
		keep(fmt.Sprintf("dead%d", i), -i, bus.StateDead)
		o.open(&entry{job: job(fmt.Sprintf("open%d", i), -i), out: o.newStream(true)})
	}
	listed := map[bus.TaskID]bus.TaskState{}
	for _, f := range o.known("") {
		listed[f.Info.ID] = f.Info.State
	}
	if len(listed) != bus.MaxListed {
		t.Errorf("%d tasks are listed, want %d", len(listed), bus.MaxListed)
	}
	for i := range few {
		if dead, open := listed[bus.TaskID(fmt.Sprintf("dead%d", i))], listed[bus.TaskID(fmt.Sprintf("open%d", i))]; dead != bus.StateDead || open != bus.StateQueued {
			t.Errorf("of the dead and the open tasks %d are listed: %q, %q", i, dead, open)
		}
	}
	for i := range bus.MaxListed - 2*few {
		if id := bus.TaskID(fmt.Sprintf("done%d", tasks-1-i)); listed[id] != bus.StateDone {
			t.Fatalf("%s is not listed, and is among the latest", id)
		}
	}
	if f := o.known("done0"); len(f) != 1 || f[0].Info.State != bus.StateDone {
		t.Errorf("of the oldest, by its id, is told %+v", f)
	}
}

// bounded is a wire that takes messages of 1 MiB at most, as NATS does, and a question of all nodes, which is this one.
type bounded struct {
	queueOfOne
	find, reply func(Msg)
}

func (b *bounded) Routes() map[bus.NodeID]bool { return map[bus.NodeID]bool{} }

func (b *bounded) Subscribe(_ string, fn func(Msg)) (stop func(), err error) {
	b.reply = fn
	return func() {}, nil
}

func (b *bounded) Publish(m Msg) error {
	switch {
	case len(m.Data) > 1<<20:
		return fmt.Errorf("%d bytes are too many", len(m.Data))
	case m.Subject == bus.SubjectFind:
		b.find(m)
	default:
		b.reply(m)
	}
	return nil
}

// Tasks that failed with long words are in a list as others are: they take more than one message.
func TestListOfLongErrors(t *testing.T) {
	t.Parallel()
	w := &bounded{}
	n := New(Config{ID: "myco-00000000000a"}, Effects{Wire: w})
	w.find = n.outbox.onFind
	if _, err := n.asker.start(); err != nil {
		t.Fatal(err)
	}
	for i := range bus.MaxListed {
		j := Job{Task: bus.Task{ID: bus.TaskID(fmt.Sprintf("t%d", i)), Type: "work"}, Submitter: n.cfg.ID, Custodian: oneWorker}
		e := bus.Errorf(bus.CodeDead, "gave up after 3 attempts in which the engine hung or failed; last: %s", strings.Repeat("x", 1000))
		n.outbox.kept[j.Task.ID] = &kept{job: j, final: &Final{Task: j.Task.ID, State: bus.StateDead, Error: e}}
	}
	if all, err := n.Tasks(t.Context()); err != nil || len(all) != bus.MaxListed {
		t.Errorf("%d tasks are listed, want %d: %v", len(all), bus.MaxListed, err)
	}
}

// Who cancels a task of another node hears its model as lists tell it, and not as its queue is called.
func TestFoundKeepsTheModel(t *testing.T) {
	t.Parallel()
	task := bus.Task{ID: "x", Type: bus.TypeInference, Model: "m"}
	f := found{Info: bus.TaskInfo{ID: task.ID, Model: task.Model}, Key: bus.KeyOf(&task)}
	if j := f.job(); j.info(bus.StateCancelled, nil).Model != "m" || j.key() != f.Key {
		t.Errorf("the model %q becomes %q, its key %v is %v", task.Model, j.Task.Model, f.Key, j.key())
	}
}
