package bus_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/bus/fabric/fabrictest"
)

// TestOnARealFabric holds the client against the servers, and the rights, that a daemon gives
// it; the other tests have a daemon of their own making.
func TestOnARealFabric(t *testing.T) {
	t.Parallel()
	k := fabrictest.NewKey(t)
	n := fabrictest.Start(t, k, fabrictest.NewRoster(k))
	seed, err := n.User.Seed()
	must(t, err)
	creds := filepath.Join(t.TempDir(), bus.UserCreds)
	must(t, os.WriteFile(creds, seed, 0o600))
	c, err := bus.Dial(t.Context(), bus.WithURL(n.Fabric.ClientURL(), creds))
	must(t, err)
	defer c.Close()
	if c.NodeID() != k.ID {
		t.Errorf("connected to %q, want %q", c.NodeID(), k.ID)
	}

	d := &daemon{t: t, nc: n.Conn(t)}
	kv, err := n.Store.Peers(t.Context())
	must(t, err)
	want := bus.NodeInfo{ID: k.ID, Name: "a", State: bus.NodeReady}
	b, err := json.Marshal(want)
	must(t, err)
	_, err = kv.Put(t.Context(), string(k.ID), b)
	must(t, err)
	check(t, []bus.NodeInfo{want})(c.Nodes(t.Context()))

	d.verb = map[string]nats.MsgHandler{}
	on(d, bus.SubjectPayloadRPC(k.ID, bus.VerbSubmit), func(r bus.SubmitRequest) any {
		d.send(r.Inbox, text(1, 0, "a"))
		d.send(r.Inbox, end(bus.StateDone, nil))
		return bus.SubmitReply{ID: r.Task.ID}
	})
	got := 0
	for _, err := range c.Submit(t.Context(), bus.Task{Type: "ping"}) {
		must(t, err)
		got++
	}
	if got != 2 {
		t.Errorf("%d chunks, want 2", got)
	}
}
