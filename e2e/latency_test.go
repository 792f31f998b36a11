//go:build e2e && linux

package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/figures"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// pingPayload has 64 bytes, as the floor's.
var pingPayload = json.RawMessage(`"` + strings.Repeat("x", 62) + `"`)

// pinger returns a function that has the node called at answer one attached ping task.
func pinger(ctx context.Context, t *testing.T, c *bus.Conn, at bus.NodeID) func() error {
	t.Helper()
	return func() error {
		for chunk, err := range c.Submit(ctx, bus.Task{Type: bus.TypePing, Node: at, Payload: pingPayload}) {
			if err != nil {
				return err
			}
			if chunk.End != nil && chunk.End.NodeID != at {
				return fmt.Errorf("node %s answered, want %s", chunk.End.NodeID, at)
			}
		}
		return nil
	}
}

// p50 is the median of n calls of do, one after the other.
func p50(t *testing.T, n int, do func() error) time.Duration {
	t.Helper()
	var took []time.Duration
	for range n {
		start := time.Now()
		if err := do(); err != nil {
			t.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	return took[len(took)/2]
}

// latency is one way that a task goes, and the same way on the floor.
type latency struct {
	name  string
	swarm func() error
	floor string  // the frozen program's row; "" to measure alone
	most  float64 // times the floor

	swarmTook, floorTook []time.Duration
}

// rows renders c, and fails the test where it is far over the floor.
func (c *latency) rows(t *testing.T) []figures.Row {
	t.Helper()
	row := figures.Row{What: "one task, " + c.name, Samples: c.swarmTook}
	if c.floor == "" {
		return []figures.Row{row}
	}
	base := figures.Row{What: "the floor, " + c.name, Samples: c.floorTook}
	row.What += fmt.Sprintf(" (at most %.1f times the floor)", c.most)
	row.Promised = time.Duration(c.most * float64(base.Median()))
	ratio := float64(row.Median()) / float64(base.Median())
	t.Logf("%s: %.2f times the floor", c.name, ratio)
	// A ratio holds on a busy machine too, where times do not.
	if ratio > 2*c.most {
		t.Errorf("%s: %.2f times the floor, want at most %.1f", c.name, ratio, c.most)
	}
	return []figures.Row{row, base}
}

// One attached task that does nothing, against the frozen program that does the least that NATS
// does for one, run alternately: across three processes, and in one.
func TestLatencyOverTheFloor(t *testing.T) {
	ctx := t.Context() // with the published number of rounds it takes minutes
	s := harness.New(t, programs)
	nodes := []*harness.Node{s.Found(t, "a")}
	for _, name := range []string{"b", "c"} {
		nodes = append(nodes, s.Join(t, nodes[0], name))
	}
	host, rest := hostAndRest(t, nodes)

	cases := []*latency{
		{name: "queue host and worker far", swarm: pinger(ctx, t, rest[0].Dial(t), rest[1].Info.NodeID)},
		{name: "worker far", swarm: pinger(ctx, t, host.Dial(t), rest[1].Info.NodeID), floor: floorFar, most: 2.5},
		{name: "all in one process", swarm: insider(ctx, t), floor: floorOne, most: 1},
	}
	frozen := buildFloor(ctx, t)
	for _, c := range cases {
		p50(t, 200, c.swarm) // warms up
	}
	for range figures.Repetitions(2) {
		for _, c := range cases {
			c.swarmTook = append(c.swarmTook, p50(t, 1000, c.swarm))
		}
		base := frozen.measure(ctx, t)
		for _, c := range cases {
			if c.floor != "" {
				c.floorTook = append(c.floorTook, base[c.floor])
			}
		}
	}
	var rows []figures.Row
	for _, c := range cases {
		rows = append(rows, c.rows(t)...)
	}
	record(t, rest[0], "latency", "One attached task that does nothing",
		"Processes on loopback, 1,000 tasks one after the other in a round, swarm and floor in turn; a sample is the median of "+
			"one round. A client process connects to the submitter, which is the queue host but in the first row; in one process it "+
			"calls the submitter. The floor is the frozen program in `e2e/testdata/floors`, run as `life lat` in each round, its "+
			"rows `"+floorFar+"` and `"+floorOne+"`: a work queue on disk, one pull, the result stored, a reply, an "+
			"acknowledgement; without election, bids or claims.", rows...)
}
