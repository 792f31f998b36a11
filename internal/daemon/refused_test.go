package daemon_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// refusedBy waits until n says that these members refuse it.
func refusedBy(t *testing.T, n *node, want ...string) {
	t.Helper()
	eventually(t, n.cfg.Name+" knows who refuses it", func() string {
		s, err := n.conn.Status(n.ctx())
		check(t, err)
		if !slices.Equal(s.RefusedBy, want) {
			return "it says: " + strings.Join(s.RefusedBy, " and ")
		}
		return ""
	})
}

// Who is put out while it is away is not told by whom, and finds out that it is refused. One whose
// others are merely away is not alarmed.
func TestNodeThatWasPutOutWhileAway(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	b, c := start(t, "b", joining(a)), start(t, "c", joining(a))
	settle(t, a, b, c)
	b.cfg.Join = ""
	check(t, b.stop())
	task := inference(t)
	task.ID, task.Model, task.Node = "for-b", "absent", b.id()
	_, err := a.conn.Enqueue(a.ctx(), task)
	check(t, err)
	r, err := a.conn.Revoke(a.ctx(), b.id())
	check(t, err)
	if !r.Changed || r.Member.State != bus.NodeRevoked {
		t.Errorf("%+v, want b put out", r)
	}
	eventually(t, "a task for b alone ends", func() string {
		i, err := a.conn.Task(a.ctx(), task.ID)
		check(t, err)
		if i.State != bus.StateFailed || i.Error == nil || !strings.HasPrefix(i.Error.Message, "node b was put out of the swarm") {
			return fmt.Sprintf("%s, %v, %s", i.State, i.Error, i.Warning)
		}
		return ""
	})
	check(t, c.stop())
	b.run()
	refusedBy(t, b, "a")
	s, err := a.conn.Status(a.ctx())
	check(t, err)
	if len(s.RefusedBy) > 0 {
		t.Errorf("a, whose other is away, is refused by %v", s.RefusedBy)
	}
	_, err = b.conn.Leave(b.ctx())
	check(t, err)
	refusedBy(t, b)
}
