//go:build e2e && linux

package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/figures"
	"github.com/mycoswarm/mycoswarm/e2e/floor"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// envFloor makes the test binary a server of the floor: its configuration as JSON.
const envFloor = "MYCO_E2E_FLOOR"

// serveFloor runs this process as a server of the floor until its standard input closes.
func serveFloor(config string) error {
	var cfg floor.Config
	if err := json.Unmarshal([]byte(config), &cfg); err != nil {
		return fmt.Errorf("read the floor's configuration: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // until it closes
		cancel()
	}()
	return floor.Serve(ctx, cfg, func() { fmt.Println("ready") })
}

// startFloor starts servers of the floor, each a process, and returns a client of the first.
func startFloor(t *testing.T, servers ...floor.Config) *floor.Client {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var processes []*harness.Process
	for _, cfg := range servers {
		cfg.Dir = t.TempDir()
		j, err := json.Marshal(cfg)
		if err != nil {
			t.Fatal(err)
		}
		env := append(os.Environ(), envFloor+"="+string(j))
		processes = append(processes, harness.LaunchOpen(t, filepath.Join(t.TempDir(), "floor.log"), env, []string{self}))
	}
	for _, p := range processes {
		harness.Poll(t, harness.Patience, "the floor is ready", func() string {
			if log := p.Log(5); log != "ready" {
				return fmt.Sprintf("its log: %q", log)
			}
			return ""
		})
	}
	c, err := floor.Dial(servers[0].Port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func freePort(t *testing.T) int {
	t.Helper()
	_, port, err := net.SplitHostPort(freeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

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
	floor *floor.Client // nil to measure alone
	most  float64       // times the floor

	swarmTook, floorTook []time.Duration
}

// rows renders c, and fails the test where it is far over the floor.
func (c *latency) rows(t *testing.T) []figures.Row {
	t.Helper()
	row := figures.Row{What: "one task, " + c.name, Samples: c.swarmTook}
	if c.floor == nil {
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

// One attached task that does nothing, against the least that NATS does for one, run
// alternately: across three processes, and in one.
func TestLatencyOverTheFloor(t *testing.T) {
	ctx := within(t, "latency")
	s := harness.New(t, programs)
	nodes := []*harness.Node{s.Found(t, "a")}
	payload := bytes.Repeat([]byte("x"), len(pingPayload))
	for _, name := range []string{"b", "c"} {
		nodes = append(nodes, s.Join(t, nodes[0], name))
	}
	host, rest := hostAndRest(t, nodes)

	home, far := freePort(t), freePort(t)
	farFloor := startFloor(t,
		floor.Config{Name: "home", Port: freePort(t), Cluster: home, Peer: far, Home: true},
		floor.Config{Name: "far", Port: freePort(t), Cluster: far, Peer: home, Workers: true})
	oneFloor := startFloor(t, floor.Config{Name: "one", Port: freePort(t), Home: true, Workers: true})

	cases := []*latency{
		{name: "queue host and worker far", swarm: pinger(ctx, t, rest[0].Dial(t), rest[1].Info.NodeID)},
		{name: "worker far", swarm: pinger(ctx, t, host.Dial(t), rest[1].Info.NodeID), floor: farFloor, most: 2.5},
		{name: "all in one process", swarm: insider(ctx, t), floor: oneFloor, most: 1},
	}
	for round := range figures.Repetitions(5) + 1 { // the first warms up
		for _, c := range cases {
			c.swarmTook = append(c.swarmTook, p50(t, 200, c.swarm))
			if c.floor != nil {
				c.floorTook = append(c.floorTook, p50(t, 200, func() error { return c.floor.Do(ctx, payload) }))
			}
			if round == 0 {
				c.swarmTook, c.floorTook = nil, nil
			}
		}
	}
	var rows []figures.Row
	for _, c := range cases {
		rows = append(rows, c.rows(t)...)
	}
	record(t, rest[0], "latency", "One attached task that does nothing",
		"Processes on loopback, 200 tasks one after the other in a round, swarm and floor in turn; a sample is the median of "+
			"one round. A client process connects to the submitter, as it does to the floor, which is the queue host but in the first "+
			"row; in one process it calls the submitter. The floor (`e2e/floor`) is the least that NATS does for a task: a work queue on disk, one "+
			"pull, the result stored, a reply, an acknowledgement; without election, bids or claims.", rows...)
}
