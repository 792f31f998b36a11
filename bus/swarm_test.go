package bus_test

import (
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/mycoswarm/mycoswarm/bus"
)

// A daemon has as long to tell of the nodes as it has for any other request, not only the 5 s in which nats.go wants a
// watch to have begun.
func TestNodesOfASlowDaemon(t *testing.T) {
	t.Parallel()
	d := startDaemon(t)
	d.stop()
	d.opts.JetStream = false // the test answers in its place
	d.verb["$JS.API.STREAM.INFO.KV_peers"] = func(m *nats.Msg) {
		d.send(m.Reply, jetstream.StreamInfo{Config: jetstream.StreamConfig{Name: "KV_peers", MaxMsgsPerSubject: 1}})
	}
	var begun atomic.Int32
	d.verb["$JS.API.CONSUMER.CREATE.KV_peers.>"] = func(m *nats.Msg) {
		if begun.Add(1) > 1 { // the first is as lost
			d.send(m.Reply, jetstream.ConsumerInfo{Stream: "KV_peers", Name: "w"})
		}
	}
	d.run()
	c, err := bus.Dial(t.Context(), bus.WithDataDir(d.dir))
	must(t, err)
	defer c.Close()
	if nodes, err := c.Nodes(t.Context()); err != nil || len(nodes) != 0 || begun.Load() != 2 {
		t.Errorf("nodes %v, %v, asked for %d times, want none, and asked for twice", nodes, err, begun.Load())
	}
}

func TestNodeNamed(t *testing.T) {
	t.Parallel()
	all := []bus.NodeInfo{
		{ID: "myco-aaaaaaaaaaaa", Name: "a"},
		{ID: "myco-aabbbbbbbbbb", Name: "twin"},
		{ID: "myco-cccccccccccc", Name: "twin"},
		{ID: "myco-dddddddddddd", Name: "myco-aaaaaaaaaaaa"},
	}
	for want, test := range map[string]struct {
		id   bus.NodeID
		code bus.Code
	}{
		"a":                 {"myco-aaaaaaaaaaaa", ""},
		"myco-aaaaaaaaaaaa": {"myco-aaaaaaaaaaaa", ""},
		"aab":               {"myco-aabbbbbbbbbb", ""},
		"myco-cc":           {"myco-cccccccccccc", ""},
		"twin":              {"", bus.CodeInvalid},
		"myco-aa":           {"", bus.CodeInvalid},
		"nobody":            {"", bus.CodeNotFound},
	} {
		n, err := bus.NodeNamed(all, want)
		got := bus.Code("")
		if err != nil {
			got = bus.AsError(err).Code
		}
		if n.ID != test.id || got != test.code {
			t.Errorf("%q is %q, %v; want %q, %q", want, n.ID, err, test.id, test.code)
		}
	}
}
