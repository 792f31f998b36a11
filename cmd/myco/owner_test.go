package main

import (
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

func TestSwarmTellsOwnersUse(t *testing.T) {
	t.Parallel()
	nodes := []bus.NodeInfo{
		{ID: "myco-aaaaaaaaaaaa", Name: "a", State: bus.NodeReady, Owner: &bus.OwnerUse{Closed: true, Why: "until 17:00"}},
		{ID: "myco-bbbbbbbbbbbb", Name: "b", State: bus.NodeReady, Owner: &bus.OwnerUse{Weight: 100, Why: "on battery"}},
		{ID: "myco-cccccccccccc", Name: "c", State: bus.NodeLost, Owner: &bus.OwnerUse{Closed: true, Why: "on battery"}},
		{ID: "myco-dddddddddddd", Name: "d", State: bus.NodeReady, FreeMemory: 1 << 30, Models: []bus.ModelInfo{
			{Name: "m", Loaded: true, Speed: &bus.ModelSpeed{Writing: 31}},
		}},
	}
	v := viewSwarm(bus.SwarmInfo{Name: "home"}, nodes)
	out := swarmTable(v, "", 0)
	for _, want := range []string{"a is closed until 17:00\n", "b is used by its owner: on battery\n", "m* (31/s)"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing from:\n%s", want, out)
		}
	}
	if strings.Contains(out, "c is closed") || strings.Contains(out, "d is") {
		t.Errorf("told of nodes that are lost, or open:\n%s", out)
	}
	if v.Nodes[0].Owner == nil || v.Nodes[3].FreeMemory != 1<<30 || v.Nodes[3].Models[0].Speed == nil {
		t.Errorf("--json leaves something out: %+v", v.Nodes)
	}
}
