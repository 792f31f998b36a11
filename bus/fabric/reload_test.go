//go:build !race

// nats-server 2.15.2 reads what a connecting client says while it writes it, when its options
// change in that instant: harmless, as the client is refused, and not ours to report.

package fabric_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/bus/fabric"
	"github.com/mycoswarm/mycoswarm/bus/fabric/fabrictest"
)

// A client that connects while the routes change is let in. The server checks every connection
// anew at a change, and refuses those that have not said yet who they are: bus.Dial tries again.
func TestClientsConnectWhileRoutesChange(t *testing.T) {
	t.Parallel()
	k := fabrictest.NewKey(t)
	n := fabrictest.StartFabric(t, k, fabrictest.NewRoster(k))
	seed, err := n.User.Seed()
	check(t, err)
	creds := filepath.Join(t.TempDir(), bus.UserCreds)
	check(t, os.WriteFile(creds, seed, 0o600))

	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		tick := time.NewTicker(5 * time.Millisecond)
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
	refused := 0
	for range 100 {
		c, err := bus.Dial(t.Context(), bus.WithURL(n.Fabric.ClientURL(), creds))
		if err != nil {
			t.Log(err)
			refused++
			continue
		}
		c.Close()
	}
	close(stop)
	check(t, <-stopped)
	if refused > 0 {
		t.Errorf("%d of 100 clients were refused", refused)
	}
}
