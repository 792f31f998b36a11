package fabric_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/bus/fabric"
	"github.com/mycoswarm/mycoswarm/bus/fabric/fabrictest"
)

// While the routes change, clients that connect are let in, those that are connected speak on,
// and strangers stay outside. The race detector looks on.
func TestClientsConnectWhileRoutesChange(t *testing.T) {
	t.Parallel()
	k := fabrictest.NewKey(t)
	n := fabrictest.StartFabric(t, k, fabrictest.NewRoster(k))
	seed, err := n.User.Seed()
	check(t, err)
	creds := filepath.Join(t.TempDir(), bus.UserCreds)
	check(t, os.WriteFile(creds, seed, 0o600))
	stranger, err := nkeys.CreateUser()
	check(t, err)
	pub, err := stranger.PublicKey()
	check(t, err)

	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for port := 1; ; port++ {
			select {
			case <-stop:
				stopped <- nil
				return
			case <-tick.C:
			}
			if err := n.Fabric.SetPeers([]fabric.Peer{{Addr: fmt.Sprintf("127.0.0.1:%d", 1+port%9)}}); err != nil {
				stopped <- err
				return
			}
		}
	}()
	inside, err := n.Fabric.Conn("inside")
	check(t, err)
	t.Cleanup(inside.Close)
	_, err = inside.Subscribe(bus.SubjectRPC(n.ID, bus.VerbPing), func(m *nats.Msg) { _ = m.Respond([]byte(`{}`)) })
	check(t, err)
	check(t, inside.Flush())
	for i := range 100 {
		c, err := bus.Dial(t.Context(), bus.WithURL(n.Fabric.ClientURL(), creds))
		if err != nil {
			t.Fatalf("client %d is refused: %v", i, err)
		}
		if _, err := c.Ping(t.Context()); err != nil {
			t.Errorf("client %d: %v", i, err)
		}
		c.Close()
		if nc, err := nats.Connect(n.Fabric.ClientURL(), nats.Nkey(pub, stranger.Sign), nats.NoReconnect()); err == nil {
			t.Errorf("stranger %d is let in", i)
			nc.Close()
		}
	}
	close(stop)
	check(t, <-stopped)
}
