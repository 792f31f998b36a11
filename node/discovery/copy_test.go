package discovery_test

import (
	"slices"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/node/discovery"
)

// Two processes that announce one node hear of each other, and each still hears itself.
func TestCopies(t *testing.T) {
	t.Parallel()
	a := config(t, t.Name())
	b := a
	a.Start, b.Start, b.FabricPort = "aaaa1111", "bbbb2222", 7500
	ma, _, _ := run(t, a)
	mb, _, _ := run(t, b)
	late := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !slices.Equal(ma.Copies(), []string{"127.0.0.1:7500"}) || !slices.Equal(mb.Copies(), []string{"127.0.0.1:7422"}) {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("copies %v and %v, want each other", ma.Copies(), mb.Copies())
		}
	}
	awaitHeard(t, ma)
	awaitHeard(t, mb)
	itself := func(f discovery.Found) bool { return f.NodeID == a.NodeID }
	if !ma.Echo() || slices.ContainsFunc(ma.Nearby(), itself) {
		t.Errorf("echo %t, nearby %v", ma.Echo(), ma.Nearby())
	}
}
