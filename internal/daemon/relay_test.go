package daemon_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Who comes back to an output at another node than the task's own, and finds that it has ended meanwhile, gets what it has
// missed before the end, as there.
func TestTailThroughAnotherNode(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	b := start(t, "b", joining(a))
	settle(t, a, b)
	h := &blocking{}
	ctx, cancel := context.WithCancel(a.ctx())
	served := make(chan error, 1)
	go func() { served <- a.conn.Serve(ctx, h) }()
	t.Cleanup(func() {
		cancel()
		check(t, <-served)
	})
	last(t, a, bus.Task{ID: "over", Type: h.typ(), Payload: json.RawMessage(`"echo"`)})
	for _, n := range []*node{a, b} {
		var told []string
		for c, err := range n.conn.AttachAt(n.ctx(), "over", 1, 0) {
			check(t, err)
			if c.End == nil {
				told = append(told, string(c.Data))
			}
		}
		if len(told) != 1 || told[0] != `"a piece"` {
			t.Errorf("over the bus, at %s: %q", n.cfg.Name, told)
		}
		if status, said := call(t, n, "GET", "/task/over/events", ""); status != 200 || strings.Count(said, `"a piece"`) != 1 || !strings.Contains(said, "event: end\n") {
			t.Errorf("over HTTP, at %s: %d %s", n.cfg.Name, status, said)
		}
	}
}
