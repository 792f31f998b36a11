//go:build e2e && linux

package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// A laptop whose cable is out keeps the address there, and a default route over it: it is reached over its other
// interface all the same. Then a router gives it another address, and at last another network to everybody.
func TestAddressesChange(t *testing.T) {
	t.Parallel()
	s := harness.NewLAN(t, programs)
	a := s.Found(t, "a")
	b := s.Node(t, "b")
	for _, args := range [][]string{
		{"link", "add", "eth1", "type", "veth", "peer", "name", "cable"},
		{"addr", "add", "192.168.50.2/24", "dev", "eth1"},
		{"link", "set", "eth1", "up"}, // and its other end is not
		{"route", "replace", "default", "via", "192.168.50.1", "dev", "eth1"},
	} {
		inside(t, b, "ip", args...)
	}
	b.Start(t, "--join", a.Invite(t))
	at := b.Host.Addr.String()
	seenAt(t, a, b, at)
	harness.Settle(t, a, b)

	inside(t, b, "ip", "addr", "add", "192.168.60.3/24", "dev", "eth0")
	inside(t, b, "ip", "addr", "del", at+"/24", "dev", "eth0")
	inside(t, a, "ip", "addr", "add", "192.168.60.2/24", "dev", "eth0")
	seenAt(t, a, b, "192.168.60.3")
	inside(t, a, "ip", "addr", "del", a.Host.Addr.String()+"/24", "dev", "eth0")
	seenAt(t, b, a, "192.168.60.2")
	harness.Settle(t, a, b)
}

// seenAt waits until n sees other ready, and notes that it is reached at addr first.
func seenAt(t *testing.T, n, other *harness.Node, addr string) {
	t.Helper()
	harness.Poll(t, harness.Patience, fmt.Sprintf("%s sees %s at %s", n.Name, other.Name, addr), func() string {
		if state := n.View(t).Node(other.Name).State; state != bus.NodeReady {
			return fmt.Sprintf("%s is %s", other.Name, state)
		}
		b, err := os.ReadFile(filepath.Join(n.Dir, "peers.json"))
		if err != nil {
			return err.Error()
		}
		var known map[bus.NodeID][]string
		if err := json.Unmarshal(b, &known); err != nil {
			return err.Error()
		}
		if at := known[other.Info.NodeID]; len(at) == 0 || at[0] != addr+":7422" {
			return fmt.Sprintf("%s is known at %v", other.Name, at)
		}
		return ""
	})
}
