//go:build e2e && linux

package e2e_test

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/e2e/figures"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// Clients of NATS connect to a node's port for routes, again and again, as they do where a daemon
// that is gone had that port for them. They wait to be spoken to. Others join meanwhile, the
// daemon answers, and nobody is taken for lost.
func TestSilentConnectionsToTheRoutePort(t *testing.T) {
	const clients = 4
	s := harness.New(t, programs)
	a := s.Found(t, "a")
	dials := &dialCounter{t: t}
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			nc, err := nats.Connect("nats://"+a.Info.FabricAddr, nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1),
				nats.ReconnectWait(20*time.Millisecond), nats.Timeout(5*time.Second), nats.SetCustomDialer(dials))
			if err != nil {
				t.Errorf("set up a client: %v", err)
				return
			}
			t.Cleanup(nc.Close)
		})
	}
	t.Cleanup(wg.Wait)
	begin := time.Now()
	nodes := []*harness.Node{a, s.Join(t, a, "b"), s.Join(t, a, "c")}
	harness.Settle(t, nodes...)
	settled := time.Since(begin)
	for _, n := range nodes {
		if v := n.View(t); len(v.Nodes) != len(nodes) {
			t.Errorf("%s sees %d nodes, want %d", n.Name, len(v.Nodes), len(nodes))
		}
	}
	for _, n := range nodes {
		if log := n.Log(200); strings.Contains(log, "msg=lost ") {
			t.Errorf("%s took somebody for lost:\n%s", n.Name, log)
		}
	}
	reach(t, "silent", int(dials.made.Load()), fmt.Sprintf("%d nodes joined, and all saw each other after %s, nobody taken for lost", len(nodes)-1, figures.Format(settled)))
}

// dialCounter dials for clients of NATS, and counts the connections.
type dialCounter struct {
	t    *testing.T
	made atomic.Int64
}

func (d *dialCounter) Dial(network, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(d.t.Context(), network, address)
	if err == nil {
		d.made.Add(1)
	}
	return c, err
}
