package sched

import (
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// How long a question waits for a model that an engine has no more is told by all nodes together: one that is away, and had
// it when it was heard last, may be back in a moment.
func TestWaitForARemovedModel(t *testing.T) {
	t.Parallel()
	now := time.Now()
	key := bus.Key{Class: bus.TypeInference, Model: "m:1b"}
	types := []string{bus.TypeInference}
	had := bus.NodeInfo{ID: "a", State: bus.NodeReady, Types: types, Removed: []string{"other", "m:1b"}}
	is := func(id bus.NodeID, state bus.NodeState, ago time.Duration) bus.NodeInfo {
		return bus.NodeInfo{ID: id, State: state, Types: types, Models: []bus.ModelInfo{{Name: "m:1b"}}, Seen: now.Add(-ago)}
	}
	lost := had
	lost.State = bus.NodeLost
	for name, c := range map[string]struct {
		key   bus.Key
		nodes []bus.NodeInfo
		want  time.Duration
	}{
		"an engine has it no more":             {key, []bus.NodeInfo{had}, ownerFor},
		"who said so is lost":                  {key, []bus.NodeInfo{lost}, awayFor},
		"another has it":                       {key, []bus.NodeInfo{had, is("b", bus.NodeReady, 0)}, 0},
		"another has it, and is away":          {key, []bus.NodeInfo{had, is("b", bus.NodeLost, time.Minute)}, awayFor},
		"another had it, and is away for long": {key, []bus.NodeInfo{had, is("b", bus.NodeLost, time.Hour)}, ownerFor},
		"pinned there":                         {bus.Key{Class: key.Class, Model: key.Model, Pin: "a"}, []bus.NodeInfo{had}, ownerFor},
		"pinned elsewhere":                     {bus.Key{Class: key.Class, Model: key.Model, Pin: "b"}, []bus.NodeInfo{had}, awayFor},
		"another model":                        {bus.Key{Class: key.Class, Model: "n"}, []bus.NodeInfo{had}, awayFor},
		"no model":                             {bus.Key{Class: "work"}, []bus.NodeInfo{had}, awayFor},
	} {
		if got := stuckMost(c.key, c.nodes, "s", now); got != c.want {
			t.Errorf("%s: waits for %v, want %v", name, got, c.want)
		}
	}
}
