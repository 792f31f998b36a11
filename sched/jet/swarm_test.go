package jet_test

import (
	"cmp"
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/bus/fabric/fabrictest"
	"github.com/mycoswarm/mycoswarm/bus/store"
	"github.com/mycoswarm/mycoswarm/sched"
	"github.com/mycoswarm/mycoswarm/sched/effectstest"
	"github.com/mycoswarm/mycoswarm/sched/jet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is one process of a swarm, in this one.
type node struct {
	*fabrictest.Node
	dir   string
	lease time.Duration
	log   *slog.Logger // nil: fabrictest's
	harm  func()       // done to the store by a restart
	take  func(int64) (func(int64), error)

	fabric, store *nats.Conn
	jet           *jet.Jet
}

var check = fabrictest.Check

// swarm starts n nodes that end with the test.
func swarm(tb testing.TB, n int, lease time.Duration) []*node {
	tb.Helper()
	var out []*node
	for _, f := range fabrictest.Swarm(tb, n) {
		nd := &node{Node: f, dir: tb.TempDir(), lease: lease}
		nd.start(tb)
		tb.Cleanup(func() { nd.stop(tb) })
		out = append(out, nd)
	}
	awaitOutboxes(tb, out)
	return out
}

func (n *node) start(tb testing.TB) {
	tb.Helper()
	var err error
	log := cmp.Or(n.log, fabrictest.Logger(tb, n.Key))
	n.fabric, err = n.Fabric.Conn("jet")
	check(tb, err)
	n.store, err = n.Store.Conn("jet")
	check(tb, err)
	n.jet, err = jet.New(jet.Config{
		Node: n.ID, Fabric: n.fabric, Store: n.store, Dir: n.dir, Lease: n.lease,
		Domain: func(id bus.NodeID) string { return string(id) },
		Routes: func() map[bus.NodeID]bool {
			out := map[bus.NodeID]bool{}
			for id := range n.Fabric.Routed() {
				out[id] = true
			}
			return out
		},
		Logger: log, Take: n.take,
	})
	check(tb, err)
	ctx, cancel := context.WithTimeout(context.Background(), fabrictest.Limit)
	defer cancel()
	check(tb, n.jet.Start(ctx))
}

func (n *node) stop(tb testing.TB) {
	tb.Helper()
	check(tb, n.jet.Close())
	n.fabric.Close()
	n.store.Close()
}

// awaitOutboxes waits until every node has heard of every other's outbox.
func awaitOutboxes(tb testing.TB, nodes []*node) {
	tb.Helper()
	for _, a := range nodes {
		for _, b := range nodes {
			fabrictest.Eventually(tb, func() bool {
				return a.Fabric.Interest(bus.SubjectOutbox(b.ID, bus.NoCustodian, "x"))
			}, "%s reaches the outbox of %s", a.ID, b.ID)
		}
	}
}

// restart starts the store and the effects again; the fabric stays.
func (n *node) restart(tb testing.TB) {
	tb.Helper()
	n.stop(tb)
	n.Store.Shutdown()
	if n.harm != nil {
		n.harm()
	}
	s, err := store.New(store.Config{
		ID: n.ID, Dir: n.Dir, LeafURL: n.Fabric.LeafURL(), LeafSeed: n.Fabric.LeafSeed(),
		Logger: fabrictest.Logger(tb, n.Key),
	})
	check(tb, err)
	ctx, cancel := context.WithTimeout(context.Background(), fabrictest.Limit)
	defer cancel()
	check(tb, s.Start(ctx))
	tb.Cleanup(s.Shutdown)
	n.Store = s
	n.start(tb)
}

func TestEffects(t *testing.T) {
	t.Parallel()
	effectstest.Run(t, func(t *testing.T, lease time.Duration) *effectstest.Swarm {
		t.Helper()
		t.Parallel()
		nodes := swarm(t, 2, lease)
		return &effectstest.Swarm{
			IDs:     [2]bus.NodeID{nodes[0].ID, nodes[1].ID},
			Effects: func(i int) sched.Effects { return nodes[i].jet.Effects() },
			Restart: func(i int) {
				nodes[i].restart(t)
				fabrictest.AwaitMesh(t, nodes[0].Node, nodes[1].Node)
				awaitOutboxes(t, nodes)
			},
			Pass: func(d time.Duration) { <-time.After(d) },
		}
	})
}
