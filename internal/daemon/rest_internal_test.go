package daemon

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/mycoswarm/mycoswarm/bus"
)

// stirred reports whether c holds a signal, and takes it.
func stirred(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// The routes are looked at when they change, and addresses when somebody tells new ones: a timer alone would
// see them a second later.
func TestTrustIsStirred(t *testing.T) {
	t.Parallel()
	routes := map[bus.NodeID]struct{}{}
	tr := &trust{
		look: make(chan struct{}, 1), routed: func() map[bus.NodeID]struct{} { return routes },
		addrs: map[bus.NodeID][]string{}, hints: map[bus.NodeID][]string{},
	}
	a, b := map[bus.NodeID]struct{}{"myco-a": {}}, map[bus.NodeID]struct{}{"myco-b": {}}
	for _, step := range []struct {
		what string
		do   func()
		want bool
	}{
		{"there are no routes", func() { tr.saw(routes) }, false},
		{"one is new", func() { tr.saw(a) }, true},
		{"it is still there", func() { tr.saw(map[bus.NodeID]struct{}{"myco-a": {}}) }, false},
		{"another is there in its place", func() { tr.saw(b) }, true},
		{"it is gone", func() { tr.saw(routes) }, true},
		{"a hint", func() { tr.hint("myco-a", "192.0.2.1:7422") }, true},
		{"the same hint", func() { tr.hint("myco-a", "192.0.2.1:7422") }, false},
		{"another hint", func() { tr.hint("myco-a", "192.0.2.2:7422") }, true},
	} {
		step.do()
		if got := stirred(tr.look); got != step.want {
			t.Errorf("%s: stirred %t, want %t", step.what, got, step.want)
		}
	}
}

// bucket counts what is written into it.
type bucket struct {
	jetstream.KeyValue
	puts int
}

func (b *bucket) Put(context.Context, string, []byte) (uint64, error) { b.puts++; return 0, nil }

// Small news of a node that come too soon after others are held, and looked at again before long.
func TestTableHoldsSmallNews(t *testing.T) {
	t.Parallel()
	b, n := &bucket{}, bus.NodeInfo{ID: "myco-a", State: bus.NodeReady}
	tab := &table{kv: b, nodes: func() []bus.NodeInfo { return []bus.NodeInfo{n} }, rows: map[bus.NodeID]row{}}
	now := time.Unix(1_700_000_000, 0)
	for _, step := range []struct {
		what  string
		after time.Duration
		do    func()
		puts  int
		pause time.Duration
	}{
		{"it is new", 0, func() {}, 1, rowEvery},
		{"nothing has changed", heldEvery, func() {}, 1, rowEvery},
		{"it has a task", heldEvery, func() { n.Busy = 1 }, 1, heldEvery},
		{"it has one still", heldEvery, func() {}, 1, heldEvery},
		{"it drains", heldEvery, func() { n.State = bus.NodeDraining }, 2, rowEvery},
		{"it has none", heldEvery, func() { n.Busy = 0 }, 2, heldEvery},
		{"a second has passed", rowEvery, func() {}, 3, rowEvery},
	} {
		now = now.Add(step.after)
		step.do()
		if err := tab.write(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		if b.puts != step.puts || tab.pause() != step.pause {
			t.Errorf("%s: written %d times, and looked at again in %v; want %d and %v", step.what, b.puts, tab.pause(), step.puts, step.pause)
		}
	}
}
