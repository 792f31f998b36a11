package gateway

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// named is a swarm that is only asked who it is.
type named struct {
	Swarm
	id bus.NodeID
}

func (n named) Identity() Identity { return Identity{NodeID: n.id} }

// A session ends by itself, and is good at the node that gave it alone.
func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	var gs []*Gateway
	for _, id := range []bus.NodeID{"myco-0123456789ab", "myco-ba9876543210"} {
		g, err := New(Config{Swarm: named{id: id}, Key: "the same key"})
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		gs = append(gs, g)
	}
	now := time.Now()
	until := now.Add(time.Hour)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/ui/", nil)
	for _, g := range gs {
		r.AddCookie(&http.Cookie{Name: g.cookie(r), Value: session(gs[0].cookie(r), gs[0].owner.Load(), until)})
	}
	if gs[0].viewer(r, until.Add(-time.Second)) == nil {
		t.Error("a session is not good before its end")
	}
	if gs[0].viewer(r, until) != nil {
		t.Error("a session is good after its end")
	}
	if gs[1].viewer(r, now) != nil {
		t.Error("a session is good at another node")
	}
}

// So many pages are told, and no more; one that leaves makes room. One that comes soon after another is told
// the same at once.
func TestPagesAreFew(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000, 0)
	f := newFeed(func() time.Time { return now })
	var leave func()
	for range maxViewers {
		var err error
		if _, leave, err = f.join(); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := f.join(); bus.AsError(err).Code != bus.CodeBusy {
		t.Errorf("one page more: %v, want busy", err)
	}
	leave()
	f.last, f.lastAt = []byte("{}"), now
	news, _, err := f.join()
	if err != nil {
		t.Fatal(err)
	}
	if len(news) != 1 {
		t.Error("a page is not told at once what others were told just now")
	}
}

// The past is as long as it is to be, and has no moment twice.
func TestPastIsBounded(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000, 0)
	f := newFeed(func() time.Time { return now })
	for range 2 * int(keepPast/lookEvery) {
		f.note([]bus.NodeInfo{{ID: "a", State: bus.NodeReady, Use: &bus.NodeUse{TokensPerSecond: 1}}})
		f.note(nil)
		now = now.Add(lookEvery)
	}
	h := f.history()
	if n := len(h.At); n != int(keepPast/lookEvery)+1 || len(h.Nodes["a"]) != n || h.Nodes["a"][n-1] == nil {
		t.Errorf("%d moments, %d of them of a", n, len(h.Nodes["a"]))
	}
}

// While nobody looks, what was told before is forgotten: who comes later is not told old news.
func TestNobodyLooks(t *testing.T) {
	t.Parallel()
	f := newFeed(time.Now)
	_, leave, err := f.join()
	if err != nil {
		t.Fatal(err)
	}
	f.tasks, f.last = []bus.TaskInfo{{ID: "old"}}, []byte("{}")
	if !f.watched() || f.tasks == nil {
		t.Error("a page looks, and its tasks are forgotten")
	}
	if leave(); f.watched() || f.tasks != nil || f.last != nil {
		t.Error("nobody looks, and something is kept")
	}
}

// What has ended of something larger is not among the latest tasks.
func TestLatestTasksWithoutParts(t *testing.T) {
	t.Parallel()
	v := scene{tasks: []bus.TaskInfo{{ID: "part", Type: "inference", State: bus.StateDone, Part: true}, {ID: "mine", Type: "inference", State: bus.StateDone}}}.show()
	if len(v.Recent) != 1 || v.Recent[0].ID != "mine" {
		t.Errorf("the latest are %+v", v.Recent)
	}
}

// Where a node has more tasks than it lists, the dashboard does not tell as if it had counted them.
func TestCountsOfACutList(t *testing.T) {
	t.Parallel()
	tasks := make([]bus.TaskInfo, bus.MaxListed)
	for i := range tasks {
		tasks[i] = bus.TaskInfo{Type: "work", State: bus.StateQueued}
	}
	if v := (scene{tasks: tasks}).show(); !v.Cut || v.QueuedCount != bus.MaxListed {
		t.Errorf("of %d tasks %d are told to wait, cut %v: want it cut", len(tasks), v.QueuedCount, v.Cut)
	}
	if v := (scene{tasks: tasks[1:]}).show(); v.Cut {
		t.Errorf("a list of %d tasks is whole", len(tasks)-1)
	}
}
