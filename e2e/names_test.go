//go:build e2e && linux

package e2e_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/figures"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// Two machines have one name, and no multicast passes between them: by the address of the other they
// are one swarm, the one that joins gets another name, and work goes to whom each name means.
func TestEqualNamesWithoutMulticast(t *testing.T) {
	s := harness.NewLAN(t, programs)
	var ledger engine.Ledger
	a, b := s.Node(t, "a"), s.Node(t, "b")
	for _, n := range []*harness.Node{a, b} {
		inside(t, n, "ip", "link", "set", "eth0", "multicast", "off")
	}
	flags := func(n *harness.Node) []string {
		return []string{"--name", "tower", "--engine", startEngine(t, s, engine.Config{Name: n.Name, Ledger: &ledger}).URL()}
	}
	a.Start(t, flags(a)...)
	b.Start(t, append(flags(b), "--join", a.Invite(t))...)
	harness.Settle(t, a, b)
	row := figures.Row{What: "by a static peer a node is back in its swarm", Promised: 5 * time.Second}
	for range figures.Repetitions(2) {
		b.Stop(t)
		start := time.Now()
		b.Start(t, append(flags(b), "--peer", a.Host.Addr.String()+":7422")...)
		harness.Settle(t, a, b)
		row.Samples = append(row.Samples, time.Since(start))
	}
	names := map[*harness.Node]string{a: "tower", b: "tower-2"}
	for _, at := range []*harness.Node{a, b} {
		for n, name := range names {
			if got := at.View(t).Node(name).ID; got != n.Info.NodeID {
				t.Errorf("%s takes node %s for %s, want %s", at.Name, got, name, n.Info.NodeID)
			}
			marker := fmt.Sprintf("from-%s-to-%s", at.Name, name)
			awaitModel(t, at, name, engine.Model, true)
			if got := ask(t, at, "--node", name, "-m", engine.Model, engine.Prompt(marker)); got.NodeID != n.Info.NodeID {
				t.Errorf("%s: %+v", marker, got)
			}
			if runs := begun(ledger.Runs(), marker); len(runs) != 1 || runs[0].Engine != n.Name {
				t.Errorf("%s: %+v, want one run, on %s", marker, runs, n.Name)
			}
		}
	}
	reachRow(t, "names", row)
}
