package overview_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/gateway/overview"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const node = bus.NodeID("myco-0123456789ab")

// told is a swarm that tells this.
type told struct {
	nodes []bus.NodeInfo
	tasks []bus.TaskInfo
	lists *int
	err   error
}

func (s told) Status(context.Context) (bus.Status, error) {
	return bus.Status{Nodes: s.nodes}, s.err
}

func (s told) Tasks(context.Context) ([]bus.TaskInfo, error) {
	if s.lists != nil {
		*s.lists++
	}
	return s.tasks, nil
}

func look(t *testing.T, g *overview.Gather, s told) overview.View {
	t.Helper()
	v, err := g.Look(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// A run counts from when it began, by the clock of its node, and not from the submission or from when somebody
// began to listen; a later attempt counts anew. Of a node that does not tell, it counts from the first word.
func TestWaitingIsNoRunning(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	g := overview.New(func() time.Time { return now })
	wall := now.Add(3 * time.Hour).UnixMilli() // its clock is wrong
	beat := func(r bus.Running) {
		g.Hear(bus.Heartbeat{Node: node, WallMS: wall, Running: []bus.Running{r}})
	}
	view := func() overview.Task {
		return look(t, g, told{
			nodes: []bus.NodeInfo{{ID: node, State: bus.NodeReady}},
			tasks: []bus.TaskInfo{{ID: "t1", Submitted: now.Add(-9 * time.Hour)}},
		}).Tasks[0]
	}
	beat(bus.Running{Task: "t1", Attempt: 1, BeganMS: wall - 7000, WaitedMS: 20_000})
	if got := view(); got.RunningMS != 7000 || got.WaitedMS == nil || *got.WaitedMS != 20_000 || got.AgeMS != 27_000 {
		t.Errorf("%+v, want 7 s of running after 20 s of waiting", got)
	}
	now, wall = now.Add(time.Second), wall+1000
	beat(bus.Running{Task: "t1", Attempt: 1, BeganMS: wall - 8000, WaitedMS: 20_000})
	if got := view(); got.RunningMS != 8000 {
		t.Errorf("%+v, want 8 s of running a second later", got)
	}
	beat(bus.Running{Task: "t1", Attempt: 2, BeganMS: wall, WaitedMS: 28_000})
	if got := view(); got.RunningMS != 0 || *got.WaitedMS != 28_000 {
		t.Errorf("%+v, want that the second attempt counts anew", got)
	}
	beat(bus.Running{Task: "t1", Attempt: 3})
	now = now.Add(2 * time.Second)
	if got := view(); got.RunningMS != 2000 || got.WaitedMS != nil || got.AgeMS < 9*3600_000 {
		t.Errorf("%+v, want 2 s of running, and nothing of waiting, of a node that does not tell", got)
	}
}

// The swarm is asked what its tasks are when one is new, once a second at most.
func TestListsAreAskedForSeldom(t *testing.T) {
	t.Parallel()
	now, lists := time.Unix(1_000, 0), 0
	g := overview.New(func() time.Time { return now })
	s := told{nodes: []bus.NodeInfo{{ID: node, State: bus.NodeReady}}, lists: &lists, tasks: []bus.TaskInfo{{ID: "t1", Type: "ping"}}}
	look(t, g, s)
	if lists != 0 {
		t.Errorf("%d lists without a task", lists)
	}
	g.Hear(bus.Heartbeat{Node: node, Running: []bus.Running{{Task: "t1", Attempt: 1}, {Task: "unknown", Attempt: 1}}})
	for range 3 {
		look(t, g, s)
	}
	if lists != 1 {
		t.Errorf("%d lists within a second, want 1", lists)
	}
	now = now.Add(time.Second)
	if v := look(t, g, s); lists != 2 || v.Running != 2 {
		t.Errorf("%d lists, %d tasks, want 2 and 2", lists, v.Running)
	}
}

// A task that its node has not listed yet is counted all the same: where one is at work not none run.
func TestWhatIsNotListedYetRuns(t *testing.T) {
	t.Parallel()
	for what, n := range map[string]bus.NodeInfo{
		"a slot is taken": {Busy: 1}, "the queue has given it": {Queues: []bus.QueueCount{{Running: 1}}},
	} {
		n.ID, n.State = node, bus.NodeReady
		if v := look(t, overview.New(time.Now), told{nodes: []bus.NodeInfo{n}}); v.Running != 1 || len(v.Tasks) != 0 {
			t.Errorf("%s: %d run, %d are listed, want 1 and 0", what, v.Running, len(v.Tasks))
		}
	}
}

// A model has one name in the queues and in the tasks: that of the nodes that have it.
func TestModelsAreCalledAsTheirNodesDo(t *testing.T) {
	t.Parallel()
	g := overview.New(time.Now)
	g.Hear(bus.Heartbeat{Node: node, Running: []bus.Running{{Task: "t1"}, {Task: "t2"}, {Task: "t3"}}})
	v := look(t, g, told{
		nodes: []bus.NodeInfo{{
			ID: node, State: bus.NodeReady, Models: []bus.ModelInfo{{Name: "slow"}, {Name: "tinylm:latest"}},
			Queues: []bus.QueueCount{{Model: "slow:latest"}, {Model: "tinylm:latest"}, {Model: "gone:latest"}, {}},
		}},
		tasks: []bus.TaskInfo{{ID: "t1", Model: "slow"}, {ID: "t2", Model: "tinylm"}, {ID: "t3", Model: "gone"}},
	})
	for i, want := range []string{"slow", "tinylm:latest", "gone:latest", ""} {
		if got := v.Queues[i].Model; got != want {
			t.Errorf("the queue of %q, want %q", got, want)
		}
	}
	for _, task := range v.Tasks {
		if want := map[bus.TaskID]string{"t1": "slow", "t2": "tinylm:latest", "t3": "gone"}[task.ID]; task.Model != want {
			t.Errorf("task %s of %q, want %q", task.ID, task.Model, want)
		}
	}
}

// A node that is lost has nothing under way; one that is late for a moment is as it was. A swarm that does
// not tell is no view.
func TestStates(t *testing.T) {
	t.Parallel()
	g := overview.New(time.Now)
	use := &bus.NodeUse{TokensPerSecond: 5}
	g.Hear(bus.Heartbeat{Node: "b", Running: []bus.Running{{Task: "t1"}}})
	s := told{nodes: []bus.NodeInfo{
		{ID: "b", Name: "b", State: bus.NodeLost, Busy: 1, Slots: 2, Use: use},
		{ID: "a", Name: "a", State: bus.NodeSuspect, Busy: 1, Slots: 2, Use: use, Models: []bus.ModelInfo{{Name: "m", Loaded: true}, {Name: "n"}}},
	}}
	v := look(t, g, s)
	if a := v.Nodes[0]; a.ID != "a" || a.State != bus.NodeReady || a.Busy != 1 || a.Models != 2 || len(a.Loaded) != 1 {
		t.Errorf("%+v, want that a is ready", a)
	}
	if b := v.Nodes[1]; b.State != bus.NodeLost || b.Busy != 0 || b.NodeUse != nil || v.Running != 1 || v.TokensPerSecond != 5 {
		t.Errorf("%+v in %+v, want that b does nothing", b, v)
	}
	if g.HeardAll(s.nodes) {
		t.Error("a is live, and was not heard")
	}
	if g.Hear(bus.Heartbeat{Node: "a"}); !g.HeardAll(s.nodes) {
		t.Error("a was heard")
	}
	s.err = errors.New("away")
	if _, err := g.Look(t.Context(), s); !errors.Is(err, s.err) {
		t.Errorf("error %v, want %v", err, s.err)
	}
}
