//go:build e2e

package netns_test

import (
	"context"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/mycoswarm/mycoswarm/e2e/netns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestHostsReachEachOther(t *testing.T) {
	t.Parallel()
	l, err := netns.NewLAN(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	t.Cleanup(func() {
		if err := l.Close(context.Background()); err != nil {
			t.Error(err)
		}
		out, err := exec.CommandContext(context.Background(), "ip", "netns", "list").Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.Contains(string(out), name) {
				t.Errorf("namespace %s is left over", name)
			}
		}
	})
	// A server on this machine, at the gateway's address, is reached from each host.
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", l.Gateway().String()+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for range 2 {
		h, err := l.Add(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
		_, port, err := net.SplitHostPort(ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		args := h.Command("bash", "-c", "exec 3<>/dev/tcp/"+l.Gateway().String()+"/"+port)
		if out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Errorf("from %s: %v: %s", h.Name, err, out)
		}
	}
}

// Networks that are made at the same moment are not the same one: nothing but which was first would tell them apart.
func TestNetworksAreApart(t *testing.T) {
	t.Parallel()
	const many = 48
	var all [many]*netns.LAN
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() {
			l, err := netns.NewLAN(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			all[i] = l
		})
	}
	wg.Wait()
	seen := map[netip.Addr]bool{}
	for _, l := range all {
		if l == nil {
			continue
		}
		if seen[l.Gateway()] {
			t.Errorf("two networks have the address %s", l.Gateway())
		}
		seen[l.Gateway()] = true
		if err := l.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
}
