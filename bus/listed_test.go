package bus_test

import (
	"slices"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Who has a part of a list shown has the whole of it still.
func TestListedLeavesTheListAlone(t *testing.T) {
	t.Parallel()
	tasks := []bus.TaskInfo{
		{ID: "show", Type: bus.TypeShow}, {ID: "part", Type: "echo", Part: true, State: bus.StateDone}, {ID: "one", Type: "echo", State: bus.StateRunning},
	}
	ids := func(tasks []bus.TaskInfo) (ids []bus.TaskID) {
		for _, t := range tasks {
			ids = append(ids, t.ID)
		}
		return ids
	}
	listed, cut := bus.Listed(tasks, false)
	if got := ids(listed); !slices.Equal(got, []bus.TaskID{"one"}) || cut {
		t.Errorf("%v are listed, cut %v", got, cut)
	}
	if got := ids(tasks); !slices.Equal(got, []bus.TaskID{"show", "part", "one"}) {
		t.Errorf("%v are left of the list", got)
	}
	if listed, _ = bus.Listed(tasks, true); len(listed) != 3 {
		t.Errorf("%v are listed of all", ids(listed))
	}
}
