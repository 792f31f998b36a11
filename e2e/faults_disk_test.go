//go:build e2e && linux

package e2e_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
	"github.com/mycoswarm/mycoswarm/e2e/lab"
)

// Power is lost in the moment after a task is accepted: what is on the disk then, and not in
// memory, is all there is. The disk is a file; it is copied at that moment, and the node starts
// from the copy.
func TestPowerIsLost(t *testing.T) {
	t.Parallel()
	rounds := count(2, 20)
	const each = 10
	for round := range rounds {
		var ledger engine.Ledger
		s := harness.New(t, programs)
		a := s.Node(t, "a")
		image, copied := filepath.Join(a.Home, "disk"), filepath.Join(a.Home, "disk-as-it-was")
		lab.Image(t, image, 48)
		unmount := lab.Mount(t, a.Dir, "-o", "loop", image)
		a.Start(t)
		d, ctx := newDriver(t), within(t, "tasks and a loss of power")
		for i := range each {
			d.enqueue(ctx, a.Dial(t), fmt.Sprintf("kept-%d-%d", round, i))
		}
		lab.CopyImage(t, image, copied)
		a.Kill()
		unmount()
		lab.Mount(t, a.Dir, "-o", "loop", copied)
		a.Start(t, "--engine", startEngine(t, s, engine.Config{Name: "a", Ledger: &ledger}).URL())
		d.audit(ctx, a.Dial(t))
		if n := len(ledger.ByMarker()); n != each {
			t.Errorf("%d tasks ran, want %d", n, each)
		}
		a.Kill()
	}
	reach(t, "power", rounds, fmt.Sprintf("0 of %d accepted lost", each*rounds))
}

// A block of the submitter's or of the custodian's store is damaged while it is down: the log
// tells how many messages are unreadable, and what the other node holds of them is done.
func TestStoreIsDamaged(t *testing.T) {
	t.Parallel()
	const n = 30
	for _, c := range []struct {
		name      string
		submitter bool
		cut       bool
	}{{"submitter, flipped", true, false}, {"submitter, cut", true, true}, {"custodian, flipped", false, false}, {"custodian, cut", false, true}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var ledger engine.Ledger
			s := harness.New(t, programs)
			a := s.Found(t, "a")
			b := s.Join(t, a, "b")
			harness.Settle(t, a, b)
			d, ctx := newDriver(t), within(t, "tasks and a damaged store")
			for i := range n {
				d.enqueue(ctx, a.Dial(t), fmt.Sprintf("kept-%02d", i))
			}
			victim, other, stream := b, a, "CUSTODY_"
			if c.submitter {
				victim, other, stream = a, b, "OUTBOX_"
			}
			victim.Kill()
			blocks := lab.Blocks(t, victim.Dir, stream)
			if len(blocks) == 0 {
				t.Fatal("there is no block")
			}
			lab.Damage(t, blocks[0], c.cut)
			victim.Start(t, "--peer", other.Info.FabricAddr)
			harness.Settle(t, a, b)
			harness.Poll(t, harness.Patience, "the log tells of the loss", func() string {
				if log := victim.Log(1000); !strings.Contains(log, "has lost messages") || !strings.Contains(log, "lost=") {
					return log
				}
				return ""
			})
			eng := startEngine(t, s, engine.Config{Name: "b", Ledger: &ledger})
			worker := s.Join(t, a, "c", "--engine", eng.URL())
			harness.Settle(t, a, b, worker)
			d.audit(ctx, other.Dial(t))
			if got := len(ledger.ByMarker()); got != n {
				t.Errorf("%d tasks ran, want %d", got, n)
			}
			reach(t, "corrupt", 4, fmt.Sprintf("the loss is logged at the start, 0 of %d tasks lost", 4*n))
		})
	}
}
