package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// A model that is pulled on all nodes is pulled on those that can, though one of them fails.
func TestPullOnAll(t *testing.T) {
	t.Parallel()
	d := setup(t)
	three := append(slices.Clone(nodes), bus.NodeInfo{ID: "myco-00000000000c", Name: "mini", State: bus.NodeReady, Types: []string{bus.TypePull}})
	three[1].Types = append(slices.Clone(three[1].Types), bus.TypePull)
	three = append(three, bus.NodeInfo{ID: "myco-00000000000d", Name: "attic", State: bus.NodeLost, Types: []string{bus.TypePull}})
	d.nodes.Store(&three)
	asked := make(chan bus.NodeID, 10)
	on(d, payload(bus.VerbSubmit), func(r bus.SubmitRequest) any {
		asked <- r.Task.Node
		end := bus.TaskInfo{ID: r.Task.ID, State: bus.StateDone}
		if r.Task.Node == other {
			end.State, end.Error = bus.StateFailed, bus.Errorf(bus.CodeNotFound, "the registry has no m")
		}
		d.send(r.Inbox, bus.Chunk{End: &end})
		return bus.SubmitReply{ID: r.Task.ID}
	})
	o := d.myco("pull", "m", "--all").want(t, 3, "laptop is left out: it has no Ollama that answers", "attic is left out: it is lost", "tower: the registry has no m", "m is not on tower")
	if o.out != "m is on mini\n" {
		t.Errorf("printed %q", o.out)
	}
	if len(asked) != 2 || <-asked != other {
		t.Error("not all were asked")
	}
	want := `{"status":"kept","model":"m","node_id":"myco-00000000000d","name":"attic","why":"is lost"}`
	if o := d.myco("--json", "pull", "m", "--all"); !strings.Contains(o.out, want+"\n") {
		t.Errorf("--json printed %q, want %s", o.out, want)
	}
	d.myco("pull", "m", "--all", "--node", "tower").want(t, 2, "--all")
	three[1].DiskFull, three[2].DiskFull = true, true
	if o := d.myco("pull", "m", "--all").want(t, 3, "no node has room for m", "--node NODE"); strings.Contains(o.out, "is on") {
		t.Errorf("printed %q", o.out)
	}
}

// A node behind a model's name is for programs over HTTP: nothing of that name is pulled or deleted, and least of all on another node.
func TestPullOfANameWithItsNode(t *testing.T) {
	t.Parallel()
	d := setup(t)
	two := slices.Clone(nodes)
	two[1].Types = append(slices.Clone(two[1].Types), bus.TypePull)
	d.nodes.Store(&two)
	on(d, payload(bus.VerbSubmit), func(r bus.SubmitRequest) any { return bus.Errorf(bus.CodeInternal, "%s was tried", r.Task.Type) })
	d.myco("pull", "m:1b@laptop").want(t, 2, "m:1b@laptop names a node, which is done apart here", "try: myco pull m:1b --node laptop")
	d.myco("pull", "m@laptop", "--all").want(t, 2, "try: myco pull m --node laptop")
	d.myco("rm", "a@tower").want(t, 2, "try: myco rm a --node tower")
}
