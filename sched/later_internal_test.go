package sched

import (
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// What is said of one task by several nodes has one order, whoever is asked first.
func TestLater(t *testing.T) {
	t.Parallel()
	at := func(n bus.NodeID, s bus.TaskState, attempts int, ran bus.NodeID) (found, bus.NodeID) {
		return found{Info: bus.TaskInfo{Submitter: "myco-submitter", State: s, Attempts: attempts, NodeID: ran}}, n
	}
	type word struct {
		f  found
		at bus.NodeID
	}
	say := func(f found, at bus.NodeID) word { return word{f, at} }
	// From what tells least to what tells most.
	words := []word{
		say(at("myco-a", bus.StateQueued, 0, "")),
		say(at("myco-submitter", bus.StateQueued, 0, "")),
		say(at("myco-a", bus.StateRunning, 1, "myco-w")),
		say(at("myco-a", bus.StateCancelled, 1, "")),
		say(at("myco-a", bus.StateDone, 2, "myco-w")),
		say(at("myco-b", bus.StateDone, 1, "myco-x")),
		say(at("myco-a", bus.StateDone, 1, "myco-w")),
		say(at("myco-submitter", bus.StateExpired, 3, "myco-x")),
	}
	for i, a := range words {
		for j, b := range words {
			if got := later(a.f, a.at, b.f, b.at); got != (i > j) {
				t.Errorf("%s of %s is later than %s of %s: %v", a.f.Info.State, a.at, b.f.Info.State, b.at, got)
			}
		}
	}
}
